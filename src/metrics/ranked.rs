//! Metrics of the order of scores.

use tch::{Kind, TchError, Tensor};

use super::{
    failed,
    labelled::{Labelled, Truth, flags},
};
use crate::error::{self, Result};

/// The area under the ROC curve, from 0 to 1: the probability that a row that has a class has a higher
/// score for it than one that does not, where equal scores count ½.
///
/// The mean over the classes, each against all others (one-vs-rest, macro). The two classes of a binary
/// classification have the same area, that of scikit-learn's `roc_auc_score`. The score of a class is its
/// probability.
///
/// # Errors
/// As [every metric](super) of a classification; [`Error::Target`](crate::Error::Target) for a class that
/// no row has, or all rows have, whose area is not defined: [`auroc_per_class`] has the others.
pub fn auroc(logits: &Tensor, targets: &Tensor) -> Result<f64> {
    mean("AUROC", "with the class and one without it", &auroc_per_class(logits, targets)?)
}

/// The area under the ROC curve of each class against all others, as [`auroc`]; `None` for a class that
/// no row has or all rows have.
///
/// # Errors
/// As [every metric](super) of a classification.
pub fn auroc_per_class(logits: &Tensor, targets: &Tensor) -> Result<Vec<Option<f64>>> {
    per_class(logits, targets, area_under_roc)
}

/// The average precision Σ_n (R_n − R_{n−1}) P_n, from 0 to 1, where P_n and R_n are precision and recall
/// of the rows with the n highest distinct scores.
///
/// Class 1 of a binary classification (class labels and C = 2); otherwise the mean over the classes, each
/// against all others. The score of a class is its probability.
///
/// # Errors
/// As [every metric](super) of a classification; [`Error::Target`](crate::Error::Target) for a class that
/// no row has, whose recall is not defined: [`average_precision_per_class`] has the others. scikit-learn
/// takes 0 for it.
pub fn average_precision(logits: &Tensor, targets: &Tensor) -> Result<f64> {
    let each = average_precision_per_class(logits, targets)?;
    let binary = targets.dim() == 1 && each.len() == 2;
    mean("average precision", "with the class", if binary { &each[1..] } else { &each })
}

/// The average precision of each class against all others, as [`average_precision`]; `None` for a class
/// that no row has.
///
/// # Errors
/// As [every metric](super) of a classification.
pub fn average_precision_per_class(logits: &Tensor, targets: &Tensor) -> Result<Vec<Option<f64>>> {
    per_class(logits, targets, precision_over_recall)
}

/// The mean over the classes, all of which must have a value.
fn mean(metric: &str, needed: &str, each: &[Option<f64>]) -> Result<f64> {
    let values: Vec<f64> = each.iter().flatten().copied().collect();
    if values.len() == each.len() {
        return Ok(values.iter().sum::<f64>() / values.len() as f64);
    }
    let undefined = each.iter().filter(|value| value.is_none()).count();
    let expected = format!("at least one row {needed}, for every class");
    let found = format!("{undefined} of {} classes without", each.len());
    let hint = format!("measure more rows, or average the classes of the {metric} that have them");
    Err(error::target(metric, expected, found, hint))
}

/// `metric` of each class, whose rows are in the order of falling scores.
fn per_class(
    logits: &Tensor,
    targets: &Tensor,
    metric: impl Fn(&[Scored]) -> Option<f64>,
) -> Result<Vec<Option<f64>>> {
    let labelled = Labelled::new(logits, targets)?;
    let scores = scores(&labelled).map_err(failed)?;
    let class = |c: usize| {
        let scores = scores.f_select(1, c as i64).and_then(Vec::<f64>::try_from);
        let has = match &labelled.truth {
            Truth::Classes(labels) => labels.eq(c as i64),
            Truth::Sets(sets) => sets.f_select(1, c as i64).map_err(failed)?,
        };
        let scores = scores.map_err(failed)?.into_iter();
        let mut rows: Vec<Scored> = scores.zip(flags(&has)?).collect();
        rows.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        Ok(metric(&rows))
    };
    (0..labelled.width()).map(class).collect()
}

/// A row's score for a class, and whether it has the class.
type Scored = (f64, bool);

/// Scores [N, C] in the order of the probabilities, which do not saturate as they do: the logits of the
/// probabilities, log p_c − log(1 − p_c). Rows that differ by a permutation, or by a constant that floating
/// point represents, have equal scores.
fn scores(labelled: &Labelled) -> std::result::Result<Tensor, TchError> {
    let logits = labelled.logits.f_to_kind(Kind::Double)?;
    if matches!(labelled.truth, Truth::Sets(_)) {
        return Ok(logits + 0.0); // −0 becomes 0
    }
    let rows = [1_i64];
    let below = logits.f_sub(&logits.f_amax(rows.as_slice(), true)?)?; // l_c − max l
    let (sorted, _) = below.f_sort(1, true)?;
    let others = sorted.f_narrow(1, 1, labelled.width() as i64 - 1)?.f_exp()?;
    let rest = others.f_sum_dim_intlist(rows.as_slice(), true, Kind::Double)?;
    let log_p = below.f_sub(&rest.f_log1p()?)?;
    let logit = log_p.f_sub(&log_p.f_exp()?.f_neg()?.f_log1p()?)?;
    // Near 1 the probability loses what the others are.
    rest.f_log()?.f_neg()?.f_where_self(&below.eq(0.0), &logit)
}

/// Groups of equal scores: the numbers of rows with and without the class.
fn groups(rows: &[Scored]) -> impl Iterator<Item = (u64, u64)> + '_ {
    rows.chunk_by(|(a, _), (b, _)| a == b).map(|group| {
        let with = group.iter().filter(|(_, has)| *has).count() as u64;
        (with, group.len() as u64 - with)
    })
}

/// Counts pairs of rows in integers, so that the area is exact.
fn area_under_roc(rows: &[Scored]) -> Option<f64> {
    let (mut above, mut with, mut twice) = (0_u64, 0_u64, 0_u128);
    for (own, others) in groups(rows) {
        // Pairs of a row without the class in this group and one with it: above, or of equal score.
        twice += u128::from(others) * u128::from(2 * above + own);
        above += own;
        with += own;
    }
    let without = rows.len() as u64 - with;
    let pairs = u128::from(with) * u128::from(without);
    (pairs > 0).then(|| twice as f64 / (2 * pairs) as f64)
}

fn precision_over_recall(rows: &[Scored]) -> Option<f64> {
    let all = rows.iter().filter(|(_, has)| *has).count() as f64;
    let (mut with, mut seen, mut sum) = (0, 0, 0.0);
    for (own, others) in groups(rows) {
        with += own;
        seen += own + others;
        sum += own as f64 / all * (with as f64 / seen as f64);
    }
    (all > 0.0).then_some(sum)
}
