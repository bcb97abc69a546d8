//! Counts how often the library synchronises with a device.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicU64, Ordering},
};

use tracing::{Dispatch, Event, Metadata, Subscriber, span};

/// Subscribers that stay alive. With a single one alive, tracing caches whether an event is enabled by
/// the subscriber of the thread that emits it first, which may run another test without a subscriber.
static ALIVE: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| std::array::from_fn(|_| Dispatch::new(Counter(Arc::default()))));

/// Runs `action` and returns its result and the number of reads that synchronise with a device.
/// Reads from the CPU count too, so that a test needs no GPU.
pub fn count_synchronisations<T>(action: impl FnOnce() -> T) -> (T, u64) {
    LazyLock::force(&ALIVE);
    let count = Arc::new(AtomicU64::new(0));
    let result = tracing::subscriber::with_default(Counter(count.clone()), action);
    (result, count.load(Ordering::Relaxed))
}

/// Counts the events of target `g2d::sync`.
struct Counter(Arc<AtomicU64>);

impl Subscriber for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "g2d::sync"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
