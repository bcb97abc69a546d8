//! The paper's claims, judged.

use std::fmt;

use serde::Serialize;

use super::{methods::Method, metric::Better, results::Results, statistics::Estimate};

/// A claim and what the seeds say of it.
#[derive(Debug, Serialize)]
pub struct Claim {
    pub claim: String,
    pub verdict: Verdict,
    /// The differences on test data, seed by seed, that it rests on; all should be above 0.
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

/// The five claims, from paired differences over seeds; those whose methods were run. A difference is
/// taken so that above 0 is better, whichever way the metric goes.
pub fn judge(results: &Results) -> Vec<Claim> {
    let k = results.modalities.len();
    let teacher = if k > 2 { "best teacher" } else { "better teacher" };
    let of = |method: Method| results.methods.get(method.key()).map(|m| &m.test);
    // How much better the first is than the second.
    let gain = |(a, first): (String, &Estimate), (b, second): (String, &Estimate)| match results
        .metric()
        .better
    {
        Better::Higher => (format!("{a} − {b}"), first.above(second)),
        Better::Lower => (format!("{b} − {a}"), second.above(first)),
    };
    let named = |method: Method| Some((method.to_string(), of(method)?));
    let better = || (teacher.to_owned(), &results.better_teacher);
    let pair = |a: Method, b: Method| Some(gain(named(a)?, named(b)?));
    let one = |a, b| pair(a, b).map(|difference| vec![difference]);
    let below_teacher = || Some(vec![gain(better(), named(Method::Joint)?)]);
    let best = || {
        let others = Method::ALL.into_iter().filter(|m| *m != Method::G2dSmp);
        let mut all: Vec<_> = others.filter_map(|m| pair(Method::G2dSmp, m)).collect();
        all.push(gain(named(Method::G2dSmp)?, better()));
        Some(all)
    };
    let beyond_baselines = || {
        let key = results.metric().on("test");
        let full = named(Method::G2dSmp)?;
        let baselines = results.baselines.iter();
        let gains: Vec<_> = baselines
            .filter_map(|(name, scores)| {
                Some(gain(full.clone(), (name.clone(), scores.get(&key)?)))
            })
            .collect();
        (!gains.is_empty()).then_some(gains)
    };
    [
        (format!("joint training ends below the {teacher}"), below_teacher()),
        ("SMP alone helps joint training".to_owned(), one(Method::JointSmp, Method::Joint)),
        ("L_G2D alone helps joint training".to_owned(), one(Method::G2dLoss, Method::Joint)),
        (format!("both together are best, above the {teacher}"), best()),
        (
            "complete suppression is better than partial".to_owned(),
            one(Method::G2dSmp, Method::G2dPartial),
        ),
        ("G²D with SMP has learnt from its inputs".to_owned(), beyond_baselines()),
    ]
    .into_iter()
    .filter_map(|(claim, differences)| Some(Claim::new(claim, differences?)))
    .collect()
}
