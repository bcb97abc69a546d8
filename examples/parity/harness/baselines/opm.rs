//! OPM.

use anyhow::{Context, Result};
use g2d::{
    algorithm::Algorithm,
    paper::baselines::{Opm, OpmConfig},
};
use serde_json::{Value, json};
use tch::Tensor;

use super::{
    case::{Case, detail, row, scalar},
    network::Network,
};
use crate::harness::{case::MODALITIES, formula::u};

pub fn train(case: &Case<'_>) -> Result<Value> {
    let network = Network::fused(case)?;
    let config = OpmConfig {
        q_base: case.number("q_base")?,
        lambda: case.number("lambda")?,
        probability: case.number("p_exe")?,
        first_epoch: 0,
        seed: 0,
    };
    let name = case.text("keep")?.split('\'').nth(1).context("no name of the numbers")?;
    let prefix = name.strip_suffix('t').context("the name of the numbers ends with t")?.to_owned();
    let uniforms = move |t: u64, n: usize| {
        u(&format!("{prefix}{t}"), n).into_iter().map(|value| (value + 1.0) / 2.0).collect()
    };
    let mut opm = Opm::new(&network, network.params()?, config)?.with_uniforms(uniforms);
    let mut optimizer = network.optimizer(case)?;
    let mut steps = Vec::new();
    for t in 0..case.list("steps")?.len() {
        let report = opm.step(&network, &case.batch(t)?, &mut optimizer)?;
        let mut q = Vec::new();
        let mut step = json!({
            "loss": report.read()?.terms.total, "theta": scalar(detail(&report, "theta", None)?)?,
            "grad_norm": optimizer.last(), "logits_row0": row(&report.logits)?,
        });
        let mut kept: Option<Tensor> = None;
        for name in MODALITIES {
            let keep = detail(&report, "keep", name)?;
            step[format!("score_{name}")] = scalar(detail(&report, "score", name)?)?.into();
            step[format!("keep_{name}")] = row(keep)?;
            q.push(scalar(detail(&report, "q", name)?)?);
            kept = Some(kept.map_or_else(|| keep.shallow_clone(), |kept| kept.maximum(keep)));
        }
        step["q"] = json!(q);
        step["kept"] = row(&kept.context("no modality")?)?;
        steps.push(step);
    }
    Ok(json!({ "steps": steps, "final_abs_sum": network.abs_sums()? }))
}
