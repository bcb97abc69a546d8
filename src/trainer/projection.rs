//! Projections from the student's feature widths to the teachers'.

use tch::{Tensor, nn};

use crate::error::{self, Error, Result};
use crate::modality::Modality;

/// Trainable linear maps from a student's feature width to its teacher's, at most one per modality.
///
/// proj^m: [B, d_s] → [B, d_t], or [B, T, d_s] → [B, T, d_t] for sequences, is used for L_feat^m alone;
/// the fusion receives the student's own features. A modality of equal widths needs no map. The
/// parameters belong to no encoder, so they always learn.
#[derive(Debug, Default)]
pub struct FeatureProjection {
    maps: Vec<(Modality, nn::Linear)>,
}

impl FeatureProjection {
    /// Creates the parameters `path / modality` for each `(modality, student width, teacher width)`.
    ///
    /// # Errors
    /// [`Error::Config`] for a repeated modality or a width below 1.
    pub fn new<M: Into<Modality>>(
        path: &nn::Path<'_>,
        widths: impl IntoIterator<Item = (M, i64, i64)>,
    ) -> Result<Self> {
        let mut maps: Vec<(Modality, nn::Linear)> = Vec::new();
        for (modality, student, teacher) in widths {
            let modality = modality.into();
            if student < 1 || teacher < 1 || maps.iter().any(|(other, _)| *other == modality) {
                return Err(error::config(
                    format!("feature projection of modality {modality:?}"),
                    "one per modality, with widths of at least 1",
                    format!("{student} → {teacher} after {} others", maps.len()),
                    "pass the last dimension of the student's and the teacher's features",
                ));
            }
            let map = nn::linear(path / modality.name(), student, teacher, Default::default());
            maps.push((modality, map));
        }
        Ok(Self { maps })
    }

    /// The modalities that have a map.
    pub(crate) fn modalities(&self) -> impl Iterator<Item = &Modality> {
        self.maps.iter().map(|(modality, _)| modality)
    }

    /// The description and tensor of every parameter.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (String, &Tensor)> {
        self.maps.iter().flat_map(|(modality, map)| {
            let named = move |part| format!("feature projection of {modality}: {part}");
            std::iter::once((named("weight"), &map.ws))
                .chain(map.bs.iter().map(move |bias| (named("bias"), bias)))
        })
    }

    /// Projects the student's features of `modality`; returns them unchanged without a map.
    pub(crate) fn apply(&self, modality: &Modality, features: &Tensor) -> Result<Tensor> {
        let Some((_, map)) = self.maps.iter().find(|(other, _)| other == modality) else {
            return Ok(features.shallow_clone());
        };
        let width = map.ws.size()[1];
        if features.size().last() != Some(&width) {
            let what = format!("student features of modality {modality:?}");
            let expected =
                format!("[B, {width}] or [B, …, {width}], the width of its FeatureProjection");
            let hint = "create the projection with the width of the encoder";
            return Err(error::wrong_shape(what, expected, &features.size(), hint));
        }
        let mapped = features.f_linear(&map.ws, map.bs.as_ref());
        mapped.map_err(|e| Error::torch(format!("project the features of {modality:?}"), e))
    }
}
