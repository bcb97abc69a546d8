//! Which parameters belong to which modality's encoder.

use tch::{Device, Tensor, nn::VarStore};

use crate::{Modality, Result, error, libtorch};

/// The trainable parameters of every modality's encoder, by whole path components of a `VarStore`.
///
/// A prefix `"audio"` owns `audio.conv1.weight` and not `audio_head.weight`. Whatever no prefix
/// owns (fusion, heads, projections) always learns. The tensors are shallow clones: they follow
/// later changes of value, device and kind.
#[derive(Debug)]
pub struct ModalityParams {
    encoders: Vec<(Modality, Vec<(String, Tensor)>)>,
}

impl ModalityParams {
    /// Assigns parameters of `vs` to modalities by prefix: `[("audio", "audio_net"), …]`, a
    /// modality's name and the path of its encoder (components joined by `.`).
    ///
    /// Parameters that do not require a gradient at the time of the call (buffers, frozen layers)
    /// are left out.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if a prefix owns no trainable parameter, or if one
    /// prefix contains another.
    pub fn by_prefix<M: Into<Modality>, P: AsRef<str>>(
        vs: &VarStore,
        prefixes: impl IntoIterator<Item = (M, P)>,
    ) -> Result<Self> {
        let prefixes: Vec<(Modality, String)> =
            prefixes.into_iter().map(|(m, p)| (m.into(), p.as_ref().to_owned())).collect();
        for (i, (a, path_a)) in prefixes.iter().enumerate() {
            for (b, path_b) in &prefixes[i + 1..] {
                if within(path_a, path_b) || within(path_b, path_a) {
                    return Err(error::config(
                        format!("prefixes of modalities {a:?} and {b:?}"),
                        "disjoint parts of the VarStore",
                        format!("{path_a:?} and {path_b:?}, one inside the other"),
                        "give every encoder a path of its own",
                    ));
                }
            }
        }
        let mut variables: Vec<_> = vs.variables().into_iter().collect();
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        let mut encoders = Vec::with_capacity(prefixes.len());
        for (modality, prefix) in prefixes {
            let own: Vec<_> = variables
                .iter()
                .filter(|(name, tensor)| within(name, &prefix) && tensor.requires_grad())
                .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
                .collect();
            if own.is_empty() {
                return Err(error::config(
                    format!("parameters of modality {modality:?}"),
                    format!("trainable parameters under the path {prefix:?}"),
                    format!("none; the VarStore has the paths {:?}", roots(&variables)),
                    "check the prefix (whole components, joined by '.'), and make the parameters \
                     before this call",
                ));
            }
            encoders.push((modality, own));
        }
        Ok(Self { encoders })
    }

    /// [`by_prefix`](Self::by_prefix) where every encoder's path is its modality's name.
    ///
    /// # Errors
    /// As `by_prefix`.
    pub fn by_name(vs: &VarStore, modalities: &[Modality]) -> Result<Self> {
        Self::by_prefix(vs, modalities.iter().map(|m| (m.clone(), m.name().to_owned())))
    }

    /// The modalities, in the order they were given.
    pub fn modalities(&self) -> impl Iterator<Item = &Modality> {
        self.encoders.iter().map(|(modality, _)| modality)
    }

    /// Name and parameter of everything in the encoder of modality `m`, sorted by name.
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn encoder(&self, m: usize) -> &[(String, Tensor)] {
        &self.encoders[m].1
    }

    /// The device that the encoders are on.
    pub fn device(&self) -> Device {
        self.encoders[0].1[0].1.device()
    }

    /// The gradients of encoder `m` that are defined.
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn gradients(&self, m: usize) -> impl Iterator<Item = Tensor> {
        self.encoder(m).iter().map(|(_, tensor)| tensor.grad()).filter(Tensor::defined)
    }

    /// Makes every gradient of encoder `m` undefined: no optimizer steps it.
    pub(crate) fn clear_gradients(&self, m: usize) -> Result<()> {
        self.encoder(m).iter().try_for_each(|(_, tensor)| libtorch::clear_grad(tensor))
    }

    /// Refuses two modalities that share a parameter: suppressing one would suppress both.
    pub(crate) fn check_disjoint(&self) -> Result<()> {
        let mut owners = std::collections::HashMap::new();
        for (modality, own) in &self.encoders {
            for (name, tensor) in own.iter().filter(|(_, tensor)| tensor.numel() > 0) {
                if let Some((other, first)) = owners.insert(tensor.data_ptr(), (modality, name)) {
                    return Err(error::config(
                        format!("parameter {name:?} of modality {modality:?}"),
                        "a parameter of one modality only",
                        format!("the same storage as {first:?} of modality {other:?}"),
                        "leave a shared layer out of the encoders' paths: it then always learns",
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Is `path` equal to `prefix` or inside it, by whole components?
fn within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The distinct first components, for messages.
fn roots(variables: &[(String, Tensor)]) -> Vec<&str> {
    let mut roots: Vec<_> =
        variables.iter().filter_map(|(name, _)| name.split('.').next()).collect();
    roots.dedup();
    roots
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn prefixes_match_whole_components() {
        assert!(within("a.b.weight", "a"));
        assert!(within("a.b.weight", "a.b"));
        assert!(within("a", "a"));
        assert!(!within("ab.weight", "a"));
        assert!(!within("a.bc.weight", "a.b"));
        assert!(!within("b.a.weight", "a"));
    }
}
