//! Tasks that the broker starts, and their end.

use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where work that blocks for long (recovery, fsync, deleting files) is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// On tokio's blocking threads.
    Threads,
    /// Where it is called: the simulator's choice, so that one seed is one order of events. Nobody waits for
    /// [`Tasks::spawn_blocking`], so that comes later, as if the disk took its time.
    Inline,
}

/// How much later the simulator does what was to be done beside everything else.
const SIMULATED_DELAY: Duration = Duration::from_millis(2);

/// Spawns tasks, tells them to stop, and waits until they have.
#[derive(Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    blocking: Blocking,
}

impl Tasks {
    pub fn new(blocking: Blocking) -> Tasks {
        Tasks {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            blocking,
        }
    }

    /// A group of tasks of its own: stopped with its parent, or alone.
    pub fn child(&self) -> Tasks {
        Tasks {
            tracker: TaskTracker::new(),
            stop: self.stop.child_token(),
            blocking: self.blocking,
        }
    }

    /// Runs `task` beside the others. It should end soon after [`Tasks::stopping`].
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that spawns"
    )]
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(self.tracker.track_future(task));
    }

    /// Runs `work`, which may block, off the busy threads, and gives its result.
    /// `None` if it panicked.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that leaves the workers"
    )]
    pub async fn blocking<T, F>(&self, work: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        match self.blocking {
            Blocking::Inline => Some(work()),
            Blocking::Threads => self
                .tracker
                .track_future(tokio::task::spawn_blocking(work))
                .await
                .ok(),
        }
    }

    /// Runs `work`, which may block, beside everything else.
    pub fn spawn_blocking(&self, work: impl FnOnce() + Send + 'static) {
        match self.blocking {
            Blocking::Inline => self.spawn(async move {
                tokio::time::sleep(SIMULATED_DELAY).await;
                work();
            }),
            Blocking::Threads => drop(self.tracker.spawn_blocking(work)),
        }
    }

    /// How blocking work runs; decides whether work may be split over threads.
    pub fn blocking_kind(&self) -> Blocking {
        self.blocking
    }

    /// Returns once [`Tasks::stop`] was called.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells every task of this group to stop; does not wait.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until every task of this group has ended.
    pub async fn stopped(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
