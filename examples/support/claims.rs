//! The paper's claims, evaluated on results of several seeds.

use std::fmt;

use serde::Serialize;

use super::{
    aggregate::AggregateResults, methods::Method, metric::Direction, statistics::Estimate,
};

/// A claim and its evidence.
#[derive(Debug, Serialize)]
pub struct Claim {
    pub claim: String,
    pub verdict: Verdict,
    /// The paired differences on test data that support the claim if they are above 0.
    pub differences: Vec<(String, Estimate)>,
}

/// Whether the differences of a claim are above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The 95 % confidence interval of every difference is above 0.
    Holds,
    /// The 95 % confidence interval of a difference is below 0.
    Fails,
    /// Neither.
    Undecided,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::Undecided => "undecided",
        })
    }
}

/// An estimate and its name.
type Named<'a> = (String, &'a Estimate);

impl Claim {
    fn new(claim: String, differences: Vec<(String, Estimate)>) -> Self {
        let verdict = if differences.iter().all(|(_, d)| d.ci95[0] > 0.0) {
            Verdict::Holds
        } else if differences.iter().any(|(_, d)| d.ci95[1] < 0.0) {
            Verdict::Fails
        } else {
            Verdict::Undecided
        };
        Self { claim, verdict, differences }
    }
}

/// Evaluates the claims about methods that were run, by paired differences over seeds. The sign of a
/// difference is such that above 0 is better.
pub fn evaluate(results: &AggregateResults) -> Vec<Claim> {
    let metric = results.metric();
    let teacher = if results.modalities.len() > 2 { "best teacher" } else { "better teacher" };
    // The gain of `a` over `b`.
    let gain = |a: &Named<'_>, b: &Named<'_>| match metric.better {
        Direction::Higher => (format!("{} − {}", a.0, b.0), a.1.minus(b.1)),
        Direction::Lower => (format!("{} − {}", b.0, a.0), b.1.minus(a.1)),
    };
    let method = |method: Method| -> Option<Named<'_>> {
        Some((method.to_string(), &results.methods.get(method.key())?.test))
    };
    let best_teacher = (teacher.to_owned(), &results.better_teacher);
    let pair = |a: Method, b: Method| Some(vec![gain(&method(a)?, &method(b)?)]);
    let joint_below_teacher = || Some(vec![gain(&best_teacher, &method(Method::Joint)?)]);
    let above_all = || {
        let full = method(Method::G2dSmp)?;
        let others = Method::ALL.into_iter().filter(|m| *m != Method::G2dSmp);
        let others = others.filter_map(method).chain([best_teacher.clone()]);
        Some(others.map(|other| gain(&full, &other)).collect())
    };
    let above_baselines = || {
        let (key, full) = (metric.key_on("test"), method(Method::G2dSmp)?);
        let baselines = results.baselines.iter();
        let baselines = baselines
            .filter_map(|(name, scores)| Some(gain(&full, &(name.clone(), scores.get(&key)?))));
        let gains: Vec<_> = baselines.collect();
        (!gains.is_empty()).then_some(gains)
    };
    [
        (format!("joint training ends below the {teacher}"), joint_below_teacher()),
        ("SMP alone helps joint training".to_owned(), pair(Method::JointSmp, Method::Joint)),
        ("L_G2D alone helps joint training".to_owned(), pair(Method::G2dLoss, Method::Joint)),
        (format!("both together are best, above the {teacher}"), above_all()),
        (
            "complete suppression is better than partial".to_owned(),
            pair(Method::G2dSmp, Method::G2dPartial),
        ),
        ("G²D with SMP has learnt from its inputs".to_owned(), above_baselines()),
    ]
    .into_iter()
    .filter_map(|(claim, differences)| Some(Claim::new(claim, differences?)))
    .collect()
}
