//! A bounded queue whose results come out in the order of their numbers.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// Hands out the numbers 0..count to workers, never more than `ahead` beyond what was taken, and hands
/// on their results in order.
#[derive(Debug)]
pub(super) struct OrderedQueue<T> {
    count: usize,
    ahead: usize,
    state: Mutex<State<T>>,
    /// A result has come.
    arrived: Condvar,
    /// A result was taken, or the queue was stopped.
    room: Condvar,
}

#[derive(Debug)]
struct State<T> {
    next: usize,
    taken: usize,
    done: BTreeMap<usize, T>,
    stopped: bool,
}

impl<T> OrderedQueue<T> {
    pub fn new(count: usize, ahead: usize) -> Self {
        let state = State { next: 0, taken: 0, done: BTreeMap::new(), stopped: false };
        let (arrived, room) = (Condvar::new(), Condvar::new());
        Self { count, ahead, state: Mutex::new(state), arrived, room }
    }

    /// The next number to work on, once there is room; `None` when nothing is left to do.
    pub fn claim(&self) -> Option<usize> {
        let full =
            |s: &mut State<T>| !s.stopped && s.next < self.count && s.next >= s.taken + self.ahead;
        let waited = self.room.wait_while(self.lock(), full);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.stopped || state.next >= self.count {
            return None;
        }
        state.next += 1;
        Some(state.next - 1)
    }

    /// The result of number `i`.
    pub fn put(&self, i: usize, result: T) {
        self.lock().done.insert(i, result);
        self.arrived.notify_all();
    }

    /// Waits for the next result in order; `None` after the last one or when stopped.
    pub fn take(&self) -> Option<T> {
        let awaited =
            |s: &mut State<T>| !s.stopped && s.taken < self.count && !s.done.contains_key(&s.taken);
        let waited = self.arrived.wait_while(self.lock(), awaited);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            return None;
        }
        let number = state.taken;
        let result = state.done.remove(&number)?;
        state.taken += 1;
        drop(state);
        self.room.notify_all();
        Some(result)
    }

    /// Lets workers and the taker go, and drops what was made ahead.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.done.clear();
        drop(state);
        self.arrived.notify_all();
        self.room.notify_all();
    }

    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
