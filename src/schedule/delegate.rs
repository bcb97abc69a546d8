//! Implements a scheduler by another value.

/// Implements methods of [`SmpScheduler`](super::SmpScheduler) by the methods of the same names of the
/// value that a pattern for `self` binds: `all` of them, or those about `memory` alone.
macro_rules! delegate {
    (all, $($pattern:pat => $to:expr),+) => {
        fn bind(&mut self, modalities: &[$crate::modality::Modality]) -> $crate::error::Result<()> {
            match self { $($pattern => $to.bind(modalities)),+ }
        }

        fn needs_confidence(&self) -> bool {
            match self { $($pattern => $to.needs_confidence()),+ }
        }

        fn reads_confidence(&self, at: $crate::schedule::Progress) -> bool {
            match self { $($pattern => $to.reads_confidence(at)),+ }
        }

        fn plan(
            &mut self,
            at: $crate::schedule::Progress,
            candidates: &$crate::schedule::Candidates,
        ) -> $crate::error::Result<$crate::schedule::Plan> {
            match self { $($pattern => $to.plan(at, candidates)),+ }
        }

        $crate::schedule::delegate::delegate!(memory, $($pattern => $to),+);
    };
    (memory, $($pattern:pat => $to:expr),+) => {
        fn end_epoch(
            &mut self,
            epoch: u64,
            confidence: &[Option<f64>],
        ) -> $crate::error::Result<()> {
            match self { $($pattern => $to.end_epoch(epoch, confidence)),+ }
        }

        fn state(&self) -> $crate::error::Result<$crate::state::State> {
            match self { $($pattern => $to.state()),+ }
        }

        fn restore(&mut self, state: &$crate::state::State) -> $crate::error::Result<()> {
            match self { $($pattern => $to.restore(state)),+ }
        }
    };
}

pub(super) use delegate;
