//! PMR.

use anyhow::{Context, Result};
use g2d::{
    Batch,
    algorithm::Algorithm,
    paper::baselines::{Pmr, PmrConfig},
};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use super::{
    case::{Case, detail, row, scalar},
    network::Network,
};
use crate::harness::case::MODALITIES;

pub fn train(case: &Case<'_>) -> Result<Value> {
    let network = Network::fused(case)?;
    let mut free = Network::fused(case)?;
    let config = PmrConfig {
        alpha: case.number("alpha")?,
        momentum: case.number("momentum_coef")?,
        window: (0..=u64::MAX).into(),
    };
    let mut pmr = Pmr::new(&network, network.params()?, config)?;
    let mut optimizer = network.optimizer(case)?;
    let times = case.times("steps_of_an_epoch")?;
    let prototypes = case.times("prototypes")?;
    let begin = |pmr: &mut Pmr, network: &Network, prototypes: &[usize]| -> Result<()> {
        let batches = prototypes.iter().map(|&t| case.batch(t)).collect::<Result<Vec<Batch>>>()?;
        Ok(pmr.begin_epoch(network, &mut batches.into_iter().map(Ok))?)
    };
    let mut epochs = Vec::new();
    for epoch in 0..case.list("epochs")?.len() {
        begin(&mut pmr, &network, &prototypes)?;
        let mut found = json!({ "epoch": epoch });
        for (m, name) in MODALITIES.into_iter().enumerate() {
            let own = pmr.prototypes(m).context("no prototypes")?;
            found[format!("prototype_abs_sum_{name}")] = abs_sum(own)?.into();
            let first: Vec<f64> = own.get(0).narrow(0, 0, 4).try_into()?;
            found[format!("prototype_{name}_class0_first")] = json!(first);
        }
        let mut steps = Vec::new();
        let (mut ratios, mut losses) = (0.0, [0.0; 2]);
        for &t in &times {
            let batch = case.batch(t)?;
            free.vs.copy(&network.vs)?;
            let plain = PmrConfig { alpha: 0.0, ..config };
            let mut plain = Pmr::new(&free, free.params()?, plain)?;
            begin(&mut plain, &free, &prototypes)?;
            let mut before = free.optimizer(case)?;
            plain.step(&free, &batch, &mut before)?;
            let before = before.last();

            let report = pmr.step(&network, &batch, &mut optimizer)?;
            let terms = report.read()?.terms;
            let ratio = scalar(detail(&report, "ratio", None)?)?;
            let mut step = json!({
                "loss": terms.total, "task": terms.task, "ratio_audio": ratio,
                "grad_norm_before": before, "grad_norm_after": optimizer.last(),
                "logits_row0": row(&report.logits)?,
            });
            for (m, name) in MODALITIES.into_iter().enumerate() {
                for of in ["proto_loss", "coefficient", "score"] {
                    step[format!("{of}_{name}")] = json!(scalar(detail(&report, of, name)?)?);
                }
                step[format!("similarity_{name}_row0")] =
                    row(detail(&report, "similarity", name)?)?;
                losses[m] += scalar(detail(&report, "proto_loss", name)?)?;
            }
            ratios += ratio;
            steps.push(step);
        }
        let n = times.len() as f64;
        found["mean_loss"] = pmr.end_epoch()?.terms.total.into();
        found["mean_proto_loss_audio"] = (losses[0] / n).into();
        found["mean_proto_loss_visual"] = (losses[1] / n).into();
        found["mean_ratio_audio"] = (ratios / n).into();
        found["steps"] = steps.into();
        epochs.push(found);
    }
    begin(&mut pmr, &network, &prototypes)?;
    let last = |m| abs_sum(pmr.prototypes(m).context("no prototypes")?);
    Ok(json!({
        "epochs": epochs, "final_abs_sum": network.abs_sums()?,
        "final_prototype_abs_sum_audio": last(0)?, "final_prototype_abs_sum_visual": last(1)?,
    }))
}

fn abs_sum(tensor: &Tensor) -> Result<f64> {
    scalar(&tensor.abs().sum(Kind::Double))
}
