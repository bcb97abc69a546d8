//! The paper's claims, judged.

use std::fmt;

use serde::Serialize;

use super::{methods::Method, results::Results, statistics::Estimate};

/// A claim and what the seeds say of it.
#[derive(Debug, Serialize)]
pub struct Claim {
    pub claim: &'static str,
    pub verdict: Verdict,
    /// The differences in test accuracy, seed by seed, that it rests on; all should be above 0.
    pub differences: Vec<(String, Estimate)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every difference's 95 % interval lies above 0.
    Holds,
    /// Some difference's 95 % interval lies below 0.
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

impl Claim {
    fn new(claim: &'static str, differences: Vec<(String, Estimate)>) -> Self {
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

/// The five claims, from paired differences over seeds; those whose methods were run.
pub fn judge(results: &Results) -> Vec<Claim> {
    let better = &results.better_teacher;
    let of = |method: Method| results.methods.get(method.key()).map(|m| &m.test_accuracy);
    let pair = |a: Method, b: Method| Some((format!("{a} − {b}"), of(a)?.above(of(b)?)));
    let below_teacher = || {
        Some(vec![("better teacher − joint training".to_owned(), better.above(of(Method::Joint)?))])
    };
    let best = || {
        let full = of(Method::G2dSmp)?;
        let others = Method::ALL.into_iter().filter(|m| *m != Method::G2dSmp);
        let mut all: Vec<_> = others.filter_map(|m| pair(Method::G2dSmp, m)).collect();
        all.push((format!("{} − better teacher", Method::G2dSmp), full.above(better)));
        Some(all)
    };
    let one = |a, b| pair(a, b).map(|difference| vec![difference]);
    [
        ("joint training ends below the better teacher", below_teacher()),
        ("SMP alone helps joint training", one(Method::JointSmp, Method::Joint)),
        ("L_G2D alone helps joint training", one(Method::G2dLoss, Method::Joint)),
        ("both together are best, above the better teacher", best()),
        ("complete suppression is better than partial", one(Method::G2dSmp, Method::G2dPartial)),
    ]
    .into_iter()
    .filter_map(|(claim, differences)| Some(Claim::new(claim, differences?)))
    .collect()
}
