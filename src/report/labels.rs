//! What the numbers of a run are called.

use crate::{modality::Modality, record::Run};

/// A metric's own name, and the modality it is of, by the ending `_{modality}`.
pub(super) fn split<'n, 'm>(
    name: &'n str,
    modalities: &'m [Modality],
) -> (&'n str, Option<&'m Modality>) {
    let of = |m: &'m Modality| Some((name.strip_suffix(m.name())?.strip_suffix('_')?, Some(m)));
    // The longest: `left_audio` rather than `audio`.
    modalities.iter().filter_map(of).min_by_key(|(base, _)| base.len()).unwrap_or((name, None))
}

/// A metric's title.
pub(super) fn title(run: &Run, metric: &str) -> String {
    let label = run.info.labels.iter().find(|label| label.metric == metric);
    label.map_or_else(|| known(metric), |label| capital(&label.title))
}

/// A metric's title with its unit.
pub(super) fn axis(run: &Run, metric: &str) -> String {
    let label = run.info.labels.iter().find(|label| label.metric == metric);
    match label.map_or("", |label| &label.unit) {
        "" => title(run, metric),
        unit => format!("{} ({unit})", title(run, metric)),
    }
}

/// What the crate's own measurements are called; `some_metric` as `Some metric`.
fn known(metric: &str) -> String {
    match metric {
        "cka_teacher" => "Likeness to the teacher (CKA)".to_owned(),
        "confidence_ratio" => "Confidence ratio of the teachers".to_owned(),
        "gradient_norm" => "Gradient norm of each encoder".to_owned(),
        "update_ratio" => "Update-to-weight ratio of each encoder".to_owned(),
        "head_loss" => "Loss of each head alone".to_owned(),
        "loss_ratio" => "Loss ratio of the heads".to_owned(),
        "shapley" => "Shapley contribution".to_owned(),
        other => capital(&other.replace('_', " ")),
    }
}

/// With a large first letter.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A number for people: four digits or so.
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
    let text =
        if whole { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text };
    text.replace('-', "−")
}
