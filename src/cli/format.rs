//! `ottla format`: gives empty data directories the id of a cluster, as kafka-storage does.
//!
//! Every directory is looked at before the first is written. `bootstrap.checkpoint`, which Apache
//! Kafka's tool also writes, holds the first feature levels of a new cluster. It is obeyed, but not
//! written: where it is missing, the first start of either broker takes its own defaults.

use super::args::FormatArgs;
use super::{Failure, file};
use crate::config::{BrokerConfig, Properties};
use crate::log::MetaProperties;
use crate::runtime::os::OsRng;
use crate::runtime::{Disk, Rng};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub(super) fn format(args: &FormatArgs, disk: &dyn Disk) -> Result<(), Failure> {
    let properties = file::read(disk, &args.config)?;
    let (config, _) = BrokerConfig::from_properties(&properties).map_err(Failure::input)?;
    let plan = plan(&config, &args.cluster_id, disk)?;
    match plan.formatted.first() {
        Some(dir) if !args.ignore_formatted => {
            return Err(Failure::work(format!(
                "{} is already formatted; --ignore-formatted formats the others",
                dir.display()
            )));
        }
        _ => {}
    }
    if plan.empty.is_empty() {
        println!("All of the log directories are already formatted.");
    }
    write(&plan, &config, &args.cluster_id, disk, |dir| {
        println!("Formatting {}", dir.display())
    })
}

/// Formats what is not formatted yet, for a broker that starts right after.
pub(super) fn format_for_start(
    properties: &Properties,
    cluster_id: &str,
    disk: &dyn Disk,
) -> Result<(), Failure> {
    let (config, _) = BrokerConfig::from_properties(properties).map_err(Failure::input)?;
    let plan = plan(&config, cluster_id, disk)?;
    write(&plan, &config, cluster_id, disk, |_| {})
}

/// Which directories have an id already, and which do not.
struct Plan {
    formatted: Vec<PathBuf>,
    empty: Vec<PathBuf>,
}

fn plan(config: &BrokerConfig, cluster_id: &str, disk: &dyn Disk) -> Result<Plan, Failure> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if cluster_id.is_empty() || !cluster_id.bytes().all(plain) {
        return Err(Failure::input(format!(
            "cluster id '{cluster_id}': expected letters, digits, - and _, as `ottla random-uuid` \
             prints them"
        )));
    }
    let mut dirs: BTreeSet<&PathBuf> = config.directories.log_dirs.iter().collect();
    dirs.insert(&config.directories.metadata_dir);
    let mut plan = Plan {
        formatted: Vec::new(),
        empty: Vec::new(),
    };
    for dir in dirs {
        match MetaProperties::read(disk, dir) {
            Ok(Some(meta)) => {
                same_cluster_and_node(dir, &meta, config, cluster_id)?;
                plan.formatted.push(dir.clone());
            }
            Ok(None) => plan.empty.push(dir.clone()),
            Err(error) => {
                return Err(Failure::work(format!(
                    "cannot read {}: {error}",
                    dir.display()
                )));
            }
        }
    }
    Ok(plan)
}

fn same_cluster_and_node(
    dir: &Path,
    meta: &MetaProperties,
    config: &BrokerConfig,
    cluster_id: &str,
) -> Result<(), Failure> {
    let node_id = config.node_id.to_string();
    for (what, found, wanted) in [
        ("cluster", &meta.cluster_id, cluster_id),
        ("node", &meta.node_id.to_string(), node_id.as_str()),
    ] {
        if found != wanted {
            return Err(Failure::work(format!(
                "{} belongs to {what} {found}, not to {what} {wanted}",
                dir.display()
            )));
        }
    }
    Ok(())
}

fn write(
    plan: &Plan,
    config: &BrokerConfig,
    cluster_id: &str,
    disk: &dyn Disk,
    tell: impl Fn(&Path),
) -> Result<(), Failure> {
    for dir in &plan.empty {
        tell(dir);
        let meta = MetaProperties {
            cluster_id: cluster_id.to_owned(),
            node_id: config.node_id,
            directory_id: Some(OsRng.uuid()),
        };
        disk.create_dir_all(dir)
            .and_then(|()| meta.write(disk, dir))
            .map_err(|error| Failure::work(format!("cannot write {}: {error}", dir.display())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::os::OsDisk;
    use crate::runtime::write_whole;
    use crate::types::NodeId;

    const ID: &str = "4L6g3nShT-eMCtK--X86sw";

    struct Case {
        dir: tempfile::TempDir,
        args: FormatArgs,
    }

    fn case() -> Case {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("server.properties");
        let data = dir.path().join("data");
        let text = format!("node.id=7\nlog.dirs={0}/a,{0}/b\n", data.display());
        write_whole(&OsDisk::default(), &config, text.as_bytes()).unwrap();
        let args = FormatArgs {
            cluster_id: ID.to_owned(),
            config,
            ignore_formatted: false,
            standalone: true,
            no_initial_controllers: false,
        };
        Case { dir, args }
    }

    fn meta(case: &Case, dir: &str) -> MetaProperties {
        let path = case.dir.path().join("data").join(dir);
        MetaProperties::read(&OsDisk::default(), &path)
            .unwrap()
            .unwrap()
    }

    fn reason(result: Result<(), Failure>) -> String {
        match result {
            Err(Failure::Input(reason) | Failure::Work(reason)) => reason,
            Ok(()) => panic!("it was formatted"),
        }
    }

    #[test]
    fn every_directory_gets_the_clusters_id_and_one_of_its_own() {
        let case = case();
        format(&case.args, &OsDisk::default()).unwrap();
        let (a, b) = (meta(&case, "a"), meta(&case, "b"));
        for meta in [&a, &b] {
            assert_eq!(meta.cluster_id, ID);
            assert_eq!(meta.node_id, NodeId(7));
        }
        assert_ne!(a.directory_id, b.directory_id);
    }

    #[test]
    fn a_formatted_directory_is_left_alone_or_refused() {
        let mut case = case();
        format(&case.args, &OsDisk::default()).unwrap();
        let before = meta(&case, "a");
        assert!(reason(format(&case.args, &OsDisk::default())).contains("already formatted"));
        case.args.ignore_formatted = true;
        format(&case.args, &OsDisk::default()).unwrap();
        assert_eq!(meta(&case, "a"), before);
    }

    #[test]
    fn directories_of_another_cluster_or_node_are_never_touched() {
        let mut case = case();
        format(&case.args, &OsDisk::default()).unwrap();
        case.args.ignore_formatted = true;
        case.args.cluster_id = "5L6g3nShT-eMCtK--X86sw".to_owned();
        let other = reason(format(&case.args, &OsDisk::default()));
        assert!(
            other.contains(ID) && other.contains(&case.args.cluster_id),
            "{other}"
        );
    }

    #[test]
    fn a_cluster_id_that_no_broker_could_read_is_refused_before_anything_is_written() {
        let mut case = case();
        case.args.cluster_id = "my cluster".to_owned();
        assert!(matches!(
            format(&case.args, &OsDisk::default()),
            Err(Failure::Input(_))
        ));
        assert!(!OsDisk::default().exists(&case.dir.path().join("data")));
    }
}
