//! The TensorBoard recorder.
//!
//! - `message.rs`: the protocol buffers; `file.rs`: their records in an event file.
//! - `histogram.rs`: histograms of numbers and tensors.
//! - `hparams.rs`: the values of the hparams plugin.

mod file;
mod histogram;
mod hparams;
mod message;

use std::path::{Path, PathBuf};

use file::EventFile;
use message::Value;

use super::{Outcome, Recorder, RunInfo, StepRow};
use crate::error::Result;
use crate::loss::Terms;
use crate::modality::Modality;
use crate::parameters::ModalityParams;
use crate::schedule::Progress;
use crate::step::{EpochReport, StepReport};

/// Records event files for TensorBoard: one whose step is the epoch, and in the folder `steps` one whose step
/// is that of the run.
///
/// - Scalars in single precision: `loss/total`, `loss/task`, `loss/feature/m`, `loss/logit/m`,
///   `confidence/m`, `kappa/m`, `probe/metric/m`, `metric/name`, and at the end `result/name`.
/// - Histograms: `kappa_of_steps/m` if steps are recorded; `parameters/m` and `gradients/m` if encoders
///   are, without values that are not finite.
/// - Of recorded steps: the losses, `confidence/m` and `kappa/m` as above, `lr` or `lr/group`, and
///   `gradient_norm`. TensorBoard shows them as a run of its own, called `steps`.
/// - Hyper-parameters: the configuration. Text: name, environment and diagnosis.
#[derive(Debug)]
pub struct TensorBoard {
    file: EventFile,
    /// The folder of the event file of steps.
    steps_folder: PathBuf,
    /// The event file of steps, created with the first one.
    steps: Option<EventFile>,
    /// κ in the steps of the current epoch, for each modality.
    kappa: Vec<Vec<f64>>,
    /// The step of the next event.
    step: i64,
}

impl TensorBoard {
    /// Creates an event file in `folder`. TensorBoard shows all event files of a folder as one run.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn create(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let (file, steps_folder) = (EventFile::create(folder)?, folder.join("steps"));
        Ok(Self { file, steps_folder, steps: None, kappa: Vec::new(), step: 0 })
    }

    /// Resumes the run in `folder` at `at`, such as
    /// [`G2dTrainer::progress`](crate::G2dTrainer::progress), in new event files. TensorBoard then ignores
    /// that and later epochs, and later steps, of older files.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn resume(folder: impl AsRef<Path>, at: Progress) -> Result<Self> {
        let mut board = Self::create(folder)?;
        board.step = step(at.epoch);
        board.file.purge_from(board.step)?;
        if board.steps_folder.is_dir() {
            let mut steps = EventFile::create(&board.steps_folder)?;
            steps.purge_from(step(at.total_steps))?;
            board.steps = Some(steps);
        }
        Ok(board)
    }
}

impl Recorder for TensorBoard {
    fn begin(&mut self, info: &RunInfo) -> Result<()> {
        let environment = &info.environment;
        let text = format!(
            "**{}**, started {}\n\ng2d {}, libtorch {}, {}, {} threads, {}\n",
            info.name,
            info.created,
            environment.g2d,
            environment.libtorch,
            environment.device,
            environment.threads,
            environment.system,
        );
        let values = vec![Value::text("run", text), hparams::start(info)];
        self.file.summary(self.step, values)
    }

    fn step(&mut self, report: &StepReport) -> Result<()> {
        let kappa = report.kappa();
        self.kappa.resize_with(kappa.len(), Vec::new);
        self.kappa.iter_mut().zip(kappa).for_each(|(steps, kappa)| steps.push(kappa));
        Ok(())
    }

    fn step_row(&mut self, row: &StepRow) -> Result<()> {
        let StepRow { modalities, values, learning_rates, gradient_norm } = row;
        let mut scalars = values_of(modalities, &values.terms, &values.confidence, &values.kappa);
        for (group, lr) in learning_rates {
            let separator = if group.is_empty() { "" } else { "/" };
            scalars.push(Value::scalar(format!("lr{separator}{group}"), *lr));
        }
        scalars.extend(gradient_norm.map(|norm| Value::scalar("gradient_norm", norm)));
        let file = match &mut self.steps {
            Some(file) => file,
            none => none.insert(EventFile::create(&self.steps_folder)?),
        };
        file.summary(step(values.at.total_steps), scalars)
    }

