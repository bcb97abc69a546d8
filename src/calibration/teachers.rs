//! The calibration of the teachers.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{
    FusionWeights, Temperature,
    margins::{Margins, failed, mean, to_host},
    ranges,
};
use crate::error::{self, Error, Result};
use crate::loss::EnsembleTerm;
use crate::metrics;
use crate::modality::{Modality, PerModality};
use crate::schedule::Ranking;

/// The calibration of one teacher on validation data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherCalibration {
    /// The teacher's modality.
    pub modality: Modality,
    /// Its temperature t_m and NLL_m.
    pub temperature: Temperature,
    /// Its accuracy, in [0, 1].
    #[serde(deserialize_with = "ranges::share")]
    pub accuracy: f64,
    /// Its mean probability of the true class at t_m, in [0, 1].
    #[serde(deserialize_with = "ranges::share")]
    pub confidence: f64,
    /// g_m = max(0, 1 − NLL_m / log C), in [0, 1]: the information that it has on the labels.
    #[serde(deserialize_with = "ranges::share")]
    pub information: f64,
}

/// The calibration of all teachers, in the student's order, and what balanced training derives from it.
///
/// # Example
/// ```
/// use g2d::{Modality, calibration::Calibration};
/// use tch::Tensor;
///
/// // Validation logits of two teachers, for example from `evaluate_teacher`.
/// let targets = Tensor::from_slice(&[0_i64, 1, 0, 1]);
/// let audio = Tensor::from_slice2(&[[4.0_f32, 0.0], [5.0, 0.0], [6.0, 0.0], [0.0, 5.0]]);
/// let image = Tensor::from_slice2(&[[1.0_f32, 0.0], [0.0, 1.0], [0.9, 0.0], [0.2, 0.0]]);
/// let calibration = Calibration::fit([
///     (Modality::new("audio"), &audio, &targets),
///     (Modality::new("image"), &image, &targets),
/// ])?;
/// // Audio is overconfident: its temperature is higher and its weight lower.
/// let [audio, image] = calibration.teachers() else { unreachable!() };
/// assert!(audio.temperature.value > image.temperature.value);
/// assert!(calibration.fusion_weights()?.as_slice()[0] < 0.5);
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<TeacherCalibration>", into = "Vec<TeacherCalibration>")]
pub struct Calibration {
    teachers: Vec<TeacherCalibration>,
}

impl TryFrom<Vec<TeacherCalibration>> for Calibration {
    type Error = Error;

    fn try_from(teachers: Vec<TeacherCalibration>) -> Result<Self> {
        if teachers.is_empty() {
            let hint = "pass the validation logits of every teacher";
            return Err(error::config("teachers to calibrate", "at least one", "none", hint));
        }
        Ok(Self { teachers })
    }
}

impl From<Calibration> for Vec<TeacherCalibration> {
    fn from(calibration: Calibration) -> Self {
        calibration.teachers
    }
}

impl Calibration {
    /// Calibrates teachers by their validation logits [N_m, C] and labels \[N_m\], in the student's
    /// order. A teacher covers the samples that have its modality.
    ///
    /// # Errors
    /// As [`Temperature::fit`], with the modality; [`Error::Config`] without a teacher.
    pub fn fit<'a>(
        teachers: impl IntoIterator<Item = (Modality, &'a Tensor, &'a Tensor)>,
    ) -> Result<Self> {
        let teachers = teachers.into_iter().map(|(m, logits, targets)| teacher(m, logits, targets));
        teachers.collect::<Result<Vec<_>>>()?.try_into()
    }

    /// The calibration of each teacher, in the student's order.
    pub fn teachers(&self) -> &[TeacherCalibration] {
        &self.teachers
    }

    /// w_m = (1 / t_m) / Σ_j 1 / t_j: the default of balanced training.
    ///
    /// # Errors
    /// [`Error::Config`] for temperatures so small that Σ_j 1 / t_j is not finite, which `fit` does not
    /// return.
    pub fn fusion_weights(&self) -> Result<FusionWeights> {
        FusionWeights::new(self.each(|teacher| 1.0 / teacher.temperature.value))
    }

    /// w_m in the ratio of accuracy_m / t_m, for training with an ensemble term.
    ///
    /// # Errors
    /// As [`fusion_weights`](Self::fusion_weights); [`Error::Config`] if no teacher has an accuracy above
    /// 0.
    pub fn fusion_weights_by_accuracy(&self) -> Result<FusionWeights> {
        FusionWeights::new(self.each(|teacher| teacher.accuracy / teacher.temperature.value))
    }

    /// v_m = min(1, 3 g_m): weights of the feature and head terms that switch off a teacher that has no
    /// information on the labels.
    pub fn information_weights(&self) -> PerModality<f64> {
        PerModality::Each(self.each(|teacher| (3.0 * teacher.information).min(1.0)))
    }

    /// The ensemble term L_ens of these teachers, with weight 1 and temperature 4.
    pub fn ensemble_term(&self) -> EnsembleTerm {
        let teacher_temperature = PerModality::Each(self.each(|teacher| teacher.temperature.value));
        EnsembleTerm { teacher_temperature, ..EnsembleTerm::default() }
    }

    /// The ranking by the teachers' confidence on validation data.
    pub fn ranking(&self) -> Ranking {
        let rho =
            self.teachers.iter().map(|teacher| (teacher.modality.clone(), teacher.confidence));
        Ranking::HeldOut(rho.collect())
    }

    /// The calibrated ensemble l_e = Σ_m l_t^m / t_m [N, C] of the teachers' logits [N, C] on any data,
    /// in the order of the teachers.
    ///
    /// # Errors
    /// [`Error::Config`] unless there are logits of every teacher, [`Error::Torch`] for logits of
    /// different shapes.
    pub fn ensemble(&self, logits: &[Tensor]) -> Result<Tensor> {
        if logits.len() != self.teachers.len() {
            let modalities: Vec<_> = self.teachers.iter().map(|t| t.modality.clone()).collect();
            let hint = "pass the logits of all teachers";
            let what = "logits of the ensemble";
            return Err(error::one_per_modality(what, &modalities, logits.len(), hint));
        }
        let calibrated = logits.iter().zip(&self.teachers).map(|(l, t)| l / t.temperature.value);
        let calibrated: Vec<Tensor> = calibrated.collect();
        let stacked = Tensor::f_stack(&calibrated, 0).map_err(failed)?;
        stacked.f_sum_dim_intlist(0, false, None::<Kind>).map_err(failed)
    }

    fn each(&self, value: impl Fn(&TeacherCalibration) -> f64) -> Vec<f64> {
        self.teachers.iter().map(value).collect()
    }
}

fn teacher(modality: Modality, logits: &Tensor, targets: &Tensor) -> Result<TeacherCalibration> {
    let margins = Margins::new(&format!("the teacher of {modality:?}"), logits, targets)?;
    let temperature = Temperature::from_margins(&margins);
    Ok(TeacherCalibration {
        modality,
        temperature,
        accuracy: metrics::accuracy(&to_host(logits)?, &targets.to_device(Device::Cpu))?,
        confidence: mean(&margins.probability(temperature.value)),
        information: (1.0 - temperature.nll / margins.classes().ln()).max(0.0),
    })
}
