//! TensorBoard's event files.
//!
//! - `message.rs`: the messages, a selection of TensorBoard's and TensorFlow's protocol buffers.
//! - `file.rs`: records with their checksums.
//! - `histogram.rs`: counts over equal bins, of numbers and of tensors.
//! - `hyper.rs`: hyper-parameters out of a run's configuration.

mod file;
mod histogram;
mod hyper;
mod message;

use std::path::Path;

use file::EventFile;
use message::{SessionStatus, Value};

use super::{Outcome, Recorder, RunInfo};
use crate::{
    error::Result,
    modality::Modality,
    parameters::ModalityParams,
    step::{EpochReport, StepReport},
};

/// Writes an event file that TensorBoard shows; its step is the epoch.
///
/// Scalars `loss/total`, `loss/task`, `loss/feature/m`, `loss/logit/m`, `confidence/m`, `kappa/m`,
/// `probe/metric/m`, `metric/name` and, at the end, `result/name`, in single precision; histograms
/// `kappa_of_steps/m` (if told of steps), `parameters/m` and `gradients/m` (if told of encoders; what
/// is not finite is left out, and so is an encoder without gradients); the configuration as
/// hyper-parameters; name, environment and diagnosis as text.
#[derive(Debug)]
pub struct TensorBoard {
    file: EventFile,
    /// κ of the epoch's steps, for each modality.
    kappa: Vec<Vec<f64>>,
    /// The step that the next record belongs to.
    step: i64,
}

impl TensorBoard {
    /// Starts an event file in `folder`, which TensorBoard takes for one run.
    ///
    /// Event files that are there stay: TensorBoard shows them as the same run.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io) with the path.
    pub fn create(folder: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { file: EventFile::create(folder.as_ref())?, kappa: Vec::new(), step: 0 })
    }

    /// Goes on with the run in `folder` at `epoch`, in a file of its own that tells TensorBoard to
    /// leave out what the older ones hold from there on.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn resume(folder: impl AsRef<Path>, epoch: u64) -> Result<Self> {
        let mut board = Self::create(folder)?;
        board.step = step(epoch);
        board.file.restart(board.step)?;
        board.file.flush()?;
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
        let values = vec![Value::text("run", text), hyper::start(info)];
        self.file.summary(self.step, values)?;
        self.file.flush()
    }

    fn step(&mut self, report: &StepReport) -> Result<()> {
        let kappa = report.kappa();
        self.kappa.resize_with(kappa.len(), Vec::new);
        self.kappa.iter_mut().zip(kappa).for_each(|(seen, kappa)| seen.push(kappa));
        Ok(())
    }

    fn encoders(&mut self, epoch: u64, params: &ModalityParams) -> Result<()> {
        let mut values = Vec::new();
        for (m, modality) in params.modalities().enumerate() {
            let parameters = params.encoder(m).iter().map(|(_, tensor)| tensor.shallow_clone());
            for (what, tensors) in [
                ("parameters", parameters.collect::<Vec<_>>()),
                ("gradients", params.gradients(m).collect()),
            ] {
                let histogram = histogram::of_tensors(&tensors)?;
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
            let histogram = histogram::of_fractions(&kappa);
            let tag = format!("kappa_of_steps/{modality}");
            values.extend(histogram.map(|h| Value::histogram(tag, h)));
        }
        self.file.summary(self.step, values)?;
        self.file.flush()
    }

    fn finish(&mut self, outcome: &Outcome) -> Result<()> {
        let scores = outcome.scores.iter();
        let mut values: Vec<Value> =
            scores.map(|(name, v)| Value::scalar(format!("result/{name}"), *v)).collect();
        for measured in &outcome.measurements {
            let of = measured.modality.as_ref().map(|m| format!("_{m}")).unwrap_or_default();
            let tag = format!("result/{}{of}", measured.metric);
            values.push(Value::scalar(tag, measured.value));
        }
        if let Some(diagnosis) = outcome.diagnosis.as_ref().filter(|d| !d.findings.is_empty()) {
            let text = diagnosis.to_string();
            values
                .push(Value::text("diagnosis", text.lines().map(|l| format!("- {l}\n")).collect()));
        }
        values.push(hyper::end(SessionStatus::Success));
        self.file.summary(self.step, values)?;
        self.file.flush()
    }
}

fn scalars(report: &EpochReport) -> Vec<Value> {
    let mut values = vec![
        Value::scalar("loss/total", report.terms.total),
        Value::scalar("loss/task", report.terms.task),
    ];
    let kappa: Vec<_> = report.kappa.iter().copied().map(Some).collect();
    let each: [(&str, &[Option<f64>]); 4] = [
        ("loss/feature", &report.terms.feature),
        ("loss/logit", &report.terms.logit),
        ("confidence", &report.confidence),
        ("kappa", &kappa),
    ];
    for (tag, of_each) in each {
        let known = report.modalities.iter().zip(of_each).filter_map(|(m, v)| Some((m, (*v)?)));
        values.extend(known.map(|(m, v)| Value::scalar(format!("{tag}/{m}"), v)));
    }
    values.extend(report.measurements.iter().map(|measured| {
        let of = measured.modality.as_ref().map(Modality::name);
        let tag = [Some("probe"), Some(measured.metric.as_str()), of];
        Value::scalar(tag.into_iter().flatten().collect::<Vec<_>>().join("/"), measured.value)
    }));
    values
}

fn step(epoch: u64) -> i64 {
    i64::try_from(epoch).unwrap_or(i64::MAX)
}
