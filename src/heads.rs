//! Unimodal heads beside a fusion that has none.
//!
//! Balanced training ([`Distillation::balanced`](crate::loss::Distillation::balanced)) needs the student's
//! own logits of each modality. A late fusion has them; a concatenation, FiLM, gated fusion or attention
//! does not. [`WithHeads`] adds a linear layer per modality on its features, which the fused logits do not
//! use.

use std::borrow::Borrow;

use tch::{
    Tensor,
    nn::{self, Module},
};

use crate::batch::Batch;
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::student::{Features, Student};

/// A student with a unimodal head z_m = W_m f_m + b_m for each modality, beside its fusion.
///
/// Everything but [`unimodal_logits`](Student::unimodal_logits) is the student's own.
///
/// # Example
/// ```
/// # use g2d::{Batch, Features, Modality, Result, Student};
/// # use tch::{Tensor, nn, nn::Module};
/// # struct Concat { names: Vec<Modality>, encoders: Vec<nn::Linear>, out: nn::Linear }
/// # impl Student for Concat {
/// #     fn modalities(&self) -> &[Modality] { &self.names }
/// #     fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
/// #         Ok(self.encoders[m].forward(batch.input(m)).relu())
/// #     }
/// #     fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
/// #         Ok(self.out.forward(&Tensor::f_cat(features, 1)?))
/// #     }
/// # }
/// use g2d::heads::WithHeads;
///
/// # let vs = nn::VarStore::new(tch::Device::Cpu);
/// # let linear = |input, output| nn::linear(vs.root(), input, output, Default::default());
/// # let concat = Concat {
/// #     names: Modality::list(["audio", "image"]),
/// #     encoders: vec![linear(3, 16), linear(5, 32)],
/// #     out: linear(48, 10),
/// # };
/// // `concat` has features of widths 16 and 32, and 10 classes.
/// let student = WithHeads::new(concat, vs.root() / "heads", &[16, 32], 10)?;
/// let zeros = |width| Tensor::zeros([4, width], tch::kind::FLOAT_CPU);
/// let batch = Batch::new([zeros(3), zeros(5)], Tensor::zeros([4], tch::kind::INT64_CPU));
/// let features = [zeros(16), zeros(32)];
/// let logits = student.unimodal_logits(1, &Features::new(&features, &batch)?)?;
/// assert_eq!(logits.unwrap().size(), [4, 10]);
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Debug)]
pub struct WithHeads<S> {
    student: S,
    heads: Vec<nn::Linear>,
}

impl<S: Student> WithHeads<S> {
    /// Registers a head for each modality under `path`, named by the modality, with `widths[m]` inputs
    /// and `outputs` outputs, initialised as tch does. The student's features are [B, `widths[m]`].
    /// `path` lies outside the encoders' paths, so that κ does not act on the heads.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) unless there is one width for each modality, each at least
    /// 1, and at least one output; [`Error::Shape`](crate::Error::Shape) for a width other than that of
    /// [`Student::feature_shape`].
    pub fn new<'a>(
        student: S,
        path: impl Borrow<nn::Path<'a>>,
        widths: &[i64],
        outputs: i64,
    ) -> Result<Self> {
        let (modalities, path) = (student.modalities(), path.borrow());
        if widths.len() != modalities.len() {
            let hint = "pass the feature widths in the student's order";
            let what = "widths of the heads";
            return Err(error::one_per_modality(what, modalities, widths.len(), hint));
        }
        if let Some(size) = widths.iter().chain([&outputs]).find(|size| **size < 1) {
            return Err(error::out_of_range("widths and outputs of the heads", "at least 1", size));
        }
        for (m, (modality, &width)) in modalities.iter().zip(widths).enumerate() {
            if let Some(found) = student.feature_shape(m).filter(|shape| *shape != [width]) {
                let what = format!("features of modality {modality:?}");
                let expected = format!("[{width}], the width of its head");
                let hint = "pass the width of the features; pool or flatten other features";
                return Err(error::wrong_shape(what, expected, &found, hint));
            }
        }
        let head = |(modality, &width): (&Modality, &i64)| {
            nn::linear(path / modality.name(), width, outputs, nn::LinearConfig::default())
        };
        let heads = modalities.iter().zip(widths).map(head).collect();
        Ok(Self { student, heads })
    }

    /// The student without its heads.
    pub fn student(&self) -> &S {
        &self.student
    }
}

impl<S: Student> Student for WithHeads<S> {
    fn modalities(&self) -> &[Modality] {
        self.student.modalities()
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        self.student.encode(m, batch, train)
    }

    fn fuse(&self, features: &Features<'_>, train: bool) -> Result<Tensor> {
        self.student.fuse(features, train)
    }

    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        self.student.feature_shape(m)
    }

    fn distilled_features(&self, features: &Features<'_>) -> Result<Vec<Tensor>> {
        self.student.distilled_features(features)
    }

    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        Ok(Some(self.heads[m].forward(&features[m])))
    }
}
