//! Parameter groups by modality.

mod copies;
mod finite;
mod variables;

use std::collections::HashMap;

use tch::{Device, Tensor, nn::VarStore};

use crate::error::{self, Result};
use crate::libtorch;
use crate::modality::Modality;

pub(crate) use copies::TensorCopies;
use variables::Variable;
pub(crate) use variables::Variables;

/// The parameters of a model, grouped by the modality whose encoder owns them.
///
/// A parameter belongs to one modality or is shared: fusion, heads, projections, and layers that
/// modalities share. Shared parameters are updated in every step; κ of a modality acts on the
/// parameters of its encoder only.
///
/// - [`by_prefix`](Self::by_prefix) and [`by_name`](Self::by_name) group by whole path components:
///   the prefix `"audio"` matches `audio.conv1.weight` and not `audio_head.weight`.
/// - [`by_function`](Self::by_function) groups by any function of the parameter's name.
///
/// Buffers belong to no modality. Frozen parameters belong to their encoder, so that the schedule
/// also applies to a layer that is unfrozen later. The tensors are shallow clones: they follow
/// later changes of value, device and dtype. Parameters that are made later are not included.
#[derive(Debug)]
pub struct ModalityParams {
    encoders: Vec<Encoder>,
    variables: Variables,
}

/// The parameters of an encoder, with their names, sorted by name.
#[derive(Debug)]
struct Encoder {
    modality: Modality,
    parameters: Vec<(String, Tensor)>,
    /// The names of the buffers for which the modality would own a parameter.
    buffers: Vec<String>,
}

