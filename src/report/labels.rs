//! Names and formats of the metrics of a run.

use crate::modality::Modality;
use crate::record::Run;

/// The names of the run's metrics, epoch by epoch.
pub(super) fn metric_names(run: &Run) -> impl Iterator<Item = &str> {
    run.epochs.iter().flat_map(|row| &row.metrics).map(|(name, _)| name.as_str())
}

/// The run's metrics without suffixes of modalities, in order of appearance.
pub(super) fn metrics(run: &Run) -> Vec<&str> {
    unique(metric_names(run).map(|name| split(name, &run.info.modalities).0))
}

/// The distinct names, in order of appearance.
pub(super) fn unique<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// The value called `name`.
pub(super) fn value(numbers: &[(String, f64)], name: &str) -> Option<f64> {
    numbers.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

/// A metric without its suffix `_{modality}`, and the modality.
pub(super) fn split<'n, 'm>(
    name: &'n str,
    modalities: &'m [Modality],
) -> (&'n str, Option<&'m Modality>) {
    let of = |m: &'m Modality| Some((name.strip_suffix(m.name())?.strip_suffix('_')?, Some(m)));
    // The longest suffix: `left_audio` rather than `audio`.
    modalities.iter().filter_map(of).min_by_key(|(base, _)| base.len()).unwrap_or((name, None))
}

/// The title of a metric.
pub(super) fn title(run: &Run, metric: &str) -> String {
    let label = run.info.labels.iter().find(|label| label.metric == metric);
    label.map_or_else(|| known(metric), |label| capitalise(&label.title))
}

/// The unit of a metric; empty without one.
pub(super) fn unit<'a>(run: &'a Run, metric: &str) -> &'a str {
    let label = run.info.labels.iter().find(|label| label.metric == metric);
    label.map_or("", |label| &label.unit)
}

/// The title of a metric with its unit.
pub(super) fn axis(run: &Run, metric: &str) -> String {
    match unit(run, metric) {
        "" => title(run, metric),
        unit => format!("{} ({unit})", title(run, metric)),
    }
}

/// The title of a measurement of this crate; `some_metric` as `Some metric`.
fn known(metric: &str) -> String {
    match metric {
        "cka_teacher" => "Similarity to the teacher (CKA)".to_owned(),
        "confidence_ratio" => "Confidence ratio of the teachers".to_owned(),
        "gradient_norm" => "Gradient norm of each encoder".to_owned(),
        "update_ratio" => "Update-to-weight ratio of each encoder".to_owned(),
        "head_loss" => "Loss of each unimodal head".to_owned(),
        "loss_ratio" => "Loss ratio of the unimodal heads".to_owned(),
        "shapley" => "Shapley contribution".to_owned(),
        "worth_all" => "Value of the full coalition".to_owned(),
        "worth_none" => "Value of the empty coalition".to_owned(),
        other => capitalise(&other.replace('_', " ")),
    }
}

fn capitalise(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A number with about four significant digits.
pub(super) fn number(value: f64) -> String {
    let text = match value.abs() {
        _ if !value.is_finite() => return "–".to_owned(),
        0.0 => "0".to_owned(),
        small if !(1e-3..1e6).contains(&small) => format!("{value:.2e}"),
        large if large >= 100.0 => format!("{value:.1}"),
        large if large >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    let whole = !text.contains('e') && text.trim_end_matches('0').ends_with('.');
    let text = if whole { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.replace('-', "−")
}
