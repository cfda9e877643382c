//! What the tests of the whole broker share.

#![allow(dead_code, reason = "each group of tests uses its own part of this")]

pub(crate) mod client;
pub(crate) mod crash;
pub(crate) mod frames;
pub(crate) mod history;
pub(crate) mod local;
pub(crate) mod process;
pub(crate) mod world;

use std::path::Path;
use std::time::Duration;

/// How long something may take that comes by itself; much, since the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until there is something; fails, saying `what` is awaited, if it never comes.
pub(crate) async fn awaited<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    const PAUSE: Duration = Duration::from_millis(10);
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    });
    found
        .await
        .unwrap_or_else(|_| panic!("still awaited: {what}"))
}

/// Looks again and again until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    awaited(what, async || is_so().await.then_some(())).await;
}

/// What lies in a directory, by name.
#[expect(
    clippy::disallowed_methods,
    reason = "a test looks behind the broker's back"
)]
pub(crate) fn names_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}