impl ModalityParams {
    /// Groups the parameters of `vs` by prefix: each modality with the path of its encoder, such as
    /// `[("audio", "audio_net"), …]`. The components of a path are joined by `.`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if a prefix has no trainable parameter, if one
    /// prefix contains another, or if two names of the same storage (tied weights) do not belong to
    /// the same modality.
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
        let owner = |name: &str| Ok(prefixes.iter().position(|(_, path)| within(name, path)));
        let modalities = prefixes.iter().map(|(modality, _)| modality.clone());
        let params = Self::group(vs, modalities, owner)?;
        params.check_trainable(vs, |m| format!("under the path {:?}", prefixes[m].1))
    }

    /// [`by_prefix`](Self::by_prefix) where the path of every encoder is the modality's name.
    ///
    /// # Errors
    /// As `by_prefix`.
    pub fn by_name(vs: &VarStore, modalities: &[Modality]) -> Result<Self> {
        Self::by_prefix(vs, modalities.iter().map(|m| (m.clone(), m.name().to_owned())))
    }

    /// Groups the parameters of `vs` by a function of their names: `owner` receives the full name
    /// of every variable and returns its modality, or `None` for a shared one.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if `owner` returns a modality that is not in
    /// `modalities`, if one of `modalities` has no trainable parameter, or if two names of the same
    /// storage (tied weights) do not have the same owner.
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
            let m = modalities.iter().position(|modality| *modality == owner);
            m.map(Some).ok_or_else(|| {
                let what = format!("owner of the parameter {name:?}");
                let expected = format!("one of {modalities:?}, or None");
                let hint = "return a modality of the student, or None for a shared parameter";
                error::config(what, expected, format!("{owner:?}"), hint)
            })
        };
        let params = Self::group(vs, modalities.iter().cloned(), owner)?;
        params.check_trainable(vs, |_| "by the function".to_owned())
    }

    /// Groups the parameters of `vs` by their `owner`, an index into `modalities` or `None`.
    fn group(
        vs: &VarStore,
        modalities: impl Iterator<Item = Modality>,
        owner: impl Fn(&str) -> Result<Option<usize>>,
    ) -> Result<Self> {
        let encoder = |modality| Encoder { modality, parameters: Vec::new(), buffers: Vec::new() };
        let mut encoders: Vec<Encoder> = modalities.map(encoder).collect();
        let variables = variables::sorted(vs);
        let mut owners = HashMap::new();
        for Variable { name, tensor, is_parameter } in &variables {
            let m = owner(name)?;
            if !is_parameter {
                m.into_iter().for_each(|m| encoders[m].buffers.push(name.clone()));
                continue;
            }
            let (first, first_m) = *owners.entry(variables::storage(tensor)).or_insert((name, m));
            if m != first_m {
                let describe = |m: Option<usize>| match m {
                    Some(m) => format!("modality {:?}", encoders[m].modality),
                    None => "no modality".to_owned(),
                };
                return Err(error::config(
                    format!("parameter {name:?} of {}", describe(m)),
                    "a parameter of one modality only",
                    format!("the same storage as {first:?} of {}", describe(first_m)),
                    "leave a shared layer out of the encoders, so that it is always updated: \
                     `ModalityParams::by_function` can return None for both names",
                ));
            }
            if let Some(m) = m {
                encoders[m].parameters.push((name.clone(), tensor.shallow_clone()));
            }
        }
        Ok(Self { encoders, variables: Variables::new(vs) })
    }

    /// Checks that every encoder has a trainable parameter; `criterion` describes which parameters
    /// belong to modality m.
    fn check_trainable(self, vs: &VarStore, criterion: impl Fn(usize) -> String) -> Result<Self> {
        let frozen = |Encoder { parameters, .. }: &Encoder| {
            parameters.iter().all(|(_, tensor)| !tensor.requires_grad())
        };
        let Some(m) = self.encoders.iter().position(frozen) else { return Ok(self) };
        let names: Vec<String> = variables::sorted(vs).into_iter().map(|v| v.name).collect();
        let mut roots: Vec<_> = names.iter().filter_map(|name| name.split('.').next()).collect();
        roots.dedup();
        Err(error::config(
            format!("parameters of modality {:?}", self.encoders[m].modality),
            format!("trainable parameters {}", criterion(m)),
            format!("none; the VarStore has the paths {roots:?}"),
            "check the prefix (whole components, joined by '.') or the function, and make the \
             parameters before this call",
        ))
    }

    /// Adds another `VarStore` of the same model.
    ///
    /// A trainer that scales, checks or clears gradients (in fp16, under a
    /// [`NonFinite`](crate::trainer::NonFinite) policy, with accumulation) does so for the
    /// parameters of all stores given here, and for no others.
    pub fn with_store(mut self, vs: &VarStore) -> Self {
        self.variables.add(vs);
        self
    }

    /// The modalities, in the order they were given.
    pub fn modalities(&self) -> impl Iterator<Item = &Modality> {
        self.encoders.iter().map(|encoder| &encoder.modality)
    }

    /// The names and parameters of the encoder of modality `m`, sorted by name.
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn encoder(&self, m: usize) -> &[(String, Tensor)] {
        &self.encoders[m].parameters
    }

    /// The device of the first encoder.
    ///
    /// # Panics
    /// If there is no modality.
    pub fn device(&self) -> Device {
        self.encoder(0)[0].1.device()
    }

    /// The defined gradients of encoder `m`.
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn gradients(&self, m: usize) -> impl Iterator<Item = Tensor> {
        self.encoder(m).iter().map(|(_, tensor)| tensor.grad()).filter(Tensor::defined)
    }

    /// Makes every gradient of encoder `m` undefined, so that no optimizer updates the encoder.
    pub(crate) fn clear_gradients(&self, m: usize) -> Result<()> {
        libtorch::clear_grads(self.encoder(m).iter().map(|(_, tensor)| tensor))
    }

    /// All variables of the model: those of the encoders and shared ones.
    pub(crate) fn variables(&self) -> &Variables {
        &self.variables
    }

    pub(crate) fn variables_mut(&mut self) -> &mut Variables {
        &mut self.variables
    }

    /// The modality whose encoder has a parameter or buffer called `name`.
    pub(crate) fn owner(&self, name: &str) -> Option<&Modality> {
        let owns = |Encoder { parameters, buffers, .. }: &&Encoder| {
            let mut all = parameters.iter().map(|(own, _)| own).chain(buffers);
            all.any(|own| own == name)
        };
        self.encoders.iter().find(owns).map(|encoder| &encoder.modality)
    }
}

/// Returns whether `path` is `prefix` or inside it, by whole components.
pub(crate) fn within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
