//! How one modality's value stands to the others'.

use super::Measurement;

/// For every measurement x^m the mean over j ≠ m of x^m / x^j, as `metric`; one that is not finite is
/// left out.
pub(super) fn pairwise(metric: &str, known: &[Measurement]) -> Vec<Measurement> {
    let mut found = Vec::with_capacity(known.len());
    for (m, own) in known.iter().enumerate() {
        let others = known.iter().enumerate().filter(|&(j, _)| j != m);
        let sum: f64 = others.map(|(_, other)| own.value / other.value).sum();
        let ratio = sum / known.len().saturating_sub(1) as f64;
        if ratio.is_finite() {
            let (metric, modality) = (metric.to_owned(), own.modality.clone());
            found.push(Measurement { metric, modality, value: ratio });
        }
    }
    found
}
