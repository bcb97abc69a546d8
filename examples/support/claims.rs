//! The paper's claims, evaluated on results of several seeds.

use std::fmt;

use serde::Serialize;

use super::{
    aggregate::AggregateResults, baselines::Baseline, methods::Method, metric::Direction,
    statistics::Estimate,
};

/// A claim and its evidence.
#[derive(Debug, Serialize)]
pub struct Claim {
    pub claim: String,
    pub verdict: Verdict,
    /// The paired differences on test data that support the claim if they are above 0.
    pub differences: Vec<(String, Estimate)>,
}

/// Whether the differences of a claim are above 0. A claim "not below" fails only if its interval is below
/// 0, and is undecided if 0 is in it.
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
    let comparison = Comparison { results };
    let teacher = if results.modalities.len() > 2 { "best teacher" } else { "better teacher" };
    let paper = [
        (
            format!("joint training ends below the {teacher}"),
            comparison.pair(Row::Baseline(Baseline::BetterTeacher), Row::Method(Method::Joint)),
        ),
        (
            "SMP alone helps joint training".to_owned(),
            comparison.pair(Row::Method(Method::JointSmp), Row::Method(Method::Joint)),
        ),
        (
            "L_G2D alone helps joint training".to_owned(),
            comparison.pair(Row::Method(Method::G2dLoss), Row::Method(Method::Joint)),
        ),
        (
            format!("G²D with SMP is above the other published methods and the {teacher}"),
            comparison.above_published(),
        ),
        (
            "complete suppression is better than partial".to_owned(),
            comparison.pair(Row::Method(Method::G2dSmp), Row::Method(Method::G2dPartial)),
        ),
        (
            "G²D with SMP has learnt from its inputs".to_owned(),
            comparison.pair(Row::Method(Method::G2dSmp), Row::Baseline(Baseline::TargetMean)),
        ),
    ];
    let ours = [Method::Balanced, Method::BalancedFull, Method::BalancedSmp];
    let alternatives = [
        Row::Method(Method::Joint),
        Row::Method(Method::G2dSmp),
        Row::Baseline(Baseline::BetterTeacher),
        Row::Baseline(Baseline::EnsembleCalibrated),
        Row::Baseline(Baseline::EnsembleWeighted),
        Row::Method(Method::HeadCe),
    ];
    let not_below = ours.into_iter().flat_map(|own| {
        let others = (
            format!("{own} is not below the methods of other papers"),
            comparison.gains(own, Method::ALL.into_iter().filter(|other| other.rival().is_some())),
        );
        let pair = move |other| {
            (format!("{own} is not below {other}"), comparison.pair(Row::Method(own), other))
        };
        alternatives.into_iter().map(pair).chain([others])
    });
    let all = paper.into_iter().chain(not_below);
    all.filter_map(|(claim, differences)| Some(Claim::new(claim, differences?))).collect()
}

/// A row of the table.
#[derive(Clone, Copy)]
enum Row {
    Method(Method),
    Baseline(Baseline),
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(method) => method.fmt(f),
            Self::Baseline(baseline) => baseline.fmt(f),
        }
    }
}

/// The paired differences between rows.
#[derive(Clone, Copy)]
struct Comparison<'a> {
    results: &'a AggregateResults,
}

impl Comparison<'_> {
    /// The first metric of a row on test data, if the row was computed.
    fn test(&self, row: Row) -> Option<&Estimate> {
        match row {
            Row::Method(method) => Some(&self.results.methods.get(method.key())?.test),
            Row::Baseline(baseline) => Some(&self.results.baselines.get(&baseline)?.test),
        }
    }

    /// The gain of `a` over `b`, if both were computed.
    fn gain(&self, a: Row, b: Row) -> Option<(String, Estimate)> {
        let (left, right) = match self.results.metric().better {
            Direction::Higher => (a, b),
            Direction::Lower => (b, a),
        };
        let difference = self.test(left)?.minus(self.test(right)?);
        Some((format!("{left} − {right}"), difference))
    }

    fn pair(&self, a: Row, b: Row) -> Option<Vec<(String, Estimate)>> {
        self.gain(a, b).map(|gain| vec![gain])
    }

    /// The gains of a method over those of `others` that were run; `None` without any.
    fn gains(
        &self,
        own: Method,
        others: impl Iterator<Item = Method>,
    ) -> Option<Vec<(String, Estimate)>> {
        let gains = others.filter_map(|other| self.gain(Row::Method(own), Row::Method(other)));
        Some(gains.collect::<Vec<_>>()).filter(|gains| !gains.is_empty())
    }

    /// The gains of G²D with SMP over the other published methods and the better teacher.
    fn above_published(&self) -> Option<Vec<(String, Estimate)>> {
        let full = Row::Method(Method::G2dSmp);
        self.test(full)?;
        let published = Method::ALL.into_iter().filter(|method| !method.trains_heads());
        let others = published.filter(|method| *method != Method::G2dSmp);
        let others = others.map(Row::Method).chain([Row::Baseline(Baseline::BetterTeacher)]);
        Some(others.filter_map(|other| self.gain(full, other)).collect())
    }
}
