//! Methods with a head per modality beside a fused one: MMPareto and G-Blending.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use g2d::{
    StepReport,
    algorithm::Algorithm,
    paper::baselines::{BranchLosses, GBlending, GBlendingConfig, MmPareto, MmParetoConfig},
};
use serde_json::{Value, json};

use super::{
    case::{Case, detail, row, scalar},
    network::Network,
};
use crate::harness::case::MODALITIES;

pub fn mmpareto(case: &Case<'_>) -> Result<Value> {
    let network = Network::fused(case)?;
    let mut free = Network::fused(case)?;
    let config = MmParetoConfig { gamma: case.number("gamma")? };
    let mut method = MmPareto::new(&network, network.params()?, config)?;
    let mut optimizer = network.optimizer(case)?;
    let mut steps = Vec::new();
    for t in 0..case.list("steps")?.len() {
        let batch = case.batch(t)?;
        free.vs.copy(&network.vs)?;
        let sum = GBlendingConfig { joint: 1.0, unimodal: vec![1.0; 2] };
        let mut plain = GBlending::new(&free, free.params()?, sum)?;
        let mut before = free.optimizer(case)?;
        plain.step(&free, &batch, &mut before)?;
        let before = before.last();

        let report = method.step(&network, &batch, &mut optimizer)?;
        let mut step = losses(&report)?;
        for name in MODALITIES {
            let value = |of: &str| scalar(detail(&report, of, name)?);
            step[name] = json!({
                "cosine": value("cosine")?,
                "weight_joint": value("weight_joint")?,
                "weight_unimodal": value("weight_unimodal")?,
                "joint_norm": value("joint_norm")?,
                "unimodal_norm": value("unimodal_norm")?,
                "largest_scale": value("largest_scale")?,
                "smallest_scale": value("smallest_scale")?,
            });
        }
        step["grad_norm_before"] = before;
        step["grad_norm_after"] = optimizer.last();
        steps.push(step);
    }
    Ok(json!({ "steps": steps, "final_abs_sum": network.abs_sums()? }))
}

/// The losses and the fused logits of a step.
fn losses(report: &StepReport) -> Result<Value> {
    let terms = report.read()?.terms;
    Ok(json!({
        "loss": terms.total,
        "losses": { "joint": terms.task, "audio": terms.head[0], "visual": terms.head[1] },
        "logits_row0": row(&report.logits)?,
    }))
}

pub fn g_blending(case: &Case<'_>) -> Result<Value> {
    let network = Network::fused(case)?;
    let losses_of: BTreeMap<String, BranchLosses> = case.get("branch_losses")?;
    let branch = |name: &str| losses_of.get(name).copied().context("no losses of a branch");
    let unimodal = [branch(MODALITIES[0])?, branch(MODALITIES[1])?];
    let config = GBlendingConfig::from_losses(branch("joint")?, &unimodal)?;
    let weights = json!({
        "audio": config.unimodal[0], "visual": config.unimodal[1], "joint": config.joint,
    });
    let mut method = GBlending::new(&network, network.params()?, config)?;
    let mut optimizer = network.optimizer(case)?;
    let mut steps = Vec::new();
    for t in 0..case.list("steps")?.len() {
        let report = method.step(&network, &case.batch(t)?, &mut optimizer)?;
        let mut step = losses(&report)?;
        step["grad_norm"] = optimizer.last();
        steps.push(step);
    }
    Ok(json!({ "weights": weights, "steps": steps, "final_abs_sum": network.abs_sums()? }))
}
