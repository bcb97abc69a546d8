//! One error type for the crate: what was expected, what came, what to do.

use std::path::{Path, PathBuf};

use tch::TchError;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong in g2d.
///
/// A message names the thing, says what was expected and what came, and a hint. An error
/// leaves parameters, optimizer and files as they were: inputs are checked before any layer runs,
/// and the loss before `backward`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A trainer, loss, scheduler or teacher was configured wrongly; found at `build`.
    #[error("configuration: {0}")]
    Config(Mismatch),
    /// A tensor has the wrong shape.
    #[error("shape of {0}")]
    Shape(Mismatch),
    /// A tensor has the wrong element kind.
    #[error("kind of {0}")]
    Kind(Mismatch),
    /// A tensor is on the wrong device.
    #[error("device of {0}")]
    Device(Mismatch),
    /// A label lies outside `0..C`, or a target is not a value that the loss knows.
    #[error("target of {0}")]
    Target(Mismatch),
    /// A value that must be finite is NaN or infinite.
    #[error("value of {0}")]
    NonFinite(Mismatch),
    /// A cached teacher was asked for samples that it has not recorded, or cannot be recorded.
    #[error("cache of {0}")]
    Cache(Mismatch),
    /// A file's content is not what its format promises.
    #[error("{path}: {mismatch}", path = path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        mismatch: Mismatch,
    },
    /// A file could not be read or written.
    #[error("{path}: could not {doing}: {source}", path = path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// libtorch refused an operation whose inputs had passed our checks.
    #[error("libtorch failed to {doing}: {}", first_line(source))]
    Torch {
        /// What was being done.
        doing: String,
        /// libtorch's error, with its C++ backtrace.
        source: TchError,
    },
}

/// The three parts of a useful message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: expected {expected}, found {found}; {hint}")]
pub struct Mismatch {
    /// The thing that is wrong.
    pub what: String,
    /// What it should have been.
    pub expected: String,
    /// What it was.
    pub found: String,
    /// What the caller can do.
    pub hint: String,
}

impl Mismatch {
    /// Builds one from anything that turns into text.
    pub fn new(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            what: what.into(),
            expected: expected.into(),
            found: found.into(),
            hint: hint.into(),
        }
    }
}

impl Error {
    /// Wraps libtorch's error with what was being done.
    pub(crate) fn torch(doing: impl Into<String>, source: TchError) -> Self {
        Self::Torch { doing: doing.into(), source }
    }

    /// Wraps a system error with the path it is about.
    pub(crate) fn io(doing: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { doing, path: path.to_path_buf(), source }
    }

    /// The same, but said of the thing beside another one, where either may be wrong.
    pub(crate) fn beside(mut self, other: &str) -> Self {
        if let Self::Config(mismatch)
        | Self::Shape(mismatch)
        | Self::Kind(mismatch)
        | Self::Target(mismatch) = &mut self
        {
            mismatch.what = format!("{} beside the {other}", mismatch.what);
        }
        self
    }

    /// A file whose content is not what was promised.
    pub(crate) fn data(
        path: &Path,
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Data {
            path: path.to_path_buf(),
            mismatch: Mismatch::new(what, expected, found, hint),
        }
    }
}

/// So that a student's or a teacher's fallible tch calls can use `?`.
impl From<TchError> for Error {
    fn from(source: TchError) -> Self {
        Self::torch("run a tensor operation", source)
    }
}

/// libtorch appends up to 25 lines of C++ backtrace; the first says what happened.
fn first_line(source: &TchError) -> String {
    source.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Shorthands `config(…)`, `shape(…)`, … for building each kind of [`Mismatch`] error.
macro_rules! mismatch_constructors {
    ($($name:ident => $variant:ident),* $(,)?) => {$(
        pub(crate) fn $name(
            what: impl Into<String>,
            expected: impl Into<String>,
            found: impl Into<String>,
            hint: impl Into<String>,
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
