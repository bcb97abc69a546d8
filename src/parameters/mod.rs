//! Which parameters belong to which modality's encoder.

mod variables;

use std::collections::{HashMap, HashSet};

use tch::{Device, Tensor, nn::VarStore};

use crate::{
    error::{self, Result},
    libtorch,
    modality::Modality,
};

pub(crate) use variables::{TensorCopies, Variables};

/// The parameters of every modality's encoder in a `VarStore`.
///
/// A parameter belongs to one modality, or to none: fusion, heads, projections, and layers that
/// modalities share. Those of none always learn. A κ below 1 acts on its modality's own, so what is
/// assigned here decides what stands still.
///
/// - [`by_prefix`](Self::by_prefix), [`by_name`](Self::by_name): by whole path components; a prefix
///   `"audio"` owns `audio.conv1.weight` and not `audio_head.weight`.
/// - [`by_function`](Self::by_function): by whatever the caller makes of a name.
///
/// Buffers belong to nobody. Frozen parameters belong to their encoder all the same, so that one that
/// is unfrozen later obeys the schedule. The tensors are shallow clones: they follow later changes of
/// value, device and kind; parameters made later are unknown.
#[derive(Debug)]
pub struct ModalityParams {
    encoders: Vec<(Modality, Vec<(String, Tensor)>)>,
    variables: Variables,
}

impl ModalityParams {
    /// Assigns parameters of `vs` to modalities by prefix: `[("audio", "audio_net"), …]`, a
    /// modality's name and the path of its encoder (components joined by `.`).
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) if a prefix owns no parameter that requires a gradient,
    /// if one prefix contains another, or if two names stand for the same storage and not for the
    /// same modality (tied weights).
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
        let modalities = prefixes.iter().map(|(modality, _)| modality.clone()).collect();
        let owner = |name: &str| Ok(prefixes.iter().position(|(_, path)| within(name, path)));
        Self::assign(vs, modalities, owner, |m| format!("under the path {:?}", prefixes[m].1))
    }

    /// Assigns parameters of `vs` to modalities by their full names: `owner` is asked about every
    /// variable and answers with its modality, or `None` for one that always learns.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) if `owner` names a modality that is not in
    /// `modalities`, leaves one of them without a parameter that requires a gradient, or gives two
    /// names of the same storage to different owners.
    ///
    /// # Example
    /// ```
    /// use g2d::{Modality, ModalityParams};
    /// use tch::{Device, nn};
    ///
    /// // A tower whose layers are named `block0_text`, `block0_image`, `block0_shared`, …
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// for name in ["block0_text", "block0_image", "block0_shared"] {
    ///     nn::linear(vs.root() / "tower" / name, 4, 4, Default::default());
    /// }
    /// let modalities = Modality::list(["text", "image"]);
    /// let params = ModalityParams::by_function(&vs, &modalities, |name| {
    ///     let layer = name.split('.').nth(1)?; // tower.block0_text.weight
    ///     match layer.rsplit('_').next()? {
    ///         "shared" => None,
    ///         modality => Some(modality.into()),
    ///     }
    /// })?;
    /// assert_eq!(params.encoder(1)[0].0, "tower.block0_image.bias");
    /// # g2d::Result::Ok(())
    /// ```
    pub fn by_function(
        vs: &VarStore,
        modalities: &[Modality],
        owner: impl Fn(&str) -> Option<Modality>,
    ) -> Result<Self> {
        let owner = |name: &str| {
            let Some(owner) = owner(name) else { return Ok(None) };
            match modalities.iter().position(|modality| *modality == owner) {
                Some(m) => Ok(Some(m)),
                None => Err(error::config(
                    format!("owner of the parameter {name:?}"),
                    format!("one of {modalities:?}, or None"),
                    format!("{owner:?}"),
                    "return the student's name of the modality, or None for a parameter that \
                     always learns",
                )),
            }
        };
        Self::assign(vs, modalities.to_vec(), owner, |_| "by the function".to_owned())
    }

    /// Gives every parameter to its `owner`; `told` says how modality `m` was to be recognised.
    fn assign(
        vs: &VarStore,
        modalities: Vec<Modality>,
        owner: impl Fn(&str) -> Result<Option<usize>>,
        told: impl Fn(usize) -> String,
    ) -> Result<Self> {
        let mut variables: Vec<_> = vs.variables().into_iter().collect();
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        let parameters: HashSet<_> =
            vs.trainable_variables().iter().map(|tensor| tensor.data_ptr()).collect();
        let mut encoders: Vec<_> =
            modalities.into_iter().map(|modality| (modality, Vec::new())).collect();
        let mut owners: HashMap<_, (&str, Option<usize>)> = HashMap::new();
        for (name, tensor) in &variables {
            let owner = owner(name)?;
            if tensor.numel() == 0 || !parameters.contains(&tensor.data_ptr()) {
                continue;
            }
            let said = |m: Option<usize>| match m {
                Some(m) => format!("modality {:?}", encoders[m].0),
                None => "no modality".to_owned(),
            };
            match owners.insert(tensor.data_ptr(), (name, owner)) {
                Some((first, other)) if other != owner => {
                    return Err(error::config(
                        format!("parameter {name:?} of {}", said(owner)),
                        "a parameter of one modality only",
                        format!("the same storage as {first:?} of {}", said(other)),
                        "leave a shared layer out of the encoders: it then always learns; \
                         `ModalityParams::by_function` can return None for both names",
                    ));
                }
                _ => {}
            }
            if let Some(m) = owner {
                encoders[m].1.push((name.clone(), tensor.shallow_clone()));
            }
        }
        let learns = |own: &[(String, Tensor)]| own.iter().any(|(_, t)| t.requires_grad());
        if let Some(m) = encoders.iter().position(|(_, own)| !learns(own)) {
            return Err(error::config(
                format!("parameters of modality {:?}", encoders[m].0),
                format!("trainable parameters {}", told(m)),
                format!("none; the VarStore has the paths {:?}", roots(&variables)),
                "check the prefix (whole components, joined by '.') or the function, and make the \
                 parameters before this call",
            ));
        }
        Ok(Self { encoders, variables: Variables::new(vs) })
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
        libtorch::clear_grads(self.encoder(m).iter().map(|(_, tensor)| tensor))
    }

    /// Tells the trainer of a model's other `VarStore`, where it has several.
    ///
    /// A trainer that scales, checks or drops gradients (fp16, [`NonFinite`](crate::trainer::NonFinite),
    /// accumulation) does so to all that learns: what no `VarStore` given here holds, it does not
    /// know of.
    pub fn with_variables_of(mut self, vs: &VarStore) -> Self {
        self.variables.add(vs);
        self
    }

    /// Everything of the model, encoders and the rest.
    pub(crate) fn variables(&self) -> &Variables {
        &self.variables
    }

    pub(crate) fn variables_mut(&mut self) -> &mut Variables {
        &mut self.variables
    }

    /// The modality whose encoder has a parameter of this name.
    pub(crate) fn owner(&self, name: &str) -> Option<&Modality> {
        let owns = |own: &[(String, Tensor)]| own.iter().any(|(other, _)| other == name);
        self.encoders.iter().find(|(_, own)| owns(own)).map(|(modality, _)| modality)
    }
}

/// Is `path` equal to `prefix` or inside it, by whole components?
pub(crate) fn within(path: &str, prefix: &str) -> bool {
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
