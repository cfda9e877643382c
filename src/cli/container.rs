//! `ottla container`: what the apache/kafka image's `/etc/kafka/docker/run` does.
//!
//! Arguments are variables over those of the environment. A file mounted at /mnt/shared/config has the
//! variables over it; without one the variables stand alone, over Kafka's defaults; without any
//! variable the image's own file is used. `CLUSTER_ID` formats what is not formatted yet.

use super::args::ContainerArgs;
use super::run::{self, LogLines};
use super::settings::{self, HttpAddress, Settings};
use super::{Failure, file, format};
use crate::config::Properties;
use crate::runtime::Disk;
use std::collections::BTreeMap;
use std::path::Path;

const MOUNTED: &str = "/mnt/shared/config/server.properties";
const OF_THE_IMAGE: &str = "/etc/kafka/docker/server.properties";

/// The image's own default, so that two containers without a setting are one cluster.
const CLUSTER_ID: &str = "5L6g3nShT-eMCtK--X86sw";

/// Where a container serves health and metrics; off without it.
const HTTP: &str = "OTTLA_HTTP";

pub(super) fn container(args: &ContainerArgs, disk: &dyn Disk) -> Result<(), Failure> {
    let variables = variables(args, settings::variables())?;
    let cluster_id = variables.get("CLUSTER_ID").filter(|id| !id.is_empty());
    let cluster_id = cluster_id.map_or(CLUSTER_ID, String::as_str).to_owned();
    let settings = gather(variables, disk)?;
    format::format_for_start(&settings.properties, &cluster_id, disk)?;
    run::start(&settings, None, LogLines::KafkasToo)
}

fn variables(
    args: &ContainerArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut variables: BTreeMap<String, String> = environment.into_iter().collect();
    for pair in &args.variables {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Failure::input(format!("'{pair}': expected NAME=VALUE")))?;
        variables.insert(name.to_owned(), value.to_owned());
    }
    Ok(variables)
}

fn gather(variables: BTreeMap<String, String>, disk: &dyn Disk) -> Result<Settings, Failure> {
    let http = match variables.get(HTTP) {
        Some(address) => Some(HttpAddress::parse(address)?),
        None => None,
    };
    let mut env = Properties::from_env(variables);
    let over = std::mem::take(&mut env.properties);
    let mut properties = if disk.exists(Path::new(MOUNTED)) {
        file::read(disk, Path::new(MOUNTED))?
    } else if over.is_empty() {
        file::read(disk, Path::new(OF_THE_IMAGE))?
    } else {
        Properties::new()
    };
    properties.merge(over);
    Ok(Settings {
        properties,
        env,
        http,
    })
}
