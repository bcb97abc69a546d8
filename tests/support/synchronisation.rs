//! Counts how often the library synchronises with a device.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tracing::{Event, Metadata, Subscriber, span};

/// Runs `action` and returns its result and the number of reads that synchronise with a device.
/// Reads from the CPU count too, so that a test needs no GPU.
pub fn count_synchronisations<T>(action: impl FnOnce() -> T) -> (T, u64) {
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
