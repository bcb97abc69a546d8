//! The methods of an algorithm that its session has.

/// Implements the methods of [`Algorithm`](crate::algorithm::Algorithm) that are those of the field
/// `session`.
macro_rules! session_methods {
    () => {
        fn modalities(&self) -> &[crate::modality::Modality] {
            self.session.modalities()
        }

        fn progress(&self) -> crate::schedule::Progress {
            self.session.progress()
        }

        fn device(&self) -> tch::Device {
            self.session.device()
        }

        fn end_epoch(&mut self) -> crate::error::Result<crate::step::EpochReport> {
            self.session.end_epoch()
        }
    };
    (stateless) => {
        super::delegate::session_methods!();

        fn state(&mut self) -> crate::error::Result<crate::trainer::ResumeState> {
            self.session.state(&())
        }

        fn restore(&mut self, state: &crate::trainer::ResumeState) -> crate::error::Result<()> {
            self.session.restore(state, |()| Ok(()))
        }
    };
}

pub(super) use session_methods;
