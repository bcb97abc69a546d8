//! The HTML page of a report.

use std::path::Path;

use minijinja::{Environment, Value, context};
use serde_json::Value as Json;

use super::{
    figures::{comparison_plots, plots, teacher_score},
    labels::{axis, metric_names, metrics, number, split, title, unique, unit, value},
    plot::Plot,
    theme::{Theme, dark_css},
};
use crate::diagnosis::{Advice, Finding};
use crate::error::{self, Error, Result};
use crate::modality::Modality;
use crate::record::Run;

/// A report of one run, or of several runs side by side: one HTML file without scripts that needs no
/// network, in a light, a dark and a print layout.
#[derive(Debug, Clone)]
pub struct Report {
    runs: Vec<Run>,
    introduction: String,
}

impl Report {
    /// A report of these runs, in this order.
    ///
    /// # Errors
    /// [`Error::Config`] without a run.
    pub fn new(runs: Vec<Run>) -> Result<Self> {
        if runs.is_empty() {
            let hint = "read a run with `Run::read`";
            return Err(error::config("runs of a report", "at least one", "none", hint));
        }
        Ok(Self { runs, introduction: String::new() })
    }

    /// Sets a text that the page shows below its title.
    #[must_use]
    pub fn with_introduction(mut self, text: impl Into<String>) -> Self {
        self.introduction = text.into();
        self
    }

    /// Returns the plots of the report: all that one run recorded, or those that compare several runs.
    pub fn plots(&self) -> Vec<Plot> {
        match self.runs.as_slice() {
            [run] => plots(run),
            runs => comparison_plots(runs),
        }
    }

    /// Returns the page.
    ///
    /// # Errors
    /// [`Error::Config`] for a plot that cannot be drawn.
    pub fn html(&self) -> Result<String> {
        let figure = |plot: &Plot| {
            let svg = Value::from_safe_string(plot.svg(Theme::Light)?);
            Ok(context! { svg, caption => &plot.caption })
        };
        let figures = self.plots().iter().map(figure).collect::<Result<Vec<_>>>()?;
        let names: Vec<&str> = self.runs.iter().map(|run| run.info.name.as_str()).collect();
        let page = context! {
            title => names.join(" · "),
            introduction => &self.introduction,
            dark_css => Value::from_safe_string(dark_css()),
            version => env!("CARGO_PKG_VERSION"),
            runs => self.runs.iter().map(run_context).collect::<Vec<_>>(),
            comparison => (self.runs.len() > 1).then(|| comparison(&self.runs)),
            figures,
        };
        let mut environment = Environment::new();
        let rendered = environment
            .add_template("page.html", include_str!("page.html"))
            .and_then(|()| environment.get_template("page.html")?.render(page));
        rendered
            .map_err(|e| error::config("report", "a page", e, "report this error as a bug of g2d"))
    }

