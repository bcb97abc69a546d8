//! Rules that derive findings from evidence.

use super::{Advice, Better, Evidence, Finding, FindingKind, Thresholds};

/// All findings, the most severe first.
pub(super) fn findings(evidence: &Evidence, limits: &Thresholds) -> Vec<Finding> {
    let mut found = suppressed(evidence, limits);
    found.extend(below_teacher(evidence, limits));
    found.extend(below_alternative(evidence, limits));
    if !found.iter().any(|finding| finding.advice == Advice::KeepJoint) {
        found.extend(above_teachers_jointly(evidence, limits));
    }
    found.extend(order_contradicted(evidence, limits));
    found.extend(marginal(evidence, limits));
    found
}

/// The value of modality `m`, if known.
fn known(values: &[Option<f64>], m: usize) -> Option<f64> {
    values.get(m).copied().flatten()
}

/// The gain of modality `m` over chance, if known.
fn gain(evidence: &Evidence, values: &[Option<f64>], m: usize) -> Option<f64> {
    known(values, m).map(|value| evidence.metric.gain(value))
}

/// The index and the gain of the best teacher that is better than chance.
fn best_teacher(evidence: &Evidence) -> Option<(usize, f64)> {
    (0..evidence.modalities.len())
        .filter_map(|m| Some((m, gain(evidence, &evidence.teachers, m)?)))
        .filter(|(_, gain)| *gain > 0.0)
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Modalities whose heads are far below their teachers, the worst first.
fn suppressed(evidence: &Evidence, limits: &Thresholds) -> Vec<Finding> {
    let Some((_, best)) = best_teacher(evidence) else { return Vec::new() };
    let share = |m: usize| {
        let teacher = gain(evidence, &evidence.teachers, m)?;
        let informative = teacher > 0.0 && teacher >= limits.worthwhile * best;
        let head = gain(evidence, &evidence.heads, m)?;
        informative.then_some((m, head / teacher))
    };
    let mut shares: Vec<_> = (0..evidence.modalities.len()).filter_map(share).collect();
    shares.sort_by(|a, b| a.1.total_cmp(&b.1));
    let Some(&(_, most)) = shares.last() else { return Vec::new() };
    let low = |(_, share): &&(usize, f64)| *share < limits.kept && most - share >= limits.spread;
    let low = shares.iter().filter(low);
    low.map(|&(m, share)| suppressed_finding(evidence, limits, m, share, most)).collect()
}

fn suppressed_finding(
    evidence: &Evidence,
    limits: &Thresholds,
    m: usize,
    share: f64,
    most: f64,
) -> Finding {
    let numbers = [
        ("kept", Some(share)),
        ("best_kept", Some(most)),
        ("head", known(&evidence.heads, m)),
        ("teacher", known(&evidence.teachers, m)),
        ("fused", evidence.fused),
        ("linear_probe", known(&evidence.probes, m)),
        ("untrained", known(&evidence.untrained, m)),
        ("shapley", known(&evidence.contributions, m)),
        ("confidence", known(&evidence.confidence, m)),
        ("gradient_norm", known(&evidence.gradient_norms, m)),
    ];
    let learned = learned(evidence, m).is_some_and(|learned| learned >= limits.learned);
    let joint = evidence.kappa.iter().flatten().all(|&kappa| kappa == 1.0);
    let advice = match (above_teachers(evidence, limits), learned) {
        (true, _) if joint => Advice::KeepJoint,
        (true, _) => Advice::KeepSchedule,
        (false, true) => Advice::ReviseFusion,
        (false, false) => prioritise(evidence, m),
    };
    Finding {
        kind: if learned { FindingKind::Unused } else { FindingKind::Suppressed },
        modality: evidence.modalities[m].clone(),
        numbers: numbers.iter().filter_map(|(name, v)| Some(((*name).to_owned(), (*v)?))).collect(),
        advice,
    }
}

/// The share of the distance from the untrained encoder's linear probe to the teacher that the probe of
/// encoder `m` covers.
fn learned(evidence: &Evidence, m: usize) -> Option<f64> {
    let start = gain(evidence, &evidence.untrained, m).unwrap_or(0.0).max(0.0);
    let probe = gain(evidence, &evidence.probes, m)?;
    let teacher = gain(evidence, &evidence.teachers, m)?;
    (teacher > start).then(|| (probe - start) / (teacher - start))
}

/// Returns whether the fused model is better than the best teacher.
fn above_teachers(evidence: &Evidence, limits: &Thresholds) -> bool {
    let fused = evidence.fused.map(|value| evidence.metric.gain(value));
    fused
        .zip(best_teacher(evidence))
        .is_some_and(|(fused, (_, best))| fused > best * (1.0 + limits.margin))
}

/// A stage for modality `m`, or a longer one if the run has had one.
fn prioritise(evidence: &Evidence, m: usize) -> Advice {
    let first = evidence.modalities[m].clone();
    let alone = |kappa: &&Vec<f64>| {
        kappa.iter().enumerate().all(|(j, &kappa)| if j == m { kappa > 0.5 } else { kappa < 0.5 })
    };
    let stage = evidence.kappa.iter().filter(alone).count() as u64;
    if stage > 0 {
        return Advice::LengthenStage { first, epochs: 2 * stage };
    }
    let epochs = evidence.epochs.unwrap_or(evidence.kappa.len() as u64);
    let ranked_first = (0..evidence.modalities.len())
        .filter_map(|j| Some((j, known(&evidence.confidence, j)?)))
        .min_by(|a, b| a.1.total_cmp(&b.1));
    let other = ranked_first.filter(|(j, _)| *j != m);
    Advice::Prioritise {
        first,
        epochs: (epochs > 1).then_some(epochs / 2),
        unless_fixed: other.map(|(j, _)| evidence.modalities[j].clone()),
    }
}

fn below_teacher(evidence: &Evidence, limits: &Thresholds) -> Option<Finding> {
    let (m, best) = best_teacher(evidence)?;
    let fused = evidence.fused?;
    if evidence.metric.gain(fused) >= best * (1.0 - limits.margin) {
        return None;
    }
    Some(Finding {
        kind: FindingKind::BelowTeacher,
        modality: evidence.modalities[m].clone(),
        numbers: vec![("fused".to_owned(), fused), ("teacher".to_owned(), evidence.teachers[m]?)],
        advice: if predicts_classes(evidence) { Advice::Balance } else { Advice::Distil },
    })
}

/// Returns whether the metric is an accuracy. For a regression balanced training does not help.
fn predicts_classes(evidence: &Evidence) -> bool {
    evidence.metric.better == Better::HighShare
}

/// The best alternative, if the fused model is worse.
fn below_alternative(evidence: &Evidence, limits: &Thresholds) -> Option<Finding> {
    let gains = evidence.alternatives.iter();
    let gains = gains.map(|(name, value)| (name, *value, evidence.metric.gain(*value)));
    let (name, value, gain) = gains.max_by(|a, b| a.2.total_cmp(&b.2))?;
    let fused = evidence.fused?;
    let margin = limits.margin * gain.abs();
    if evidence.metric.gain(fused) >= gain - margin {
        return None;
    }
    let (m, _) = best_teacher(evidence).unwrap_or_default();
    Some(Finding {
        kind: FindingKind::BelowAlternative,
        modality: evidence.modalities.get(m)?.clone(),
        numbers: vec![("fused".to_owned(), fused), ("alternative".to_owned(), value)],
        advice: Advice::Prefer { alternative: name.clone(), classes: predicts_classes(evidence) },
    })
}

/// The warning that SMP would cost accuracy, for a run without suppression.
fn above_teachers_jointly(evidence: &Evidence, limits: &Thresholds) -> Option<Finding> {
    let joint = evidence.kappa.iter().flatten().all(|&kappa| kappa == 1.0);
    if !joint || evidence.kappa.is_empty() || !above_teachers(evidence, limits) {
        return None;
    }
    let (m, _) = best_teacher(evidence)?;
    let numbers = [("fused", evidence.fused?), ("teacher", evidence.teachers[m]?)];
    Some(Finding {
        kind: FindingKind::AboveTeachers,
        modality: evidence.modalities[m].clone(),
        numbers: numbers.map(|(name, value)| (name.to_owned(), value)).into(),
        advice: Advice::KeepJoint,
    })
}

/// The modality that ρ on training batches ranks first, if its teacher is not the best on validation data.
fn order_contradicted(evidence: &Evidence, limits: &Thresholds) -> Option<Finding> {
    let k = evidence.modalities.len();
    let rho: Vec<f64> = (0..k).map(|m| known(&evidence.confidence, m)).collect::<Option<_>>()?;
    let gains: Vec<f64> =
        (0..k).map(|m| gain(evidence, &evidence.teachers, m)).collect::<Option<_>>()?;
    let first = (0..k).min_by(|&a, &b| rho[a].total_cmp(&rho[b]))?;
    let (best, gain) = best_teacher(evidence)?;
    if gains[first] >= gain * (1.0 - limits.margin) {
        return None;
    }
    let numbers = [
        ("teacher", evidence.teachers[first]?),
        ("best_teacher", evidence.teachers[best]?),
        ("confidence", rho[first]),
    ];
    Some(Finding {
        kind: FindingKind::OrderContradicted,
        modality: evidence.modalities[first].clone(),
        numbers: numbers.map(|(name, value)| (name.to_owned(), value)).into(),
        advice: Advice::RankByHeldOut { first: evidence.modalities[best].clone() },
    })
}

/// Modalities without a teacher that contribute almost nothing.
fn marginal(evidence: &Evidence, limits: &Thresholds) -> Vec<Finding> {
    let k = evidence.modalities.len();
    if evidence.contributions.iter().flatten().count() < k {
        return Vec::new();
    }
    let total: f64 = evidence.contributions.iter().flatten().sum();
    let finding = |m: usize| {
        let own = known(&evidence.contributions, m)?;
        let little = total > 0.0 && own < limits.contribution * total / k as f64;
        (little && known(&evidence.teachers, m).is_none()).then(|| Finding {
            kind: FindingKind::Marginal,
            modality: evidence.modalities[m].clone(),
            numbers: vec![("shapley".to_owned(), own), ("shapley_total".to_owned(), total)],
            advice: Advice::TrainTeacher,
        })
    };
    (0..k).filter_map(finding).collect()
}
