//! The page.

use std::path::Path;

use minijinja::{Environment, Value, context};
use serde_json::Value as Json;

use super::{
    Plot, Theme, comparison_plots,
    figures::{metrics, value},
    labels::{axis, capital, number, split, title},
    plots, theme,
};
use crate::{
    diagnosis::{Advice, Finding},
    error::{self, Error, Result},
    modality::Modality,
    record::Run,
};

/// A page of one run, or of several side by side: one HTML file without script that needs no network,
/// for light and dark screens and for paper.
#[derive(Debug, Clone)]
pub struct Report {
    runs: Vec<Run>,
}

impl Report {
    /// Of these runs, in this order.
    ///
    /// # Errors
    /// [`Error::Config`] without a run.
    pub fn new(runs: Vec<Run>) -> Result<Self> {
        if runs.is_empty() {
            let hint = "read one with Run::read";
            return Err(error::config("runs of a report", "at least one", "none", hint));
        }
        Ok(Self { runs })
    }

    /// Its plots: [`plots`] of one run, [`comparison_plots`] of several.
    pub fn plots(&self) -> Vec<Plot> {
        match self.runs.as_slice() {
            [run] => plots(run),
            runs => comparison_plots(runs),
        }
    }

    /// The page.
    ///
    /// # Errors
    /// [`Error::Config`] for what cannot be drawn.
    pub fn html(&self) -> Result<String> {
        let figure = |plot: &Plot| {
            let svg = Value::from_safe_string(plot.svg(Theme::Light)?);
            Ok(context! { svg, caption => &plot.caption })
        };
        let figures = self.plots().iter().map(figure).collect::<Result<Vec<_>>>()?;
        let names: Vec<&str> = self.runs.iter().map(|run| run.info.name.as_str()).collect();
        let page = context! {
            title => names.join(" · "),
            darken => Value::from_safe_string(theme::darken()),
            version => env!("CARGO_PKG_VERSION"),
            runs => self.runs.iter().map(of_run).collect::<Vec<_>>(),
            comparison => (self.runs.len() > 1).then(|| comparison(&self.runs)),
            figures,
        };
        let mut environment = Environment::new();
        let rendered = environment
            .add_template("page.html", include_str!("page.html"))
            .and_then(|()| environment.get_template("page.html")?.render(page));
        rendered.map_err(|e| {
            error::config("report", "a page", e.to_string(), "tell the authors of g2d")
        })
    }

    /// Writes the page to `path`, and the folders it lies in.
    ///
    /// # Errors
    /// As [`html`](Self::html); [`Error::Io`] with the path.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let html = self.html()?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|e| Error::io("create the folder", folder, e))?;
        }
        std::fs::write(path, html).map_err(|e| Error::io("write the file", path, e))
    }
}

/// Name and value as text.
type Pair = (String, String);

fn of_run(run: &Run) -> Value {
    let scores = scores(run);
    let environment = &run.info.environment;
    let seconds: f64 = run.epochs.iter().map(|row| row.seconds).sum();
    let mut config = Vec::new();
    flatten("", &run.info.config, &mut config);
    context! {
        name => &run.info.name,
        created => &run.info.created,
        folder => run.folder.display().to_string(),
        epochs => run.epochs.len(),
        duration => humantime::format_duration(std::time::Duration::from_secs(seconds.ceil() as u64)).to_string(),
        ended => run.outcome.is_some(),
        modalities => run.info.modalities.iter().map(Modality::name).collect::<Vec<_>>().join(", "),
        scores,
        diagnosis => diagnosis(run),
        balance => balance(run),
        log => log(run),
        config,
        environment => [
            ("g2d", environment.g2d.clone()),
            ("libtorch", environment.libtorch.clone()),
            ("device", environment.device.clone()),
            ("threads", environment.threads.to_string()),
            ("system", environment.system.clone()),
        ],
        notes => &run.notes,
    }
}

/// What was found, in words; nothing where nobody looked.
fn diagnosis(run: &Run) -> Option<Value> {
    let found = run.outcome.as_ref()?.diagnosis.as_ref()?;
    let metric = &found.metric;
    let finding = |finding: &Finding| {
        context! {
            text => capital(&finding.in_words(metric)),
            advice => capital(&finding.advice.to_string()),
            numbers => finding.shown(metric),
            fine => matches!(finding.advice, Advice::KeepJoint | Advice::KeepSchedule),
        }
    };
    let findings = found.findings.iter().map(finding).collect::<Vec<_>>();
    Some(context! { metric => &metric.name, findings })
}

