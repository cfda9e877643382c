//! One broker on the machine's own disk and network, which can be stopped or killed and started again.

use super::client::Client;
use ottla::Server;
use ottla::config::{BrokerConfig, Properties};
use ottla::runtime::{Runtime, os};
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Local {
    dir: TempDir,
    settings: Vec<(String, String)>,
    runtime: Runtime,
    server: Option<Server>,
}

/// The configuration of a broker that listens on a free port of this machine, with these settings over the
/// defaults.
pub(crate) fn config(settings: &[(&str, &str)]) -> BrokerConfig {
    let mut properties = Properties::embedded();
    properties.set("listeners", "PLAINTEXT://127.0.0.1:0");
    for (key, value) in settings {
        properties.set(*key, *value);
    }
    BrokerConfig::from_properties(&properties).unwrap().0
}

/// What is answered to `request` over HTTP.
pub(crate) async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// What `path` shows over HTTP.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: b\r\n\r\n")).await
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
        Local::start_in(os::runtime(), dir, settings).await
    }

    pub(crate) async fn start_in(
        runtime: Runtime,
        dir: TempDir,
        settings: &[(&str, &str)],
    ) -> Local {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut local = Local {
            dir,
            settings: settings.iter().map(own).collect(),
            runtime,
            server: None,
        };
        local.resume().await;
        local
    }

    /// `log.dirs`, unless the settings say otherwise.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("the broker runs")
    }

    pub(crate) async fn connect(&self) -> Client<TcpStream> {
        Client::to(self.server().bootstrap()).await
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

    /// Why it has failed; waits until it has.
    pub(crate) async fn failed(&mut self) -> String {
        self.server
            .as_mut()
            .expect("the broker runs")
            .failed()
            .await
    }

    /// Another setting, from the next start on.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Serves health and metrics; where.
    pub(crate) async fn serve_http(&self) -> SocketAddr {
        self.server().serve_http("127.0.0.1", 0).await.unwrap()
    }

    /// Starts a broker that was ended.
    pub(crate) async fn resume(&mut self) {
        let dir = self.dir.path().to_str().expect("a path in UTF-8");
        let mut settings = vec![("log.dirs", dir), ("auto.create.topics.enable", "false")];
        settings.extend(self.settings.iter().map(|(key, value)| (&**key, &**value)));
        let started = Server::start(config(&settings), self.runtime.clone()).await;
        self.server = Some(started.unwrap());
    }
}
