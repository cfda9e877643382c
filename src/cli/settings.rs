//! From file, environment and command line to one set of properties.

use super::args::RunArgs;
use super::{Failure, file};
use crate::config::{FromEnv, Properties};
use crate::runtime::Disk;

/// What a broker shall run with, and what it should say about where that came from.
pub(super) struct Settings {
    pub(super) properties: Properties,
    pub(super) env: FromEnv,
    /// Where health and metrics are served.
    pub(super) http: Option<HttpAddress>,
}

/// A host and a port; 0 takes a free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpAddress {
    pub(super) host: String,
    pub(super) port: u16,
}

impl HttpAddress {
    /// `HOST:PORT`, or a port on this machine's loopback: nobody is asked who he is.
    pub(super) fn parse(text: &str) -> Result<HttpAddress, Failure> {
        let wrong = || {
            Failure::input(format!(
                "--http '{text}': expected a port or HOST:PORT, such as 9644 or 127.0.0.1:9644"
            ))
        };
        let (host, port) = host_and_port(text, "127.0.0.1").ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(HttpAddress {
            host: host.to_owned(),
            port,
        })
    }
}

/// The environment, as far as it is text.
pub(super) fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Puts every source over the one before: file or defaults, environment, `--listen` and `--data`,
/// `--set`.
pub(super) fn gather(
    args: &RunArgs,
    disk: &dyn Disk,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Settings, Failure> {
    let mut properties = match &args.file {
        Some(path) => file::read(disk, path)?,
        None => Properties::embedded(),
    };
    // The default id gives way to one that is set under either of its names.
    let default_id = match &args.file {
        Some(_) => None,
        None => properties.remove("node.id"),
    };
    let mut env = Properties::from_env(variables);
    properties.merge(std::mem::take(&mut env.properties));
    if let Some(address) = &args.listen {
        listen(&mut properties, address)?;
    }
    if let Some(dir) = &args.data {
        let dir = dir
            .to_str()
            .ok_or_else(|| Failure::input("--data: the path is no UTF-8"))?;
        if dir.is_empty() || dir.contains(',') {
            return Err(Failure::input(format!(
                "--data '{dir}': one directory, without commas"
            )));
        }
        properties.set("log.dirs", dir);
        properties.remove("metadata.log.dir");
    }
    file::set(&mut properties, &args.set).map_err(Failure::input)?;
    if let Some(id) = default_id
        && properties.get("node.id").is_none()
        && properties.get("broker.id").is_none()
    {
        properties.set("node.id", id);
    }
    let http = args.http.as_deref().map(HttpAddress::parse).transpose()?;
    Ok(Settings {
        properties,
        env,
        http,
    })
}

/// `HOST:PORT`, or a port alone, which means `host`.
fn host_and_port<'a>(text: &'a str, host: &'a str) -> Option<(&'a str, u16)> {
    let (host, port) = text.rsplit_once(':').unwrap_or((host, text));
    Some((host, port.parse().ok()?))
}

