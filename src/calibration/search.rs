//! The root and the minimum of a function of one variable.

/// Root of the increasing function `slope` in [`low`, `high`] by bisection, or the bound beyond which it
/// lies; `high` if the function is 0 everywhere.
pub(super) fn root(mut low: f64, mut high: f64, slope: impl Fn(f64) -> f64) -> f64 {
    if slope(high) <= 0.0 {
        return high;
    }
    if slope(low) >= 0.0 {
        return low;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if slope(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// Minimum of `value` in [`low`, `high`] and where it is: the best of `points` equal steps, refined by
/// golden-section search between its neighbours.
pub(super) fn minimum(
    low: f64,
    high: f64,
    points: usize,
    value: impl Fn(f64) -> f64,
) -> (f64, f64) {
    let step = (high - low) / points as f64;
    let at = |i: usize| low + step * i as f64;
    let best = (0..=points).map(|i| (value(at(i)), i)).min_by(|a, b| a.0.total_cmp(&b.0));
    let (_, best) = best.unwrap_or((f64::NAN, 0));
    let [mut a, mut b] = [at(best.saturating_sub(1)), at((best + 1).min(points))];
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let [mut c, mut d] = [b - golden * (b - a), a + golden * (b - a)];
    let [mut at_c, mut at_d] = [value(c), value(d)];
    for _ in 0..40 {
        if at_c < at_d {
            [b, d, at_d] = [d, c, at_c];
            c = b - golden * (b - a);
            at_c = value(c);
        } else {
            [a, c, at_c] = [c, d, at_d];
            d = a + golden * (b - a);
            at_d = value(d);
        }
    }
    let refined = [(c, at_c), (d, at_d), (at(best), value(at(best)))];
    let best = refined.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
    best.unwrap_or((low, f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::{minimum, root};

    #[test]
    fn the_root_is_found_or_is_the_bound_beyond_which_it_lies() {
        assert!((root(-3.0, 5.0, |x| x * x * x - 2.0) - 2f64.cbrt()).abs() < 1e-14);
        assert_eq!(root(0.0, 1.0, |x| x + 1.0), 0.0);
        assert_eq!(root(0.0, 1.0, |x| x - 2.0), 1.0);
        assert_eq!(root(0.0, 1.0, |_| 0.0), 1.0);
    }

    #[test]
    fn the_minimum_is_found_inside_and_at_a_bound() {
        let (x, value) = minimum(-2.0, 3.0, 10, |x| (x - 0.7).powi(2) + 1.0);
        assert!((x - 0.7).abs() < 1e-7 && (value - 1.0).abs() < 1e-14);
        let (x, _) = minimum(0.0, 1.0, 10, |x| x);
        assert_eq!(x, 0.0);
    }
}
