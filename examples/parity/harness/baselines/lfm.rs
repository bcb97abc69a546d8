//! LFM.

use anyhow::{Context, Result};
use g2d::{
    algorithm::Algorithm,
    paper::baselines::{Lfm, LfmConfig, LfmWeight},
};
use serde_json::{Value, json};

use super::{
    case::{Case, detail, numbers_in, row, scalar},
    network::Network,
};
use crate::harness::formula;

/// The first parameter of the authors' network.
const FIRST: &str = "audio_net.conv1.weight";

pub fn train(case: &Case<'_>) -> Result<Value> {
    let network = Network::fused(case)?;
    let start: [f64; 2] = case.get("alpha_start")?;
    let held_out = case.text("held_out")?;
    let described = case.text("hessian_product")?.split([' ', ',']);
    let parameter = described.into_iter().find(|word| word.contains("_net.")).unwrap_or(FIRST);
    let weight = LfmWeight::Learned {
        start: start[1],
        lr: case.number("lr_alpha")?,
        parameter: parameter.to_owned(),
        train: !held_out.contains("eval mode"),
    };
    let mut lfm = Lfm::new(&network, network.params()?, LfmConfig { weight })?;
    let mut optimizer = network.optimizer(case)?;
    let rows = *numbers_in(held_out).first().context("no number of held-out rows")? as i64;
    let t = held_out.split("input/audio/").nth(1).and_then(|rest| rest.split(',').next());
    let t: usize = t.context("no held-out step")?.trim().parse()?;
    let mut steps = Vec::new();
    for (i, golden) in case.list("steps")?.iter().enumerate() {
        let batch = formula::batch(case.dataset()?, rows, t)?;
        lfm.begin_epoch(&network, &mut std::iter::once(Ok(batch)))?;
        let report = lfm.step(&network, &case.batch(i)?, &mut optimizer)?;
        lfm.end_epoch()?;
        let terms = report.read()?.terms;
        let value = |of: &str| scalar(detail(&report, of, None)?);
        steps.push(json!({
            "epoch": golden["epoch"], "loss": terms.total, "task": terms.task,
            "hessian_product_mean": value("hessian_product_mean")?,
            "alpha_task": value("alpha_task")?, "alpha_alignment": value("alpha_alignment")?,
            "alignment": value("alignment")?, "grad_norm_after": optimizer.last(),
            "logits_row0": row(&report.logits)?,
        }));
    }
    let mut found = json!({ "steps": steps, "final_abs_sum": network.abs_sums()? });
    for key in case.keys().filter(|key| key.starts_with("fitted_epoch_")) {
        let epoch = key.trim_start_matches("fitted_epoch_").parse()?;
        let alpha = LfmWeight::fitted(epoch);
        found[key] = json!([1.0 - alpha, alpha]);
    }
    Ok(found)
}
