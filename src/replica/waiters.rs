//! Fetches that wait for bytes, and how an append wakes them.
//!
//! A waiter is woken once enough bytes were appended to its partitions together, or when one of
//! them changed hands; an append wakes nobody whom it does not concern.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// One fetch that waits, known to each partition that it reads.
#[derive(Debug)]
pub struct Waiter {
    /// Bytes that must still come before it is worth waking.
    missing: AtomicI64,
    /// The fetch has its answer, or its connection is gone.
    over: AtomicBool,
    notify: Notify,
}

impl Waiter {
    /// A waiter to be woken after `missing` bytes.
    pub fn new(missing: u64) -> Arc<Waiter> {
        Arc::new(Waiter {
            missing: AtomicI64::new(i64::try_from(missing).unwrap_or(i64::MAX)),
            over: AtomicBool::new(false),
            notify: Notify::new(),
        })
    }

    /// Returns when woken; at once if that has happened since the last time.
    pub async fn woken(&self) {
        self.notify.notified().await;
    }

    /// Asks to be woken again after `missing` more bytes.
    pub fn again(&self, missing: u64) {
        self.missing.store(
            i64::try_from(missing).unwrap_or(i64::MAX),
            Ordering::Release,
        );
    }

    /// Partitions forget the waiter when they next look at it.
    pub fn finish(&self) {
        self.over.store(true, Ordering::Release);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn appended(&self, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        if self.missing.fetch_sub(bytes, Ordering::AcqRel) <= bytes {
            self.notify.notify_one();
        }
    }

    fn wake(&self) {
        self.notify.notify_one();
    }
}

/// The waiters of one partition.
#[derive(Debug, Default)]
pub struct Waiters {
    /// How many are listed; read on every append, so that one nobody waits for takes no lock.
    count: AtomicUsize,
    /// Held for one push or one pass.
    list: Mutex<Vec<Arc<Waiter>>>,
}

impl Waiters {
    /// From now on `waiter` hears of appends. Whoever registers looks at the log afterwards: what
    /// was appended before is not told.
    pub fn register(&self, waiter: &Arc<Waiter>) {
        let mut list = self.list.lock();
        // Those that timed out are dropped here, so that a partition nobody writes to does not
        // gather them.
        list.retain(|waiter| !waiter.is_over());
        list.push(waiter.clone());
        self.count.store(list.len(), Ordering::SeqCst);
    }

    /// `bytes` became readable.
    pub fn appended(&self, bytes: u64) {
        self.each(|waiter| waiter.appended(bytes));
    }

    /// Something other than bytes: the leader changed, the partition is gone.
    pub fn wake_all(&self) {
        self.each(Waiter::wake);
    }

    fn each(&self, tell: impl Fn(&Waiter)) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut list = self.list.lock();
        list.retain(|waiter| {
            if waiter.is_over() {
                return false;
            }
            tell(waiter);
            true
        });
        self.count.store(list.len(), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn is_woken(waiter: &Waiter) -> bool {
        tokio::time::timeout(Duration::from_millis(1), waiter.woken())
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_is_woken_once_its_bytes_have_come_from_any_of_its_partitions() {
        let (a, b) = (Waiters::default(), Waiters::default());
        let waiter = Waiter::new(100);
        a.register(&waiter);
        b.register(&waiter);
        a.appended(60);
        assert!(!is_woken(&waiter).await);
        b.appended(40);
        assert!(is_woken(&waiter).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_leader_wakes_whoever_waits() {
        let waiters = Waiters::default();
        let waiter = Waiter::new(1_000);
        waiters.register(&waiter);
        waiters.wake_all();
        assert!(is_woken(&waiter).await);
    }

    #[test]
    fn finished_waiters_are_forgotten_even_where_nothing_is_appended() {
        let waiters = Waiters::default();
        for _ in 0..100 {
            let waiter = Waiter::new(1);
            waiters.register(&waiter);
            waiter.finish();
        }
        assert_eq!(waiters.list.lock().len(), 1);
    }
}
