//! AGM.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use g2d::{
    algorithm::Algorithm,
    paper::baselines::{Agm, AgmClip, AgmConfig, AgmScores, attributions},
};
use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};

use super::{
    case::{Case, detail, numbers_in, row, scalar},
    network::Network,
};
use crate::harness::{case::MODALITIES, formula};

pub fn train(case: &Case<'_>) -> Result<Value> {
    let network = Network::fused(case)?;
    let mut free = Network::fused(case)?;
    let clip = case.has("clip").then(|| clip(case, &network)).transpose()?;
    let config =
        AgmConfig { alpha: case.number("alpha")?, cap: case.get("cap")?, clip, window: None };
    let plain = AgmConfig { alpha: 0.0, clip: None, ..config.clone() };
    let mut agm = Agm::new(&network, network.params()?, config)?;
    let mut optimizer = network.optimizer(case)?;
    let mut steps = Vec::new();
    for (t, golden) in case.list("steps")?.iter().enumerate() {
        let batch = case.batch(t)?;
        free.vs.copy(&network.vs)?;
        let mut plain = Agm::new(&free, free.params()?, plain.clone())?;
        let mut before = free.optimizer(case)?;
        plain.step(&free, &batch, &mut before)?;
        let before = before.last();

        let report = agm.step(&network, &batch, &mut optimizer)?;
        let mut step = json!({
            "epoch": golden["epoch"], "iteration": agm.scores().steps,
            "loss": report.read()?.terms.total, "logits_row0": row(&report.logits)?,
            "clipped": scalar(detail(&report, "clipped", None)?)? == 1.0,
            "grad_norm_before": before, "grad_norm_after": optimizer.last(),
        });
        for (m, name) in MODALITIES.into_iter().enumerate() {
            step[format!("kappa_{name}")] = json!(report.kappa()[m]);
            for of in ["score", "ratio", "target_ratio"] {
                step[format!("{of}_{name}")] = json!(scalar(detail(&report, of, name)?)?);
            }
            step[format!("phi_{name}_row0")] = row(detail(&report, "phi", name)?)?;
        }
        steps.push(step);
    }
    let means = &agm.scores().means;
    Ok(json!({
        "steps": steps, "final_abs_sum": network.abs_sums()?,
        "running_score_audio": means[0], "running_score_visual": means[1],
    }))
}

/// The clipping that the case describes: "norm N where an entry … leaves [-T, T]".
fn clip(case: &Case<'_>, network: &Network) -> Result<AgmClip> {
    let text = case.text("clip")?;
    let numbers = numbers_in(text);
    let (Some(&norm), Some(&threshold)) = (numbers.first(), numbers.last()) else {
        anyhow::bail!("clip {text:?}: no numbers");
    };
    ensure!(norm > 0.0 && threshold > 0.0, "clip {text:?}");
    let names = network.vs.variables().into_keys();
    let is_weight = |name: &String| name.starts_with("fusion_module") && name.ends_with(".weight");
    Ok(AgmClip { parameters: names.filter(is_weight).collect(), threshold, norm })
}

/// A case without network: the coefficients for logits by the formula.
pub fn coefficients(case: &Case<'_>) -> Result<Value> {
    let names: Vec<String> = case.get("modalities")?;
    let (batch, classes): (i64, i64) = (case.get("batch")?, case.get("classes")?);
    let labels: Vec<i64> = case.get("labels")?;
    let labels = Tensor::from_slice(&labels).unsqueeze(1);
    let prefix = case.text("logits")?.split('\'').nth(1).context("no name of the logits")?;
    let prefix = prefix.split('/').next().unwrap_or_default();
    let logits = (1..1 << names.len()).map(|set: usize| {
        let members = names.iter().enumerate().filter(|(m, _)| set >> m & 1 == 1);
        let members: Vec<&str> = members.map(|(_, name)| name.as_str()).collect();
        let name = format!("{prefix}/{}", members.join("+"));
        Ok(formula::tensor(&name, &[batch, classes])? * 2.0)
    });
    let phi = attributions(&logits.collect::<Result<Vec<_>>>()?)?;
    let score = |phi: &Tensor| {
        let probability = phi.softmax(1, None).gather(1, &labels, false).clamp_min(1e-8);
        scalar(&-probability.log().mean(Kind::Double))
    };
    let scores = phi.iter().map(score).collect::<Result<Vec<_>>>()?;
    let before: BTreeMap<String, f64> = case.numbers("running_before")?;
    let means = names.iter().map(|name| before.get(name).copied().context("no running score"));
    let steps: u64 = case.get("iteration")?;
    let mut running = AgmScores { means: means.collect::<Result<_>>()?, steps: steps - 1 };
    let found = running.coefficients(&scores, case.number("alpha")?, case.get("cap")?);
    running.add(&scores);
    let by_name = |values: &[f64]| -> Value {
        names
            .iter()
            .cloned()
            .zip(values.iter().map(|value| json!(value)))
            .collect::<Map<_, _>>()
            .into()
    };
    let rows = |phi: &Tensor| (0..batch).map(|i| row(&phi.get(i))).collect::<Result<Vec<_>>>();
    let mut shares = Map::new();
    for (name, phi) in names.iter().zip(&phi) {
        shares.insert(name.clone(), rows(phi)?.into());
    }
    Ok(json!({
        "phi": shares, "score": by_name(&scores), "ratio": by_name(&found.ratio),
        "target_ratio": by_name(&found.target_ratio), "kappa": by_name(&found.kappa),
        "running_after": by_name(&running.means),
    }))
}
