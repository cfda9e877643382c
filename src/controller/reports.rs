//! What this broker tells the controller of its log directories: where its replicas lie
//! (`AssignmentsManager`), and which directories have failed (`LogDirFailureChannel`).

use super::Controller;
use crate::metadata::ImageHandle;
use crate::quorum::QuorumError;
use crate::replica::Replicas;
use crate::runtime::{Runtime, sleep_until};
use crate::types::NodeId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::warn;

/// How long to wait after the metadata could not be written.
const RETRY: Duration = Duration::from_secs(1);

/// Reports until the broker stops. The receiver gets the reason if it cannot go on because of what has failed.
pub fn report_directories(
    controller: Controller,
    node: NodeId,
    replicas: Arc<Replicas>,
    image: ImageHandle,
    runtime: &Runtime,
) -> oneshot::Receiver<String> {
    let (fatal, told) = oneshot::channel();
    let runtime = runtime.clone();
    let tasks = runtime.tasks.clone();
    runtime.tasks.clone().spawn(async move {
        loop {
            if let Some(reason) = replicas.fatal_failure() {
                // Nobody listens where the broker is embedded and never stops by itself.
                let _ = fatal.send(reason);
                return;
            }
            let reported = report(&controller, node, &replicas, &image).await;
            let retry_at = runtime.clock.monotonic() + RETRY;
            if let Err(error) = &reported {
                warn!(%error, "could not report the state of the log directories");
            }
            tokio::select! {
                biased;
                () = tasks.stopping() => return,
                () = replicas.directories_changed() => {}
                () = sleep_until(retry_at), if reported.is_err() => {}
            }
        }
    });
    told
}

async fn report(
    controller: &Controller,
    node: NodeId,
    replicas: &Replicas,
    image: &ImageHandle,
) -> Result<(), QuorumError> {
    // Places first: a replica that nobody has placed cannot have failed with its directory.
    let places = replicas.misplaced(&image.load());
    controller.assign_directories(node, &places).await?;
    controller
        .directories_failed(node, &replicas.directory_ids())
        .await
}
