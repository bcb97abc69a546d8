//! Cache files of teacher outputs.
//!
//! - `output_file.rs`: recording and reading, dtypes, atomic files.
//! - `corrupted_input.rs`: files of another identity, damaged files, outputs that cannot be
//!   recorded.
//! - `shards.rs`: several caches as one teacher.
//! - `digest.rs`: digests of weights, files and samples.

mod corrupted_input;
mod digest;
mod output_file;
mod shards;

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

/// Another teacher with outputs in this dtype.
pub struct WithKind<T>(pub T, pub Kind);

impl<T: Teacher> Teacher for WithKind<T> {
    fn modality(&self) -> &g2d::Modality {
        self.0.modality()
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let TeacherOutput { features, logits, .. } = self.0.output(m, batch)?;
        let convert = |tensor: Tensor| tensor.to_kind(self.1);
        Ok(TeacherOutput { features: convert(features), logits: convert(logits), host: None })
    }
}
