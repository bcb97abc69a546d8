//! Predictions of all ranks as one.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::Predictions;
use crate::batch::Extras;
use crate::error::{Error, Result};
use crate::modality::Modality;
use crate::ranks::Ranks;

/// The names of what a rank's predictions have.
#[derive(Serialize, Deserialize, Default)]
struct Names {
    has_ids: bool,
    extras: Vec<String>,
    /// The modalities that some samples lack.
    present: Vec<Modality>,
}

/// The predictions of all ranks, one rank after the other, on every rank.
pub(super) fn gather(ranks: &Ranks, own: Predictions) -> Result<Predictions> {
    if ranks.group().is_none() {
        return Ok(own);
    }
    let names = names(ranks, &own)?;
    let join = |own: &Tensor| join(&ranks.gather(own)?);
    let mut all = Predictions::new(join(&own.logits)?, join(&own.targets)?);
    for (modality, logits) in &own.heads {
        all.heads.push((modality.clone(), join(logits)?));
    }
    let mut lacking: Vec<Modality> = Vec::new();
    for modality in names.iter().flat_map(|names| &names.present) {
        if !lacking.contains(modality) {
            lacking.push(modality.clone());
        }
    }
    for modality in lacking {
        let flags = own.present.iter().find(|(name, _)| *name == modality);
        let whole = || vec![true; own.targets.size()[0] as usize];
        let flags = flags.map_or_else(whole, |(_, flags)| flags.clone());
        let flags: Vec<u8> = flags.into_iter().map(u8::from).collect();
        let flags = Vec::<u8>::try_from(join(&Tensor::from_slice(&flags))?).map_err(failed)?;
        all.present.push((modality, flags.into_iter().map(|flag| flag != 0).collect()));
    }
    let mut extras = Extras::default();
    for (name, tensor) in own.extras.iter() {
        if names.iter().all(|names| names.extras.iter().any(|own| own == name)) {
            extras.insert(name, join(tensor)?);
        }
    }
    all.extras = extras;
    if names.iter().all(|names| names.has_ids) {
        let ids = Tensor::from_slice(&own.ids.unwrap_or_default());
        all.ids = Some(Vec::<i64>::try_from(join(&ids)?).map_err(failed)?);
    }
    Ok(all)
}

/// The names of all ranks.
fn names(ranks: &Ranks, own: &Predictions) -> Result<Vec<Names>> {
    let own = Names {
        has_ids: own.ids.is_some(),
        extras: own.extras.iter().map(|(name, _)| name.to_owned()).collect(),
        present: own.present.iter().map(|(modality, _)| modality.clone()).collect(),
    };
    let text = serde_json::to_string(&own).unwrap_or_default();
    let read = |rank| {
        let text = ranks.share_text(rank, &text)?;
        // Names that do not fit into a text are left out on all ranks.
        Ok(serde_json::from_str(&text).unwrap_or_default())
    };
    (0..ranks.size()).map(read).collect()
}

fn join(tensors: &[Tensor]) -> Result<Tensor> {
    Tensor::f_cat(tensors, 0).map_err(failed)
}

fn failed(source: tch::TchError) -> Error {
    Error::torch("join the predictions of all ranks", source)
}
