//! The type of parameter groups by modality.

use std::collections::{HashMap, HashSet};

use tch::{Device, TchError, Tensor, nn::VarStore};

use super::{
    stores::{Stores, Variable, storage},
    variables::Variables,
};
use crate::error::{self, Error, Result};
use crate::libtorch;
use crate::modality::Modality;

/// The parameters of a model, grouped by the modality whose encoder owns them.
///
/// A parameter belongs to one modality or is shared: fusion, heads, projections, and layers that
/// modalities share. Shared parameters are updated in every step; κ of a modality acts on the
/// parameters of its encoder only.
///
/// - [`by_prefix`](Self::by_prefix) and [`by_name`](Self::by_name) group by whole path components:
///   the prefix `"audio"` matches `audio.conv1.weight` and not `audio_head.weight`.
/// - [`by_store`](Self::by_store): one `VarStore` per encoder.
/// - [`by_function`](Self::by_function) groups by any function of the parameter's name.
/// - [`by_tensors`](Self::by_tensors): lists of tensors, for layers that have no paths.
///
/// A model may have several `VarStore`s: every constructor takes [`Stores`], and
/// [`with_store`](Self::with_store) adds one with shared parameters. All of them are the model: the
/// trainer copies their buffers, checks their values and clears their gradients, and those of no
/// other store. `&params` is an argument of
/// [`Optimizer::builder`](crate::optim::Optimizer::builder), too.
///
/// Buffers belong to no modality. Frozen parameters belong to their encoder, so that the schedule
/// also applies to a layer that is unfrozen later. The tensors are shallow clones: they follow
/// later changes of value, device and dtype. Parameters that are made later are not included.
#[derive(Debug)]
pub struct ModalityParams {
    encoders: Vec<Encoder>,
    variables: Variables,
}

/// The parameters of an encoder, with their names, sorted by name within a `VarStore`.
#[derive(Debug)]
struct Encoder {
    modality: Modality,
    parameters: Vec<(String, Tensor)>,
    /// The buffers whose names make them the encoder's.
    buffers: Vec<(String, Tensor)>,
}

/// The addresses of variables, and how often libtorch has changed each in place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Version(Vec<(usize, i64)>);

impl ModalityParams {
    /// The parameters and buffers of a model of one modality, none of which need learn.
    pub(crate) fn of_one(stores: impl Into<Stores>, modality: &Modality) -> Result<Self> {
        Self::group(stores.into(), [modality.clone()], |_| Ok(Some(0)))
    }

    /// Groups variables by their `owner`, an index into `modalities` or `None`.
    pub(super) fn group(
        stores: Stores,
        modalities: impl IntoIterator<Item = Modality>,
        owner: impl Fn(&Variable) -> Result<Option<usize>>,
    ) -> Result<Self> {
        let encoder = |modality| Encoder { modality, parameters: Vec::new(), buffers: Vec::new() };
        let mut encoders: Vec<Encoder> = modalities.into_iter().map(encoder).collect();
        let (mut variables, mut owners) = (Variables::default(), HashMap::new());
        let mut names = HashSet::new();
        for variable in stores.variables {
            if !names.insert(variable.name.clone()) {
                let what = format!("variable {:?} of the model", variable.name);
                let hint = "give every VarStore a name of its own: `[(\"name\", &vs), …]`";
                return Err(error::config(what, "one variable of this name", "two", hint));
            }
            let m = owner(&variable)?;
            let own = m.map(|m| &mut encoders[m]);
            if variable.is_parameter {
                own.into_iter().for_each(|own| own.parameters.push(variable.named()));
                let name = variable.name.clone();
                let key = storage(&variable.tensor);
                let (first, first_m) = owners.entry(key).or_insert_with(|| (name, m));
                if m != *first_m {
                    return Err(tied(&encoders, (&variable.name, m), (first, *first_m)));
                }
            } else {
                own.into_iter().for_each(|own| own.buffers.push(variable.named()));
            }
            let modality = m.map(|m| encoders[m].modality.clone());
            variables.insert(Variable { modality, ..variable });
        }
        Ok(Self { encoders, variables })
    }

    /// Checks that every encoder has a trainable parameter; `criterion` describes which parameters
    /// belong to modality m.
    pub(super) fn check_trainable(self, criterion: impl Fn(usize) -> String) -> Result<Self> {
        let frozen = |Encoder { parameters, .. }: &Encoder| {
            parameters.iter().all(|(_, tensor)| !tensor.requires_grad())
        };
        let Some(m) = self.encoders.iter().position(frozen) else { return Ok(self) };
        let all = self.variables.parameters().chain(self.variables.buffers());
        let mut roots: Vec<_> = all.filter_map(|(name, _)| name.split('.').next()).collect();
        roots.sort_unstable();
        roots.dedup();
        Err(error::config(
            format!("parameters of modality {:?}", self.encoders[m].modality),
            format!("trainable parameters {}", criterion(m)),
            format!("none; the VarStore has the paths {roots:?}"),
            "check the prefix (whole components, joined by '.') or the function, and make the \
             parameters before this call; if the model has several VarStores, pass all of them \
             with names, `[(\"name\", &vs), …]`, or one per modality to `ModalityParams::by_store`",
        ))
    }

    /// Adds the variables of another `VarStore` of the same model under `name`, as shared ones: a
    /// fusion, or the projection of the features.
    ///
    /// A trainer that scales, checks or clears gradients (in fp16, under a
    /// [`NonFinite`](crate::trainer::NonFinite) policy, with accumulation) does so for the
    /// parameters of all stores given here, and for no others.
    pub fn with_store(mut self, name: &str, vs: &VarStore) -> Self {
        self.variables.add(name, vs);
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

    /// The state of the parameters and buffers of encoder `m`: another one after any of them has changed.
    pub(crate) fn version(&self, m: usize) -> Result<Version> {
        let Encoder { parameters, buffers, .. } = &self.encoders[m];
        let version =
            |(_, tensor): &(String, Tensor)| Ok((storage(tensor), tensor.f_internal_version()?));
        let versions: std::result::Result<_, TchError> =
            parameters.iter().chain(buffers).map(version).collect();
        versions.map(Version).map_err(|e| Error::torch("read the versions of variables", e))
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
            parameters.iter().chain(buffers).any(|(own, _)| own == name)
        };
        self.encoders.iter().find(owns).map(|encoder| &encoder.modality)
    }
}

impl From<&ModalityParams> for Stores {
    fn from(params: &ModalityParams) -> Self {
        params.variables.to_stores()
    }
}

/// The error of a parameter with two names, of which not both belong to the same modality.
fn tied(
    encoders: &[Encoder],
    (name, m): (&str, Option<usize>),
    (first, first_m): (&str, Option<usize>),
) -> error::Error {
    let describe = |m: Option<usize>| match m {
        Some(m) => format!("modality {:?}", encoders[m].modality),
        None => "no modality".to_owned(),
    };
    error::config(
        format!("parameter {name:?} of {}", describe(m)),
        "a parameter of one modality only",
        format!("the same storage as {first:?} of {}", describe(first_m)),
        "leave a shared layer out of the encoders, so that it is always updated: \
         `ModalityParams::by_function` can return None for both names",
    )
}
