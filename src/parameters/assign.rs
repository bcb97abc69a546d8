//! The ways to group parameters by modality.

use std::{borrow::Borrow, collections::HashMap};

use tch::{Tensor, nn::VarStore};

use super::{
    modality_params::ModalityParams,
    stores::{Stores, Variable, storage},
};
use crate::error::{self, Result};
use crate::modality::Modality;

impl ModalityParams {
    /// Groups the parameters of `stores` by prefix: each modality with the path of its encoder,
    /// such as `[("audio", "audio_net"), …]`. The components of a path are joined by `.`; in a
    /// store with a name, the path begins with this name.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if a prefix has no trainable parameter, if one
    /// prefix contains another, if two names of the same storage (tied weights) do not belong to
    /// the same modality, or if two variables have the same full name.
    pub fn by_prefix<M: Into<Modality>, P: AsRef<str>>(
        stores: impl Into<Stores>,
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
        let owner = |v: &Variable| Ok(prefixes.iter().position(|(_, path)| within(&v.name, path)));
        let modalities = prefixes.iter().map(|(modality, _)| modality.clone());
        let params = Self::group(stores.into(), modalities, owner)?;
        params.check_trainable(|m| format!("under the path {:?}", prefixes[m].1))
    }

    /// [`by_prefix`](Self::by_prefix) where the path of every encoder is the modality's name.
    ///
    /// # Errors
    /// As `by_prefix`.
    pub fn by_name(stores: impl Into<Stores>, modalities: &[Modality]) -> Result<Self> {
        Self::by_prefix(stores, modalities.iter().map(|m| (m.clone(), m.name().to_owned())))
    }

    /// Groups parameters by the `VarStore` that they are in: one for each modality, in the
    /// student's order. Shared layers are in further stores, which
    /// [`with_store`](Self::with_store) adds.
    ///
    /// The name of a store is that of its modality, so that the full name of `fc.weight` in the
    /// store of `"audio"` is `audio.fc.weight`.
    ///
    /// # Errors
    /// As [`by_prefix`](Self::by_prefix).
    ///
    /// # Example
    /// ```
    /// use g2d::{ModalityParams, optim::{AdamWConfig, Optimizer}};
    /// use tch::{Device, nn};
    ///
    /// let [audio, text, fusion] = [(); 3].map(|()| nn::VarStore::new(Device::Cpu));
    /// for vs in [&audio, &text, &fusion] {
    ///     nn::linear(vs.root() / "fc", 4, 4, Default::default());
    /// }
    /// let params = ModalityParams::by_store([("audio", &audio), ("text", &text)])?
    ///     .with_store("fusion", &fusion);
    /// assert_eq!(params.encoder(1)[0].0, "text.fc.bias");
    /// // An optimizer of all three, with a group for one of them.
    /// let adamw = AdamWConfig::default();
    /// let optimizer =
    ///     Optimizer::builder(&params, adamw).group("text", AdamWConfig { lr: 1e-5, ..adamw }).build()?;
    /// # g2d::Result::Ok(())
    /// ```
    pub fn by_store<'a, M: Into<Modality>>(
        stores: impl IntoIterator<Item = (M, &'a VarStore)>,
    ) -> Result<Self> {
        let (modalities, stores): (Vec<Modality>, Vec<_>) =
            stores.into_iter().map(|(modality, vs)| (modality.into(), vs)).unzip();
        let named = modalities.iter().map(Modality::name).zip(stores);
        Self::by_name(named.collect::<Stores>(), &modalities)
    }

    /// Groups the parameters of `stores` by a function of their names: `owner` receives the full
    /// name of every variable and returns its modality, or `None` for a shared one.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if `owner` returns a modality that is not in
    /// `modalities`, if one of `modalities` has no trainable parameter, if two names of the same
    /// storage (tied weights) do not have the same owner, or if two variables have the same full
    /// name.
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
        stores: impl Into<Stores>,
        modalities: &[Modality],
        owner: impl Fn(&str) -> Option<Modality>,
    ) -> Result<Self> {
        let owner = |variable: &Variable| {
            let name = variable.name.as_str();
            let Some(owner) = owner(name) else { return Ok(None) };
            let m = modalities.iter().position(|modality| *modality == owner);
            m.map(Some).ok_or_else(|| {
                let what = format!("owner of the parameter {name:?}");
                let expected = format!("one of {modalities:?}, or None");
                let hint = "return a modality of the student, or None for a shared parameter";
                error::config(what, expected, format!("{owner:?}"), hint)
            })
        };
        let params = Self::group(stores.into(), modalities.iter().cloned(), owner)?;
        params.check_trainable(|_| "by the function".to_owned())
    }

    /// Groups parameters by lists of tensors, for encoders whose layers have no path of their own.
    ///
    /// What `stores` have beyond the lists is shared; `Stores::default()` has nothing. A listed
    /// tensor keeps its name in the store. One that is in no store becomes part of the model as
    /// `text.0`, `text.1`, … for the modality `"text"`, with its index in the list.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a tensor that is the result of an operation, one
    /// of two modalities, and one without elements, and as [`by_function`](Self::by_function).
    ///
    /// # Example
    /// ```
    /// use g2d::ModalityParams;
    /// use tch::{Device, nn};
    ///
    /// // Layers `weight`, `weight__2`, `weight__4`, …, all at the root.
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let layers: Vec<_> =
    ///     (0..3).map(|_| nn::linear(vs.root(), 4, 4, Default::default())).collect();
    /// let weights = |i: usize| [&layers[i].ws, layers[i].bs.as_ref().unwrap()];
    /// let params =
    ///     ModalityParams::by_tensors(&vs, [("text", weights(0)), ("image", weights(1))])?;
    /// assert_eq!(params.encoder(0).len(), 2);
    /// # g2d::Result::Ok(())
    /// ```
    pub fn by_tensors<M: Into<Modality>, T: Borrow<Tensor>>(
        stores: impl Into<Stores>,
        tensors: impl IntoIterator<Item = (M, impl IntoIterator<Item = T>)>,
    ) -> Result<Self> {
        let mut stores = stores.into();
        let stored: Vec<usize> = stores.variables.iter().map(|v| storage(&v.tensor)).collect();
        let (mut modalities, mut owners) = (Vec::new(), HashMap::new());
        for (m, (modality, list)) in tensors.into_iter().enumerate() {
            let modality = modality.into();
            for (i, tensor) in list.into_iter().enumerate() {
                let tensor = tensor.borrow();
                let what = format!("tensor {i} of modality {modality:?}");
                if tensor.numel() == 0 || !tensor.is_leaf() {
                    let found = match tensor.numel() {
                        0 => "a tensor without elements",
                        _ => "the result of an operation, which has no gradient of its own",
                    };
                    let hint = "pass the variable that the layer holds";
                    return Err(error::config(what, "a parameter", found, hint));
                }
                let key = storage(tensor);
                let first = *owners.entry(key).or_insert(m);
                if first != m {
                    let found = format!("one of {:?}, too", modalities[first]);
                    let hint = "leave a shared tensor out of the lists";
                    return Err(error::config(what, "a tensor of one modality", found, hint));
                }
                if !stored.contains(&key) {
                    stores.add_parameter(format!("{modality}.{i}"), tensor);
                }
            }
            modalities.push(modality);
        }
        let owner = |variable: &Variable| Ok(owners.get(&storage(&variable.tensor)).copied());
        let params = Self::group(stores, modalities, owner)?;
        params.check_trainable(|_| "in its list of tensors".to_owned())
    }
}

/// Returns whether `path` is `prefix` or inside it, by whole components.
pub(crate) fn within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