/// One plain listener, instead of all that were configured.
fn listen(properties: &mut Properties, address: &str) -> Result<(), Failure> {
    let wrong = || {
        Failure::input(format!(
            "--listen '{address}': expected HOST:PORT, such as localhost:9092"
        ))
    };
    let (host, port) = host_and_port(address, "localhost").ok_or_else(wrong)?;
    if host.contains([' ', ',', '/']) {
        return Err(wrong());
    }
    // "Every interface" is no address that a client could be told; without a host the machine's
    // name is advertised.
    let host = if matches!(host, "0.0.0.0" | "[::]" | "::" | "*") {
        ""
    } else {
        host
    };
    properties.set("listeners", format!("PLAINTEXT://{host}:{port}"));
    for key in [
        "advertised.listeners",
        "inter.broker.listener.name",
        "security.inter.broker.protocol",
        "listener.security.protocol.map",
        "controller.listener.names",
        "early.start.listeners",
    ] {
        properties.remove(key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::SetArgs;
    use crate::config::BrokerConfig;
    use crate::runtime::os::OsDisk;
    use crate::runtime::write_whole;
    use std::path::PathBuf;

    fn args() -> RunArgs {
        RunArgs {
            file: None,
            listen: None,
            data: None,
            http: None,
            set: SetArgs { set: Vec::new() },
            log: None,
            kafka_log_lines: false,
        }
    }

    #[test]
    fn a_port_alone_serves_http_on_loopback_only() {
        let address = |text: &str| HttpAddress::parse(text).ok().map(|at| (at.host, at.port));
        let at = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(address("9644"), at("127.0.0.1", 9644));
        assert_eq!(address("0.0.0.0:0"), at("0.0.0.0", 0));
        assert_eq!(address("[::1]:80"), at("::1", 80));
        for wrong in ["", ":9644", "here", "here:", "1:99999"] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }

    fn gathered(args: &RunArgs, env: &[(&str, &str)]) -> Result<Properties, Failure> {
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        gather(args, &OsDisk::default(), env).map(|settings| settings.properties)
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.properties");
        write_whole(&OsDisk::default(), &path, text.as_bytes()).unwrap();
        (dir, path)
    }

    #[test]
    fn without_anything_the_embedded_default_runs() {
        assert_eq!(gathered(&args(), &[]).unwrap(), Properties::embedded());
    }

    /// `--set broker.id=0` was refused: the default node.id is 1, which nobody had set.
    #[test]
    fn the_older_broker_id_alone_takes_the_place_of_the_default_id() {
        let with = |set: &[&str]| RunArgs {
            set: SetArgs {
                set: set.iter().map(|pair| (*pair).to_owned()).collect(),
            },
            ..args()
        };
        let id = |args: &RunArgs| {
            let config = BrokerConfig::from_properties(&gathered(args, &[]).unwrap());
            config.map(|(config, _)| config.node_id.get())
        };
        assert_eq!(id(&with(&["broker.id=0"])), Ok(0));
        assert_eq!(id(&with(&[])), Ok(1));
        assert!(id(&with(&["broker.id=0", "node.id=1"])).is_err());
    }

    #[test]
    fn each_source_lies_over_the_one_before() {
        let (_dir, path) = file("num.partitions=1\nlog.dirs=/a\nnode.id=1\nbroker.rack=file");
        let args = RunArgs {
            file: Some(path),
            data: Some("/d".into()),
            set: SetArgs {
                set: vec!["node.id=4".into(), "node.id=5".into()],
            },
            ..args()
        };
        let env = [
            ("KAFKA_NUM_PARTITIONS", "2"),
            ("KAFKA_LOG_DIRS", "/b"),
            ("KAFKA_NODE_ID", "3"),
        ];
        let properties = gathered(&args, &env).unwrap();
        let read: Vec<_> = properties.iter().collect();
        assert_eq!(
            read,
            [
                ("broker.rack", "file"),
                ("log.dirs", "/d"),
                ("node.id", "5"),
                ("num.partitions", "2")
            ]
        );
    }

    #[test]
    fn listen_replaces_every_listener_of_the_file() {
        let (_dir, path) = file(
            "process.roles=broker,controller\nlisteners=A://:1,CONTROLLER://:2\n\
             advertised.listeners=A://h:1\ninter.broker.listener.name=A\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=A:PLAINTEXT,CONTROLLER:PLAINTEXT",
        );
        for (address, bound) in [
            ("127.0.0.1:0", "PLAINTEXT://127.0.0.1:0"),
            ("[::1]:5", "PLAINTEXT://[::1]:5"),
            ("0.0.0.0:9", "PLAINTEXT://:9"),
            (":9", "PLAINTEXT://:9"),
            ("9093", "PLAINTEXT://localhost:9093"),
        ] {
            let args = RunArgs {
                file: Some(path.clone()),
                listen: Some(address.into()),
                ..args()
            };
            let properties = gathered(&args, &[]).unwrap();
            let (config, _) = BrokerConfig::from_properties(&properties).unwrap();
            assert_eq!(config.listeners.bound.len(), 1);
            assert_eq!(config.listeners.bound[0].to_string(), bound);
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        for address in [
            "",
            "localhost",
            "localhost:",
            "a b:1",
            "a:99999",
            "http://a:1",
        ] {
            let args = RunArgs {
                listen: Some(address.into()),
                ..args()
            };
            assert!(
                matches!(gathered(&args, &[]), Err(Failure::Input(_))),
                "{address}"
            );
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let args = RunArgs {
            file: Some("/no/such/file".into()),
            ..args()
        };
        let Err(Failure::Input(reason)) = gathered(&args, &[]) else {
            panic!("it was read")
        };
        assert!(reason.starts_with("cannot read /no/such/file: "));
    }
}