    fn encoders(&mut self, epoch: u64, params: &ModalityParams) -> Result<()> {
        let mut values = Vec::new();
        for (m, modality) in params.modalities().enumerate() {
            let parameters = params.encoder(m).iter().map(|(_, tensor)| tensor.shallow_clone());
            for (what, tensors) in [
                ("parameters", parameters.collect::<Vec<_>>()),
                ("gradients", params.gradients(m).collect()),
            ] {
                let histogram = histogram::from_tensors(&tensors)?;
                values.extend(histogram.map(|h| Value::histogram(format!("{what}/{modality}"), h)));
            }
        }
        self.file.summary(step(epoch), values)
    }

    fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) -> Result<()> {
        self.step = step(report.epoch);
        let mut values = scalars(report);
        values.extend(metrics.iter().map(|(name, v)| Value::scalar(format!("metric/{name}"), *v)));
        for (modality, kappa) in report.modalities.iter().zip(std::mem::take(&mut self.kappa)) {
            let histogram = histogram::from_fractions(&kappa);
            let tag = format!("kappa_of_steps/{modality}");
            values.extend(histogram.map(|h| Value::histogram(tag, h)));
        }
        self.file.summary(self.step, values)
    }

    fn finish(&mut self, outcome: &Outcome) -> Result<()> {
        let scores = outcome.scores.iter().map(|(name, value)| (name.clone(), *value));
        let measured = outcome.measurements.iter().map(|measurement| {
            let of = measurement.modality.as_ref().map(|m| format!("_{m}")).unwrap_or_default();
            (format!("{}{of}", measurement.metric), measurement.value)
        });
        let all = scores.chain(measured);
        let mut values: Vec<_> =
            all.map(|(name, value)| Value::scalar(format!("result/{name}"), value)).collect();
        if let Some(diagnosis) = outcome.diagnosis.as_ref().filter(|d| !d.findings.is_empty()) {
            let lines = diagnosis.to_string().lines().map(|line| format!("- {line}\n")).collect();
            values.push(Value::text("diagnosis", lines));
        }
        values.push(hparams::end());
        self.file.summary(self.step, values)
    }
}

fn scalars(report: &EpochReport) -> Vec<Value> {
    let EpochReport { modalities, terms, confidence, kappa, .. } = report;
    let mut values = values_of(modalities, terms, confidence, kappa);
    values.extend(report.measurements.iter().map(|measured| {
        let of = measured.modality.as_ref().map(Modality::name);
        let tag = [Some("probe"), Some(measured.metric.as_str()), of];
        Value::scalar(tag.into_iter().flatten().collect::<Vec<_>>().join("/"), measured.value)
    }));
    values
}

/// The losses, ρ and κ of an epoch or a step.
fn values_of(
    modalities: &[Modality],
    terms: &Terms<f64>,
    confidence: &[Option<f64>],
    kappa: &[f64],
) -> Vec<Value> {
    let mut values =
        vec![Value::scalar("loss/total", terms.total), Value::scalar("loss/task", terms.task)];
    values.extend(terms.ensemble.map(|term| Value::scalar("loss/ensemble", term)));
    let kappa: Vec<_> = kappa.iter().copied().map(Some).collect();
    let each: [(&str, &[Option<f64>]); 5] = [
        ("loss/feature", &terms.feature),
        ("loss/logit", &terms.logit),
        ("loss/head", &terms.head),
        ("confidence", confidence),
        ("kappa", &kappa),
    ];
    for (tag, of_each) in each {
        let known = modalities.iter().zip(of_each).filter_map(|(m, v)| Some((m, (*v)?)));
        values.extend(known.map(|(m, v)| Value::scalar(format!("{tag}/{m}"), v)));
    }
    values
}

/// A number of epochs or steps as TensorBoard's step.
fn step(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
