//! ReconBoost.

use anyhow::{Context, Result};
use g2d::{
    Modality,
    algorithm::Algorithm,
    paper::{
        baselines::{BoostHead, ReconBoost, ReconBoostConfig, StageLr},
        networks::FusionKind,
    },
};
use serde_json::{Value, json};

use super::{
    case::{Case, detail, row, scalar},
    network::Network,
};
use crate::harness::case::MODALITIES;

/// The gradients of an update.
fn observe(network: &Network) -> Result<Value> {
    let norm = |part| network.gradient_norm(part);
    let rate = network.vs.variables().remove("boost_rate").context("no boost_rate")?.grad();
    let rate = rate.defined().then(|| rate.double_value(&[0]));
    Ok(json!({
        "audio": norm("audio_net")?, "visual": norm("visual_net")?, "head": norm("head")?,
        "boost_rate": rate,
    }))
}

/// The width of the hidden layer, from the description "head.fc1 [256, 512]".
fn hidden(case: &Case<'_>) -> Result<i64> {
    let text = case.text("network")?;
    let size = text.split("head.fc1 [").nth(1).and_then(|rest| rest.split(',').next());
    Ok(size.context("no size of head.fc1")?.trim().parse()?)
}

pub fn train(case: &Case<'_>) -> Result<Value> {
    let classes = case.dataset()?.classes();
    let (network, head) = Network::new(case, FusionKind::Late, |vs, width| {
        let head = BoostHead::new(vs.root(), width, hidden(case)?, classes)?;
        Ok(head.with_initial(vs.root(), &Modality::list(MODALITIES), width, classes)?)
    })?;
    let epochs: u64 = case.get("epochs_of_a_phase")?;
    let config = ReconBoostConfig {
        weight1: case.number("weight1")?,
        weight2: case.number("weight2")?,
        alpha: case.number("alpha")?,
        phase_epochs: epochs,
        lr: StageLr::Constant,
    };
    let mut method = ReconBoost::new(&network, network.params()?, head, config)?;
    let mut optimizer = network.optimizer(case)?.observing(observe);
    let times = case.times("batches_of_an_epoch")?;
    let mut stages = Vec::new();
    for (i, _) in case.list("stages")?.iter().enumerate() {
        let name = MODALITIES[i % MODALITIES.len()];
        let mut stage = json!({ "modality": name });
        for (phase, mean) in
            [("phase1", "mean_boosting_loss"), ("phase2", "mean_rectification_loss")]
        {
            let (mut steps, mut sum) = (Vec::new(), 0.0);
            for _ in 0..epochs {
                for &t in &times {
                    let report = method.step(&network, &case.batch(t)?, &mut optimizer)?;
                    let (task, gradients) = (report.read()?.terms.task, optimizer.last());
                    sum += task;
                    let logits = row(&report.logits)?;
                    steps.push(if phase == "phase1" {
                        let value = |of: &str| scalar(detail(&report, of, None)?);
                        json!({
                            "boosting_loss": task, "consolidation": value("consolidation")?,
                            "others_true_class_mean": value("others_true_class")?,
                            "grad_norm_encoder": gradients[name],
                            "grad_norm_head": gradients["head"], "logits_row0": logits,
                        })
                    } else {
                        json!({
                            "loss": task, "grad_norm_audio": gradients["audio"],
                            "grad_norm_visual": gradients["visual"],
                            "grad_norm_head": gradients["head"],
                            "grad_boost_rate": gradients["boost_rate"], "logits_row0": logits,
                        })
                    });
                }
                method.end_epoch()?;
            }
            stage[mean] = (sum / steps.len() as f64).into();
            stage[phase] = steps.into();
        }
        stage["end"] = network.abs_sums()?;
        stages.push(stage);
    }
    Ok(json!({ "stages": stages, "final_abs_sum": network.abs_sums()? }))
}
