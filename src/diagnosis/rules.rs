//! Which evidence makes which finding.

use super::{Advice, Evidence, Finding, FindingKind, Thresholds};

/// All findings, the gravest first.
pub(super) fn findings(seen: &Evidence, limits: &Thresholds) -> Vec<Finding> {
    let mut found = suppressed(seen, limits);
    found.extend(below_teacher(seen, limits));
    found.extend(marginal(seen, limits));
    found
}

/// The best teacher's index and what it knows beyond chance.
fn best_teacher(seen: &Evidence) -> Option<(usize, f64)> {
    (0..seen.modalities.len())
        .filter_map(|m| Some((m, seen.metric.gain(Evidence::of(&seen.teachers, m)?))))
        .filter(|(_, gain)| *gain > 0.0)
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

/// What of modality m's teacher's knowledge `values` keeps.
fn kept(seen: &Evidence, values: &[Option<f64>], m: usize) -> Option<f64> {
    let teacher = seen.metric.gain(Evidence::of(&seen.teachers, m)?);
    Some(seen.metric.gain(Evidence::of(values, m)?) / teacher)
}

fn suppressed(seen: &Evidence, limits: &Thresholds) -> Vec<Finding> {
    let Some((_, best)) = best_teacher(seen) else { return Vec::new() };
    let worthwhile = |m: &usize| {
        let gain = Evidence::of(&seen.teachers, *m).map(|value| seen.metric.gain(value));
        gain.is_some_and(|gain| gain > 0.0 && gain >= limits.worthwhile * best)
    };
    let mut shares: Vec<(usize, f64)> = (0..seen.modalities.len())
        .filter(worthwhile)
        .filter_map(|m| Some((m, kept(seen, &seen.heads, m)?)))
        .collect();
    shares.sort_by(|a, b| a.1.total_cmp(&b.1));
    let Some(&(_, most)) = shares.last() else { return Vec::new() };
    let low = |(_, share): &&(usize, f64)| *share < limits.kept && most - share >= limits.spread;
    shares.iter().filter(low).map(|&(m, share)| one(seen, limits, m, share, most)).collect()
}

/// The finding about a suppressed modality.
fn one(seen: &Evidence, limits: &Thresholds, m: usize, share: f64, most: f64) -> Finding {
    let learned = kept(seen, &seen.probes, m).is_some_and(|probed| probed >= limits.learned);
    let mut numbers = vec![("kept".to_owned(), share), ("best_kept".to_owned(), most)];
    let known = [
        ("head", Evidence::of(&seen.heads, m)),
        ("teacher", Evidence::of(&seen.teachers, m)),
        ("fused", seen.fused),
        ("linear_probe", Evidence::of(&seen.probes, m)),
        ("shapley", Evidence::of(&seen.contributions, m)),
        ("confidence", Evidence::of(&seen.confidence, m)),
        ("gradient_norm", Evidence::of(&seen.gradient_norms, m)),
    ];
    numbers.extend(known.into_iter().filter_map(|(name, v)| Some((name.to_owned(), v?))));
    let kind = if learned { FindingKind::Unused } else { FindingKind::Suppressed };
    let advice = match (above_teachers(seen, limits), learned) {
        (true, _) if joint(seen) => Advice::KeepJoint,
        (true, _) => Advice::KeepSchedule,
        (false, true) => Advice::ReviseFusion,
        (false, false) => first(seen, m),
    };
    Finding { kind, modality: seen.modalities[m].clone(), numbers, advice }
}

/// Did all modalities always learn?
fn joint(seen: &Evidence) -> bool {
    seen.kappa.iter().flatten().all(|&kappa| kappa == 1.0)
}

/// Does the fused model end above the best teacher?
fn above_teachers(seen: &Evidence, limits: &Thresholds) -> bool {
    let fused = seen.fused.map(|value| seen.metric.gain(value));
    fused
        .zip(best_teacher(seen))
        .is_some_and(|(fused, (_, best))| fused > best * (1.0 + limits.margin))
}

/// A stage for modality `m`, or a longer one.
fn first(seen: &Evidence, m: usize) -> Advice {
    let name = seen.modalities[m].clone();
    let alone = |kappa: &&Vec<f64>| {
        kappa.iter().enumerate().all(|(j, &kappa)| if j == m { kappa > 0.5 } else { kappa < 0.5 })
    };
    let stage = seen.kappa.iter().filter(alone).count() as u64;
    if stage > 0 {
        return Advice::LengthenStage { first: name, epochs: 2 * stage };
    }
    let epochs = seen.epochs.unwrap_or(seen.kappa.len() as u64);
    let ranked = (0..seen.modalities.len())
        .filter_map(|j| Some((j, Evidence::of(&seen.confidence, j)?)))
        .min_by(|a, b| a.1.total_cmp(&b.1));
    let other = ranked.filter(|(j, _)| *j != m).map(|(j, _)| seen.modalities[j].clone());
    Advice::Prioritise {
        first: name,
        epochs: (epochs > 1).then_some(epochs / 2),
        unless_fixed: other,
    }
}

fn below_teacher(seen: &Evidence, limits: &Thresholds) -> Option<Finding> {
    let (m, best) = best_teacher(seen)?;
    let fused = seen.fused?;
    if seen.metric.gain(fused) >= best * (1.0 - limits.margin) {
        return None;
    }
    let numbers = vec![("fused".to_owned(), fused), ("teacher".to_owned(), seen.teachers[m]?)];
    let modality = seen.modalities[m].clone();
    Some(Finding { kind: FindingKind::BelowTeacher, modality, numbers, advice: Advice::Distil })
}

/// Modalities without a teacher that add almost nothing.
fn marginal(seen: &Evidence, limits: &Thresholds) -> Vec<Finding> {
    let k = seen.modalities.len();
    if seen.contributions.iter().flatten().count() < k {
        return Vec::new();
    }
    let total: f64 = seen.contributions.iter().flatten().sum();
    let unknown = (0..k).filter(|&m| Evidence::of(&seen.teachers, m).is_none());
    let each = unknown.filter_map(|m| Some((m, Evidence::of(&seen.contributions, m)?)));
    let little =
        |(_, own): &(usize, f64)| total > 0.0 && *own < limits.contribution * total / k as f64;
    each.filter(little)
        .map(|(m, own)| Finding {
            kind: FindingKind::Marginal,
            modality: seen.modalities[m].clone(),
            numbers: vec![("shapley".to_owned(), own), ("shapley_total".to_owned(), total)],
            advice: Advice::TrainTeacher,
        })
        .collect()
}
