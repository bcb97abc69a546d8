//! SHA-256 of weights, files and samples.

use std::{fmt, fs::File, io::Read, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tch::{Tensor, nn::VarStore};

use crate::error::{self, Error, Result};
use crate::transfer;

/// A SHA-256 digest: equal for equal content, on every machine.
///
/// Its text form has 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// A placeholder for a digest that is not computed yet.
    pub(crate) const BLANK: Self = Self([0; 32]);

    /// The digest of all parameters and buffers of `vs`: names, dtypes, shapes and bytes.
    ///
    /// # Errors
    /// [`Error::Torch`] if a tensor cannot be copied to the host.
    ///
    /// # Example
    /// ```
    /// use g2d::teacher::cache::Digest;
    /// use tch::{Device, Tensor, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let layer = nn::linear(vs.root(), 3, 2, Default::default());
    /// let before = Digest::from_weights(&vs)?;
    /// assert_eq!(before, Digest::from_weights(&vs)?);
    /// tch::no_grad(|| layer.ws.shallow_clone().copy_(&Tensor::from(0.5)));
    /// assert_ne!(before, Digest::from_weights(&vs)?);
    /// # Ok::<(), g2d::Error>(())
    /// ```
    pub fn from_weights(vs: &VarStore) -> Result<Self> {
        let mut hasher = Hasher::with_domain(b"g2d weights 1");
        let mut variables: Vec<_> = vs.variables().into_iter().collect();
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, tensor) in &variables {
            hasher.part(name.as_bytes()).tensor(tensor)?;
        }
        Ok(hasher.finish())
    }

    /// The digest of the bytes of a file, such as a TorchScript archive or saved weights.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let read = || {
            let (mut file, mut hasher) = (File::open(path)?, Hasher::default());
            let mut buffer = vec![0; 1 << 20];
            loop {
                match file.read(&mut buffer)? {
                    0 => return Ok(hasher.finish()),
                    n => hasher.update(&buffer[..n]),
                }
            }
        };
        read().map_err(|source| Error::io("read", path, source))
    }

    /// The digest of the ids of samples and their targets \[N\] or [N, D], in this order.
    ///
    /// It does not cover the inputs. To cover how they are made, combine it with a description of
    /// the preprocessing by [`from_parts`](Self::from_parts).
    ///
    /// # Errors
    /// [`Error::Torch`] if the targets cannot be copied to the host.
    pub fn from_samples(ids: &[i64], targets: &Tensor) -> Result<Self> {
        let ids: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let mut hasher = Hasher::with_domain(b"g2d samples 1");
        hasher.part(&ids).tensor(targets)?;
        Ok(hasher.finish())
    }

    /// The digest of any parts, in this order: names, settings, other digests.
    ///
    /// # Example
    /// ```
    /// use g2d::teacher::cache::Digest;
    ///
    /// let data = Digest::from_parts(["CREMA-D", "split 3", "log-magnitude spectrogram"]);
    /// assert_ne!(data, Digest::from_parts(["CREMA-D", "split 4", "log-magnitude spectrogram"]));
    /// ```
    pub fn from_parts<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> Self {
        let mut hasher = Hasher::with_domain(b"g2d parts 1");
        parts.into_iter().for_each(|part| {
            hasher.part(part.as_ref());
        });
        hasher.finish()
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digit = |c: u8| char::from(c).to_digit(16).filter(|_| !c.is_ascii_uppercase());
        let byte = |pair: &[u8]| Some((digit(pair[0])? << 4 | digit(*pair.get(1)?)?) as u8);
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or_else(|| {
            let found = format!("{:?}", text.chars().take(80).collect::<String>());
            let expected = "64 hexadecimal digits in lower case";
            error::config("digest", expected, found, "copy all digits of the digest")
        })
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// Computes a [`Digest`] of content that is added piece by piece.
#[derive(Clone, Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    /// Begins with the name of the kind of content, so that digests of different kinds differ.
    fn with_domain(name: &[u8]) -> Self {
        let mut hasher = Self::default();
        hasher.part(name);
        hasher
    }

    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds bytes after their number, so that the parts "ab", "c" differ from "a", "bc".
    fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.update(&(bytes.len() as u64).to_le_bytes());
        self.update(bytes);
        self
    }

    fn tensor(&mut self, tensor: &Tensor) -> Result<()> {
        let bytes = transfer::bytes(tensor)?;
        let described = format!("{:?} {:?}", tensor.kind(), tensor.size());
        self.part(described.as_bytes()).part(&bytes);
        Ok(())
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}
