//! One broker on the machine's own disk and network, which can be stopped or killed and started again.

use super::client::Client;
use ottla::Server;
use ottla::config::{BrokerConfig, Properties};
use ottla::runtime::os;
use std::path::Path;
use tempfile::TempDir;
use tokio::net::TcpStream;

pub(crate) struct Local {
    dir: TempDir,
    settings: Vec<(String, String)>,
    server: Option<Server>,
}

/// How a broker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Stop,
    Kill,
}

impl Local {
    /// Starts on an empty directory, with these settings over the defaults.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Local {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut local = Local {
            dir: tempfile::tempdir().unwrap(),
            settings: settings.iter().map(own).collect(),
            server: None,
        };
        local.resume().await;
        local
    }

    /// `log.dirs`, unless the settings say otherwise.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) async fn connect(&self) -> Client<TcpStream> {
        let server = self.server.as_ref().expect("the broker runs");
        Client::over(TcpStream::connect(server.bootstrap()).await.unwrap())
    }

    /// Ends the broker, and starts it again on what it left.
    pub(crate) async fn restart(&mut self, end: End) -> Client<TcpStream> {
        self.end(end).await;
        self.resume().await;
        self.connect().await
    }

    pub(crate) async fn end(&mut self, end: End) {
        let server = self.server.take().expect("the broker runs");
        match end {
            End::Stop => server.stop().await,
            End::Kill => server.kill().await,
        }
    }

    async fn resume(&mut self) {
        let mut properties = Properties::embedded();
        for listeners in ["listeners", "advertised.listeners"] {
            properties.set(listeners, "PLAINTEXT://127.0.0.1:0");
        }
        properties.set(
            "log.dirs",
            self.dir.path().to_str().expect("a path in UTF-8"),
        );
        properties.set("auto.create.topics.enable", "false");
        for (key, value) in &self.settings {
            properties.set(key, value);
        }
        let (config, _) = BrokerConfig::from_properties(&properties).unwrap();
        self.server = Some(Server::start(config, os::runtime()).await.unwrap());
    }
}
