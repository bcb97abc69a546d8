//! Teachers' answers on disk.
//!
//! - `output_file.rs`: what comes back, in which kinds, and what is left on disk.
//! - `corrupted_input.rs`: what does not belong, is cut or altered.
//! - `digest.rs`: what a digest sees.

mod corrupted_input;
mod digest;
mod output_file;

use std::path::Path;

use g2d::{
    Batch, Result, Teacher, TeacherOutput,
    teacher::cache::{self, Digest},
};
use tch::{Kind, Tensor};

use crate::support::{CLASSES, Tiny, WIDTH};

pub fn identity(name: &str) -> cache::Identity {
    cache::Identity::new("m0", Digest::from_parts(["weights", name]), Digest::from_parts(["data"]))
        .feature_shape([WIDTH])
        .classes(CLASSES)
}

pub fn file(path: &Path) -> cache::OutputFile {
    cache::OutputFile::new(path, identity("a"))
}

/// Two batches of 4 and 3 samples with the ids 100 to 106.
pub fn batches(student: &Tiny) -> Vec<Result<Batch>> {
    let second = student.batch(3, 7.0).with_ids([104, 105, 106]);
    vec![Ok(student.batch(4, 0.4)), Ok(second)]
}

/// Answers in another kind.
pub struct Kinded<T>(pub T, pub Kind);

impl<T: Teacher> Teacher for Kinded<T> {
    fn modality(&self) -> &g2d::Modality {
        self.0.modality()
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let said = self.0.output(m, batch)?;
        let kinded = |tensor: Tensor| tensor.to_kind(self.1);
        Ok(TeacherOutput {
            features: kinded(said.features),
            logits: kinded(said.logits),
            host: None,
        })
    }
}
