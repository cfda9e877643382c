//! Rebalances as scripts.
//!
//! ```text
//! set KEY=VALUE …      before anything else: delay, max, session settings
//! join NAME [KEY=VALUE …]   id= instance= topic= protocols= session= rebalance= ask=id skip=no type=
//! sync NAME [assign=ID:TEXT,…] [gen=N] [protocol=NAME]
//! beat NAME [gen=N] | leave NAME … | commit NAME PARTITION=OFFSET … | wait MS
//! fail ERROR | hold | release [ERROR] | restart [max=N] | show
//! ```
//! A client keeps the member id and generation that it was last told. Ids are `NAME-N`, counted.

use super::world::{World, beat, commit, join, leaving, partition, protocol, sync};
use crate::coordinator::group::*;
use crate::coordinator::{ReplyId, WriteError};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;

#[derive(Default, Clone)]
struct Client {
    id: String,
    instance: Option<String>,
    generation: i32,
}

struct Script {
    world: World,
    clients: BTreeMap<String, Client>,
    asked: HashMap<ReplyId, String>,
    told: usize,
    logged: usize,
    out: String,
}

type Options<'a> = HashMap<&'a str, &'a str>;

impl Script {
    fn new(settings: GroupSettings) -> Script {
        Script {
            world: World::with(settings),
            clients: BTreeMap::new(),
            asked: HashMap::new(),
            told: 0,
            logged: 0,
            out: String::new(),
        }
    }

    fn run(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap();
        let names: Vec<&str> = words.clone().filter(|word| !word.contains('=')).collect();
        let options: Options<'_> = words.filter_map(|word| word.split_once('=')).collect();
        let name = names.first().copied().unwrap_or("");
        let client = self.clients.get(name).cloned().unwrap_or_default();
        match verb {
            "join" => self.join(name, client, &options),
            "sync" => self.sync(name, &client, &options),
            "beat" => {
                let generation = number(&options, "gen").unwrap_or(client.generation);
                let result = self.world.heartbeat(&Heartbeat {
                    instance_id: client.instance.as_deref(),
                    ..beat(&client.id, generation)
                });
                self.say(name, "beat", result);
            }
            "leave" => {
                let ids: Vec<Client> = names
                    .iter()
                    .map(|name| self.clients[*name].clone())
                    .collect();
                let all: Vec<Leaving<'_>> = ids
                    .iter()
                    .map(|client| match (&client.instance, options.get("by")) {
                        (Some(instance), Some(&"instance")) => Leaving {
                            instance_id: Some(instance),
                            ..leaving("")
                        },
                        _ => leaving(&client.id),
                    })
                    .collect();
                let results = self.world.leave(&all);
                for (name, result) in names.iter().zip(results) {
                    self.say(name, "leave", result);
                }
            }
            "commit" => {
                let partitions = options
                    .iter()
                    .filter_map(|(p, o)| Some(partition(p.parse().ok()?, o.parse().ok()?)))
                    .collect();
                let result = self.world.commit(&Commit {
                    member_id: &client.id,
                    instance_id: client.instance.as_deref(),
                    generation: if client.id.is_empty() {
                        -1
                    } else {
                        client.generation
                    },
                    ..commit(partitions)
                });
                self.say(name, "commit", result.map(|_| ()));
            }
            "wait" => self.world.wait(name.parse().unwrap()),
            "fail" => self.world.fails = write_error(name),
            "hold" => self.world.holds = true,
            "release" => {
                self.world.holds = false;
                self.world.release(write_error(name).map_or(Ok(()), Err));
            }
            "restart" => {
                if let Some(max) = options.get("max") {
                    let mut settings = (*self.world.settings).clone();
                    settings.members_max = max.parse().unwrap();
                    self.world.settings = Arc::new(settings);
                }
                self.world.restart();
                writeln!(self.out, "restarted").unwrap();
            }
            "show" => {}
            other => panic!("no such verb: {other}"),
        }
        self.tell();
        if verb == "show" {
            self.show();
        }
    }

