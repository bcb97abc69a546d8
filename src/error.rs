//! The error type of the crate.
//!
//! [`Error`] names the kind of mistake; its [`Mismatch`] names the value that is wrong, what was
//! expected, what was found, and a hint.

use std::{
    fmt::{Debug, Display},
    path::{Path, PathBuf},
};

use tch::{Device, Kind, TchError};

/// A result with the crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the crate.
///
/// The message names the value that is wrong, what was expected, what was found, and how to correct
/// it. Unless a method's documentation states otherwise, an error leaves parameters, optimizer and
/// files unchanged: inputs are checked before a layer runs, and the loss before backward.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Invalid configuration of a trainer, loss, scheduler, teacher or other part.
    #[error("configuration: {0}")]
    Config(Mismatch),
    /// A tensor has the wrong shape.
    #[error("shape of {0}")]
    Shape(Mismatch),
    /// A tensor has the wrong dtype.
    #[error("dtype of {0}")]
    Kind(Mismatch),
    /// A tensor is on the wrong device.
    #[error("device of {0}")]
    Device(Mismatch),
    /// A target is not valid for the loss, for example a label outside `0..C`.
    #[error("target of {0}")]
    Target(Mismatch),
    /// A value that must be finite is NaN or infinite.
    #[error("value of {0}")]
    NonFinite(Mismatch),
    /// A cached teacher has no output for a sample, or an output cannot be recorded.
    #[error("cache of {0}")]
    Cache(Mismatch),
    /// The content of a file is not valid in its format.
    #[error("{path}: {mismatch}", path = path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with the content.
        mismatch: Mismatch,
    },
    /// A part of a model panicked, as a layer of tch does for an input of the wrong shape, or a data set of
    /// the caller. It was caught: nothing has changed, as after any other error of the model.
    #[error("{part} panicked with the inputs {inputs}: {message}")]
    Panic {
        /// The encoder, head or teacher of a modality, or the fusion.
        part: String,
        /// Names, shapes and dtypes of its inputs.
        inputs: String,
        /// The text of the panic, without libtorch's C++ backtrace.
        message: String,
    },
    /// Another rank of a group has failed. Nothing has changed on this one, as after an error of its own.
    #[error("rank {rank} failed: {message}")]
    Rank {
        /// The first rank that has failed.
        rank: usize,
        /// The message of its error.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{path}: could not {doing}: {source}", path = path.display())]
    Io {
        /// The operation that failed, as an infinitive.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// libtorch failed in an operation whose inputs had passed the checks of this crate.
    #[error("libtorch failed to {doing}: {}", first_line(source))]
    Torch {
        /// The operation that failed, as an infinitive.
        doing: String,
        /// The error of libtorch, with its C++ backtrace.
        source: TchError,
    },
}

/// The parts of a message about a wrong value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: expected {expected}, found {found}; {hint}")]
pub struct Mismatch {
    /// The value that is wrong.
    pub what: String,
    /// What the value should be.
    pub expected: String,
    /// What the value is.
    pub found: String,
    /// How to correct it.
    pub hint: String,
}

impl Mismatch {
    /// A mismatch from any displayable parts.
    pub fn new(
        what: impl Display,
        expected: impl Display,
        found: impl Display,
        hint: impl Display,
    ) -> Self {
        Self {
            what: what.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
            hint: hint.to_string(),
        }
    }

    /// A file format of version `found`, which is above `newest`, the newest that this version of
    /// the crate reads.
    pub(crate) fn newer_format(what: &str, newest: impl Display, found: impl Display) -> Self {
        let what = format!("format version of the {what}");
        let hint = "a newer g2d wrote it: use that version or a later one";
        Self::new(what, format_args!("at most {newest}"), found, hint)
    }

    /// The [`Error::Data`] of this mismatch in the file at `path`.
    pub(crate) fn in_file(self, path: &Path) -> Error {
        Error::Data { path: path.to_path_buf(), mismatch: self }
    }
}

impl Error {
    /// An error of libtorch in an operation, given as an infinitive.
    pub fn torch(doing: impl Into<String>, source: TchError) -> Self {
        Self::Torch { doing: doing.into(), source }
    }

    /// An error of the operating system about `path`.
    pub fn io(doing: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { doing, path: path.to_path_buf(), source }
    }

    /// The content of the file at `path` is not valid.
    pub fn data(
        path: &Path,
        what: impl Display,
        expected: impl Display,
        found: impl Display,
        hint: impl Display,
    ) -> Self {
        Mismatch::new(what, expected, found, hint).in_file(path)
    }

    /// Adds the value that the wrong one was compared with, since either may be the cause.
    pub(crate) fn compared_with(mut self, other: &str) -> Self {
        if let Self::Config(mismatch)
        | Self::Shape(mismatch)
        | Self::Kind(mismatch)
        | Self::Target(mismatch) = &mut self
        {
            mismatch.what = format!("{}, compared with the {other}", mismatch.what);
        }
        self
    }
}

/// Lets `?` convert the errors of fallible tch calls in a student or a teacher.
impl From<TchError> for Error {
    fn from(source: TchError) -> Self {
        Self::torch("run a tensor operation", source)
    }
}

/// The message of a libtorch error without its C++ backtrace of up to 25 lines.
fn first_line(source: &TchError) -> String {
    source.to_string().lines().next().unwrap_or_default().to_owned()
}

/// A constructor `(what, expected, found, hint)` for each variant that holds a [`Mismatch`].
macro_rules! mismatch_constructors {
    ($($name:ident => $variant:ident),* $(,)?) => {$(
        #[doc = concat!("An [`Error::", stringify!($variant), "`].")]
        pub fn $name(
            what: impl Display,
            expected: impl Display,
            found: impl Display,
            hint: impl Display,
        ) -> Error {
            Error::$variant(Mismatch::new(what, expected, found, hint))
        }
    )*};
}

mismatch_constructors! {
    config => Config,
    shape => Shape,
    kind => Kind,
    device => Device,
    target => Target,
    non_finite => NonFinite,
    cache => Cache,
}

/// A tensor of shape `found` where another shape is required.
pub fn wrong_shape(
    what: impl Display,
    expected: impl Display,
    found: &[i64],
    hint: impl Display,
) -> Error {
    shape(what, expected, format_args!("{found:?}"), hint)
}

/// A tensor of dtype `found` where another dtype is required.
pub fn wrong_kind(
    what: impl Display,
    expected: impl Display,
    found: Kind,
    hint: impl Display,
) -> Error {
    kind(what, expected, format_args!("{found:?}"), hint)
}

/// A tensor on another device than `expected`, the device of `owner`.
pub fn wrong_device(
    what: impl Display,
    expected: Device,
    owner: &str,
    found: Device,
    hint: impl Display,
) -> Error {
    let expected = format!("{expected:?}, the device of the {owner}");
    device(what, expected, format_args!("{found:?}"), hint)
}

/// A list that should have one element per modality.
pub fn one_per_modality(
    what: impl Display,
    modalities: &[impl Debug],
    found: usize,
    hint: impl Display,
) -> Error {
    let expected = format!("{}, one for each of {modalities:?}", modalities.len());
    config(what, expected, found, hint)
}

/// A hyper-parameter outside its range.
pub fn out_of_range(what: impl Display, expected: impl Display, found: impl Display) -> Error {
    config(what, expected, found, "choose a value in this range")
}

/// The state of a part that is configured differently here than in the run that saved it.
pub fn foreign_state(what: impl Display, here: impl Display, there: impl Display) -> Error {
    config(what, here, there, "resume with the configuration that the run was started with")
}
