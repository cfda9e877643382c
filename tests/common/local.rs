//! One broker on the machine's own disk and network, which can be stopped or killed and started again.

use super::client::Client;
use ottla::Server;
use ottla::config::{BrokerConfig, Properties};
use ottla::runtime::os;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Local {
    dir: TempDir,
    settings: Vec<(String, String)>,
    server: Option<Server>,
}

/// What `path` shows over HTTP.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: b\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
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
        Local::start_on(tempfile::tempdir().unwrap(), settings).await
    }

    /// Starts on what is in the directory.
    pub(crate) async fn start_on(dir: TempDir, settings: &[(&str, &str)]) -> Local {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut local = Local {
            dir,
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

    /// Another setting, from the next start on.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Serves health and metrics; where.
    pub(crate) async fn serve_http(&self) -> SocketAddr {
        let server = self.server.as_ref().expect("the broker runs");
        server.serve_http("127.0.0.1", 0).await.unwrap()
    }

    /// Starts a broker that was ended.
    pub(crate) async fn resume(&mut self) {
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