    fn join(&mut self, name: &str, client: Client, options: &Options<'_>) {
        let instance = options.get("instance").map(ToString::to_string);
        let id = match options.get("id") {
            Some(&"none") => String::new(),
            Some(id) => (*id).to_owned(),
            None => client.id.clone(),
        };
        let topic = options.get("topic").copied().unwrap_or("t");
        let names = options.get("protocols").copied().unwrap_or("range");
        let client = Client {
            instance: instance.or(client.instance),
            ..client
        };
        let mut request = join(name, &id);
        request.instance_id = client.instance.as_deref();
        request.protocols = names
            .split(',')
            .filter(|name| !name.is_empty())
            .map(|name| protocol(name, topic))
            .collect();
        request.protocol_type = options.get("type").copied().unwrap_or("consumer");
        if let Some(ms) = number(options, "session") {
            request.session_timeout_ms = ms;
        }
        if let Some(ms) = number(options, "rebalance") {
            request.rebalance_timeout_ms = ms;
        }
        if options.get("ask") == Some(&"id") {
            request.member_id_rule = MemberIdRule::RequiredFirst;
        }
        if options.get("skip") == Some(&"no") {
            request.skip_assignment = SkipAssignment::Unknown;
        }
        // The reply's number is known before the answer can come.
        let reply = self.world.send_join(request);
        self.asked.insert(reply, name.to_owned());
        self.clients.insert(name.to_owned(), client);
    }

    fn sync(&mut self, name: &str, client: &Client, options: &Options<'_>) {
        let assignments: Vec<(&str, Bytes)> = options
            .get("assign")
            .map(|text| {
                text.split(',')
                    .filter_map(|pair| pair.split_once(':'))
                    .map(|(id, text)| (id, Bytes::copy_from_slice(text.as_bytes())))
                    .collect()
            })
            .unwrap_or_default();
        let request = SyncRequest {
            instance_id: client.instance.as_deref(),
            protocol: options.get("protocol").copied(),
            assignments,
            ..sync(
                &client.id,
                number(options, "gen").unwrap_or(client.generation),
            )
        };
        let reply = self.world.send_sync(&request);
        self.asked.insert(reply, name.to_owned());
    }

    fn say(&mut self, name: &str, verb: &str, result: Result<(), GroupError>) {
        match result {
            Ok(()) => writeln!(self.out, "{name} {verb} ok"),
            Err(error) => writeln!(self.out, "{name} {verb} {error:?}"),
        }
        .unwrap();
    }

    /// What was written and answered since the last time.
    fn tell(&mut self) {
        for (_, record) in &self.world.log[self.logged..] {
            let line = match record {
                CoordinatorRecord::Offset { key, value } => match value {
                    Some(value) => {
                        format!("offset {}-{} = {}", key.topic, key.partition, value.offset)
                    }
                    None => format!("no offset {}-{}", key.topic, key.partition),
                },
                CoordinatorRecord::Group { group, value: None } => format!("no group {group}"),
                CoordinatorRecord::Group {
                    value: Some(value), ..
                } => {
                    let members: Vec<String> = value
                        .members
                        .iter()
                        .map(|member| format!("{}:{}", member.id, text(&member.assignment)))
                        .collect();
                    format!(
                        "group generation {} [{}]",
                        value.generation,
                        members.join(" ")
                    )
                }
            };
            writeln!(self.out, "wrote {line}").unwrap();
        }
        self.logged = self.world.log.len();
        for (reply, answer) in self.world.answers.split_off(self.told) {
            if self.world.answer(reply).is_some() {
                continue; // the host answers once
            }
            let name = self.asked[&reply].clone();
            let line = match &answer {
                GroupReply::Join(Ok(joined)) => {
                    let client = self.clients.get_mut(&name).unwrap();
                    client.id = joined.member_id.to_string();
                    client.generation = joined.generation;
                    let members: Vec<String> = joined
                        .members
                        .iter()
                        .map(|member| member.member_id.to_string())
                        .collect();
                    format!(
                        "joined as {} generation {} protocol {} leader {}{}{}",
                        joined.member_id,
                        joined.generation,
                        joined.protocol.as_deref().unwrap_or("none"),
                        joined.leader,
                        if members.is_empty() {
                            String::new()
                        } else {
                            format!(" of [{}]", members.join(" "))
                        },
                        if joined.skip_assignment {
                            " skip assignment"
                        } else {
                            ""
                        },
                    )
                }
                GroupReply::Join(Err(refused)) => {
                    if refused.error == GroupError::MemberIdRequired {
                        self.clients.get_mut(&name).unwrap().id = refused.member_id.to_string();
                    }
                    format!("join {:?} id \"{}\"", refused.error, refused.member_id)
                }
                GroupReply::Sync(Ok(synced)) => format!("synced {}", text(&synced.assignment)),
                GroupReply::Sync(Err(error)) => format!("sync {error:?}"),
            };
            writeln!(self.out, "{name} {line}").unwrap();
            self.world.answers.push((reply, answer));
        }
        self.told = self.world.answers.len();
    }

