//! A recorder that sends a run to an MLflow server by its REST API.

use std::{
    io,
    time::{Duration, SystemTime},
};

use g2d::{
    EpochReport, Error, Result,
    record::{Outcome, Recorder, RunInfo, StepRow},
};
use serde_json::{Value, json};

/// MLflow accepts at most so many parameters in one request.
const PARAMETERS: usize = 100;

/// Sends the metrics of a run to an MLflow server, one request per epoch and per recorded step.
///
/// A server that does not reply within ten seconds is an error, and `Recorders` removes the recorder then.
pub struct MlFlow {
    agent: ureq::Agent,
    url: String,
    /// The server's identifier of the run, known after `begin`.
    run: Value,
}

impl MlFlow {
    /// A recorder for the server at `url`, such as `http://localhost:5000`.
    pub fn new(url: &str) -> Self {
        let config =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build();
        Self { agent: config.into(), url: url.trim_end_matches('/').to_owned(), run: Value::Null }
    }

    /// Calls an endpoint and returns its reply.
    fn post(&self, endpoint: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/api/2.0/mlflow/{endpoint}", self.url);
        let reply = self.agent.post(&url).send_json(body);
        let reply = reply.and_then(|mut reply| reply.body_mut().read_json());
        reply.map_err(|source| Error::Io {
            doing: "post to MLflow",
            path: url.into(),
            source: io::Error::other(source),
        })
    }

    /// Sends metrics, without those that are not finite.
    fn metrics<'a>(
        &self,
        step: u64,
        metrics: impl IntoIterator<Item = (String, &'a f64)>,
    ) -> Result<()> {
        let timestamp = milliseconds();
        let finite = metrics.into_iter().filter(|(_, value)| value.is_finite());
        let metric = |(key, value): (String, &f64)| json!({"key": key, "value": value, "timestamp": timestamp, "step": step});
        let metrics: Vec<_> = finite.map(metric).collect();
        self.post("runs/log-batch", &json!({"run_id": self.run, "metrics": metrics})).map(drop)
    }
}

impl Recorder for MlFlow {
    fn begin(&mut self, info: &RunInfo) -> Result<()> {
        let run =
            json!({"experiment_id": "0", "run_name": info.name, "start_time": milliseconds()});
        self.run = self.post("runs/create", &run)?["run"]["info"]["run_id"].take();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let parameters = info.flat_config().into_iter();
        let parameters: Vec<_> =
            parameters.map(|(key, value)| json!({"key": key, "value": text(value)})).collect();
        for params in parameters.chunks(PARAMETERS) {
            self.post("runs/log-batch", &json!({"run_id": self.run, "params": params}))?;
        }
        Ok(())
    }

    fn step_row(&mut self, row: &StepRow) -> Result<()> {
        let mut metrics = vec![("step/loss".to_owned(), &row.values.terms.total)];
        let kappa = row.modalities.iter().zip(&row.values.kappa);
        metrics.extend(kappa.map(|(m, kappa)| (format!("step/kappa/{m}"), kappa)));
        metrics.extend(row.learning_rates.iter().map(|(g, lr)| (format!("step/lr/{g}"), lr)));
        metrics.extend(row.gradient_norm.iter().map(|norm| ("step/gradient_norm".into(), norm)));
        self.metrics(row.finished(), metrics)
    }

    fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) -> Result<()> {
        let mut all = vec![("loss".to_owned(), &report.terms.total)];
        all.extend(metrics.iter().map(|(name, value)| (name.clone(), value)));
        let kappa = report.modalities.iter().zip(&report.kappa);
        all.extend(kappa.map(|(m, kappa)| (format!("kappa/{m}"), kappa)));
        self.metrics(report.epoch, all)
    }

    fn finish(&mut self, outcome: &Outcome) -> Result<()> {
        let scores = outcome.scores.iter().map(|(name, value)| (name.clone(), value));
        self.metrics(0, scores)?;
        if let Some(diagnosis) = &outcome.diagnosis {
            let tag =
                json!({"run_id": self.run, "key": "diagnosis", "value": diagnosis.to_string()});
            self.post("runs/set-tag", &tag)?;
        }
        let end = json!({"run_id": self.run, "status": "FINISHED", "end_time": milliseconds()});
        self.post("runs/update", &end).map(drop)
    }
}

/// Milliseconds since 1970.
fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}