/// Final numbers; those of the last epoch where there are none.
fn scores(run: &Run) -> Vec<Pair> {
    let of_end = run.outcome.as_ref().map(|outcome| &outcome.scores).filter(|all| !all.is_empty());
    let of_last = run.epochs.last().map(|row| &row.metrics);
    of_end.or(of_last).map_or_else(Vec::new, |numbers| shown(run, numbers))
}

fn shown(run: &Run, numbers: &[(String, f64)]) -> Vec<Pair> {
    let pair = |(name, value): &(String, f64)| {
        let (metric, of) = split(name, &run.info.modalities);
        let of = of.map(|m| format!(", {m} inside the student")).unwrap_or_default();
        let label = run.info.labels.iter().find(|label| label.metric == metric);
        let value = match label.map_or("", |label| label.unit.as_str()) {
            "" => number(*value),
            "%" if value.is_finite() => format!("{value:.2} %"),
            unit => format!("{} {unit}", number(*value)),
        };
        (format!("{}{of}", title(run, metric)), value)
    };
    numbers.iter().map(pair).collect()
}

/// A row a modality: its teacher, itself inside the student, how long it learnt.
fn balance(run: &Run) -> Value {
    let metrics = metrics(run);
    let mut head = Vec::new();
    for metric in &metrics {
        let name = axis(run, metric);
        head.push(format!("{name}: teacher"));
        head.push(format!("{name}: inside the student, last epoch"));
    }
    head.extend(["ρ, last epoch".to_owned(), "κ, mean".to_owned()]);
    let last = run.epochs.last();
    let row = |(m, modality): (usize, &Modality)| {
        let teacher = run.info.teachers.iter().find(|teacher| teacher.modality == *modality);
        let mut cells: Vec<Option<f64>> = Vec::new();
        for metric in &metrics {
            cells.push(teacher.and_then(|teacher| value(&teacher.scores, metric)));
            cells.push(last.and_then(|r| value(&r.metrics, &format!("{metric}_{modality}"))));
        }
        cells.push(last.and_then(|row| row.report.confidence[m]));
        let kappa = run.epochs.iter().map(|row| row.report.kappa[m]).sum::<f64>();
        cells.push(last.map(|_| kappa / run.epochs.len() as f64));
        (modality.name().to_owned(), cells)
    };
    let rows: Vec<_> = run.info.modalities.iter().enumerate().map(row).collect();
    // A column that no modality has says nothing.
    let kept: Vec<usize> =
        (0..head.len()).filter(|&c| rows.iter().any(|(_, cells)| cells[c].is_some())).collect();
    let rows = rows.into_iter().map(|(name, cells)| {
        let cells = kept.iter().map(|&c| cells[c].map_or_else(|| "–".into(), number));
        (name, cells.collect::<Vec<_>>())
    });
    let head = kept.iter().map(|&c| head[c].clone());
    context! { head => head.collect::<Vec<_>>(), rows => rows.collect::<Vec<_>>() }
}

/// A row an epoch.
fn log(run: &Run) -> Value {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in run.epochs.iter().flat_map(|row| &row.metrics) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut head = vec!["Loss".to_owned()];
    head.extend(run.info.modalities.iter().map(|m| format!("κ {m}")));
    head.extend(names.iter().map(|name| {
        let (metric, of) = split(name, &run.info.modalities);
        axis(run, metric) + &of.map(|m| format!(", {m}")).unwrap_or_default()
    }));
    let rows = run.epochs.iter().map(|row| {
        let mut cells = vec![number(row.report.terms.total)];
        cells.extend(row.report.kappa.iter().map(|kappa| number(*kappa)));
        let metric = |name: &&str| value(&row.metrics, name).map_or_else(|| "–".into(), number);
        cells.extend(names.iter().map(metric));
        (row.report.epoch.saturating_add(1), cells)
    });
    context! { rows => rows.collect::<Vec<_>>(), head }
}

/// A column a run, a row a number that any of them ended with.
fn comparison(runs: &[Run]) -> Value {
    let all: Vec<Vec<Pair>> = runs.iter().map(scores).collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in all.iter().flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let cell = |name: &str, of: &[Pair]| {
        of.iter().find(|(known, _)| known == name).map_or("–".to_owned(), |(_, v)| v.clone())
    };
    let row =
        |name: &str| (name.to_owned(), all.iter().map(|of| cell(name, of)).collect::<Vec<_>>());
    let head: Vec<_> = runs.iter().map(|run| run.info.name.clone()).collect();
    context! { head, rows => names.iter().map(|name| row(name)).collect::<Vec<_>>() }
}

fn flatten(path: &str, config: &Json, into: &mut Vec<Pair>) {
    match config {
        Json::Object(fields) => {
            for (name, field) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, field, into);
            }
        }
        Json::String(text) => into.push((path.to_owned(), text.clone())),
        other => into.push((path.to_owned(), other.to_string())),
    }
}