    fn show(&mut self) {
        let Some(group) = self.world.shard.describe("g") else {
            return writeln!(self.out, "group is gone").unwrap();
        };
        let members: Vec<Arc<str>> = group.members.into_iter().map(|m| m.member_id).collect();
        writeln!(self.out, "group {} [{}]", group.state, members.join(" ")).unwrap();
    }
}

fn number(options: &Options<'_>, key: &str) -> Option<i32> {
    options.get(key).map(|value| value.parse().unwrap())
}

fn text(bytes: &Bytes) -> String {
    if bytes.is_empty() {
        "-".to_owned()
    } else {
        String::from_utf8_lossy(bytes).into_owned()
    }
}

fn write_error(name: &str) -> Option<WriteError> {
    match name {
        "" | "never" => None,
        "storage" => Some(WriteError::Storage),
        "late" => Some(WriteError::TimedOut),
        "replicas" => Some(WriteError::NotEnoughReplicas),
        "large" => Some(WriteError::TooLarge),
        other => panic!("no such failure: {other}"),
    }
}

fn settings(line: &str) -> GroupSettings {
    let mut settings = GroupSettings::default();
    for (key, value) in line
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
    {
        match key {
            "delay" => settings.initial_rebalance_delay_ms = value.parse().unwrap(),
            "max" => settings.members_max = value.parse().unwrap(),
            other => panic!("no such setting: {other}"),
        }
    }
    settings
}

/// Runs the scenarios of a file: each opens with a `#` line and is a list of blocks.
fn check(path: &str, content: &str) {
    let mut actual = String::new();
    for scenario in content
        .split("\n# ")
        .filter(|scenario| !scenario.trim().is_empty())
    {
        let scenario = scenario.strip_prefix("# ").unwrap_or(scenario);
        let (title, body) = scenario.split_once('\n').unwrap();
        writeln!(actual, "# {title}").unwrap();
        let mut script: Option<Script> = None;
        for block in body
            .split("\n\n")
            .map(str::trim)
            .filter(|block| !block.is_empty())
        {
            let input = block.split("\n---").next().unwrap().trim();
            for line in input.lines() {
                if let Some(line) = line.strip_prefix("set ") {
                    script = Some(Script::new(settings(line)));
                } else {
                    script
                        .get_or_insert_with(|| Script::new(GroupSettings::default()))
                        .run(line);
                }
            }
            let out = script
                .as_mut()
                .map(|script| std::mem::take(&mut script.out));
            write!(actual, "{input}\n---\n{}\n", out.unwrap_or_default()).unwrap();
        }
    }
    if std::env::var_os("UPDATE").is_some() {
        #[expect(
            clippy::disallowed_methods,
            reason = "rewrites the script in the source tree"
        )]
        std::fs::write(path, &actual).unwrap();
        return;
    }
    for (number, (expected, actual)) in content.lines().zip(actual.lines()).enumerate() {
        assert_eq!(actual, expected, "{path}:{}", number + 1);
    }
    assert_eq!(actual, content, "{path}");
}

macro_rules! scripts {
    ($($(#[$meta:meta])* $name:ident => $file:literal;)*) => {
        $(
            $(#[$meta])*
            #[test]
            fn $name() {
                let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/coordinator/group/tests/", $file);
                check(path, include_str!($file));
            }
        )*
    };
}

scripts! {
    groups_form_rebalance_and_end => "rebalance.script";
    static_members_keep_their_place => "static.script";
    failed_and_late_writes_leave_no_half_state => "writes.script";
}
