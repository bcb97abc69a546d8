//! A bridge between feature widths of student and teacher.

use tch::{Tensor, nn};

use crate::{
    error::{self, Error, Result},
    modality::Modality,
};

/// Trainable linear maps from a student's feature width to its teacher's, one a modality.
///
/// proj^m: [B, d_s] → [B, d_t], or [B, T, d_s] → [B, T, d_t] of sequences, used for L_feat^m alone;
/// the fusion sees the student's own features. Where the widths agree none is needed. Its parameters
/// live in the `VarStore` of the path given, outside every encoder: they always learn.
#[derive(Debug, Default)]
pub struct FeatureProjection {
    maps: Vec<(Modality, nn::Linear)>,
}

impl FeatureProjection {
    /// Registers `path / modality` for each `(modality, student width, teacher width)`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for a repeated modality or a width below 1.
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
                    "one a modality, with widths of at least 1",
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

    /// Name and tensor of every parameter.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (String, &Tensor)> {
        self.maps.iter().flat_map(|(modality, map)| {
            let named = move |part| format!("feature projection of {modality}: {part}");
            std::iter::once((named("weight"), &map.ws))
                .chain(map.bs.iter().map(move |bias| (named("bias"), bias)))
        })
    }

    /// The student's features of `modality` in its teacher's width: mapped, or as they are.
    pub(crate) fn apply(&self, modality: &Modality, features: &Tensor) -> Result<Tensor> {
        let Some((_, map)) = self.maps.iter().find(|(other, _)| other == modality) else {
            return Ok(features.shallow_clone());
        };
        let width = map.ws.size()[1];
        if features.size().last() != Some(&width) {
            return Err(error::shape(
                format!("student features of modality {modality:?}"),
                format!("[B, {width}] or [B, …, {width}], as its FeatureProjection was made for"),
                format!("{:?}", features.size()),
                "make the projection with the encoder's real width",
            ));
        }
        let mapped = features.f_linear(&map.ws, map.bs.as_ref());
        mapped.map_err(|e| Error::torch(format!("project the features of {modality:?}"), e))
    }
}