    /// Writes the page to `path`, and creates its parent directories.
    ///
    /// # Errors
    /// As [`html`](Self::html); [`Error::Io`].
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

/// A label and a formatted value.
type Pair = (String, String);

fn run_context(run: &Run) -> Value {
    let environment = &run.info.environment;
    let seconds: f64 = run.epochs.iter().map(|row| row.seconds).sum();
    let duration = std::time::Duration::from_secs(seconds.ceil() as u64);
    let config = run.info.flat_config().into_iter().map(|(name, value)| match value {
        Json::String(text) => (name, text.clone()),
        other => (name, other.to_string()),
    });
    context! {
        name => &run.info.name,
        created => &run.info.created,
        folder => run.folder.display().to_string(),
        epochs => run.epochs.len(),
        duration => humantime::format_duration(duration).to_string(),
        finished => run.outcome.is_some(),
        modalities => run.info.modalities.iter().map(Modality::name).collect::<Vec<_>>().join(", "),
        scores => scores(run),
        diagnosis => diagnosis(run),
        balance => balance(run),
        log => log(run),
        config => config.collect::<Vec<Pair>>(),
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

fn diagnosis(run: &Run) -> Option<Value> {
    let diagnosis = run.outcome.as_ref()?.diagnosis.as_ref()?;
    let metric = &diagnosis.metric;
    let finding = |finding: &Finding| {
        context! {
            description => finding.describe(metric),
            advice => finding.advice.to_string(),
            numbers => finding.labelled_numbers(metric),
            fine => matches!(finding.advice, Advice::KeepJoint | Advice::KeepSchedule),
        }
    };
    let findings = diagnosis.findings.iter().map(finding).collect::<Vec<_>>();
    Some(context! { metric => &metric.name, findings })
}

/// The final scores, or the metrics of the last epoch without them; then those of the teachers and of what
/// the run is compared with.
fn scores(run: &Run) -> Vec<Pair> {
    let of_end = run.outcome.as_ref().map(|outcome| &outcome.scores).filter(|all| !all.is_empty());
    let of_last = run.epochs.last().map(|row| &row.metrics);
    let mut pairs = of_end.or(of_last).map_or_else(Vec::new, |numbers| labelled(run, numbers));
    if pairs.is_empty() {
        return pairs;
    }
    let teachers = run.info.teachers.iter();
    let teachers = teachers.map(|own| (format!("{} teacher", own.modality), &own.scores));
    let references = run.info.references.iter().map(|own| (own.name.clone(), &own.scores));
    for (name, scores) in teachers.chain(references) {
        let named = |(metric, value): Pair| (format!("{metric}, {name}"), value);
        pairs.extend(labelled(run, scores).into_iter().map(named));
    }
    pairs
}

fn labelled(run: &Run, numbers: &[(String, f64)]) -> Vec<Pair> {
    let pair = |(name, value): &(String, f64)| {
        let (metric, of) = split(name, &run.info.modalities);
        let head = of.map(|m| format!(", {m} head")).unwrap_or_default();
        let value = match unit(run, metric) {
            "" => number(*value),
            "%" if value.is_finite() => format!("{value:.2} %"),
            unit => format!("{} {unit}", number(*value)),
        };
        (format!("{}{head}", title(run, metric)), value)
    };
    numbers.iter().map(pair).collect()
}

/// A table with a row per modality: its teacher and its head in each metric, ρ and κ.
fn balance(run: &Run) -> Value {
    let metrics = metrics(run);
    let mut head = Vec::new();
    for metric in &metrics {
        let name = axis(run, metric);
        head.extend([format!("{name}: teacher"), format!("{name}: head, last epoch")]);
    }
    head.extend(["ρ, last epoch".to_owned(), "κ, mean".to_owned()]);
    let last = run.epochs.last();
    let row = |(m, modality): (usize, &Modality)| {
        let mut cells: Vec<Option<f64>> = Vec::new();
        for metric in &metrics {
            cells.push(teacher_score(run, modality, metric));
            cells.push(last.and_then(|r| value(&r.metrics, &format!("{metric}_{modality}"))));
        }
        cells.push(last.and_then(|row| row.report.confidence[m]));
        let kappa = run.epochs.iter().map(|row| row.report.kappa[m]).sum::<f64>();
        cells.push(last.map(|_| kappa / run.epochs.len() as f64));
        (modality.name().to_owned(), cells)
    };
    let rows: Vec<_> = run.info.modalities.iter().enumerate().map(row).collect();
    let is_filled = |c: &usize| rows.iter().any(|(_, cells)| cells[*c].is_some());
    let columns: Vec<usize> = (0..head.len()).filter(is_filled).collect();
    let shown = |(name, cells): (String, Vec<Option<f64>>)| {
        (name, columns.iter().map(|&c| cell(cells[c])).collect::<Vec<_>>())
    };
    let head: Vec<_> = columns.iter().map(|&c| head[c].clone()).collect();
    context! { head, rows => rows.into_iter().map(shown).collect::<Vec<_>>() }
}

/// A table with a row per epoch: loss, κ and metrics.
fn log(run: &Run) -> Value {
    let names = unique(metric_names(run));
    let mut head = vec!["Loss".to_owned()];
    head.extend(run.info.modalities.iter().map(|m| format!("κ {m}")));
    head.extend(names.iter().map(|name| {
        let (metric, of) = split(name, &run.info.modalities);
        axis(run, metric) + &of.map(|m| format!(", {m}")).unwrap_or_default()
    }));
    let rows = run.epochs.iter().map(|row| {
        let mut cells = vec![number(row.report.terms.total)];
        cells.extend(row.report.kappa.iter().map(|kappa| number(*kappa)));
        cells.extend(names.iter().map(|name| cell(value(&row.metrics, name))));
        (row.report.epoch.saturating_add(1), cells)
    });
    context! { rows => rows.collect::<Vec<_>>(), head }
}

/// A table with a column per run and a row per score.
fn comparison(runs: &[Run]) -> Value {
    let all: Vec<Vec<Pair>> = runs.iter().map(scores).collect();
    let row = |name: &str| {
        let of_run = |scores: &Vec<Pair>| {
            let found = scores.iter().find(|(known, _)| known == name);
            found.map_or("–".to_owned(), |(_, value)| value.clone())
        };
        (name.to_owned(), all.iter().map(of_run).collect::<Vec<_>>())
    };
    let names = unique(all.iter().flatten().map(|(name, _)| name.as_str()));
    let head: Vec<_> = runs.iter().map(|run| run.info.name.clone()).collect();
    context! { head, rows => names.into_iter().map(row).collect::<Vec<_>>() }
}

/// A table cell; a dash without a value.
fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), number)
}
