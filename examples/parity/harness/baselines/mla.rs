//! MLA.

use anyhow::{Result, bail};
use g2d::{
    Student,
    algorithm::Algorithm,
    paper::{
        baselines::{Mla, MlaConfig, MlaFusion, MlaProjection, SharedHead},
        networks::FusionKind,
    },
};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use super::{
    case::{Case, detail, row, scalar},
    network::Network,
};
use crate::harness::case::MODALITIES;

/// The projection that the name of the case's file or its text describes.
fn projection(case: &Case<'_>) -> Result<MlaProjection> {
    let text = case.text("projection")?.to_lowercase();
    for (suffix, projection) in [
        ("as_run", MlaProjection::AsRun),
        ("as_written", MlaProjection::AsWritten),
        ("rls_previous", MlaProjection::Previous),
        ("rls_current", MlaProjection::Current),
    ] {
        if case.stem.ends_with(suffix) {
            return Ok(projection);
        }
    }
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    Ok(if text.starts_with("none") {
        MlaProjection::AsRun
    } else if has(&["stepped before", "previous"]) {
        MlaProjection::Previous
    } else if has(&["outer product", "elementwise", "element-wise", "as written", "||p||", "‖p‖"])
    {
        MlaProjection::AsWritten
    } else if has(&["recursive least squares"]) {
        MlaProjection::Current
    } else {
        bail!("projection {text:?}")
    })
}

pub fn train(case: &Case<'_>) -> Result<Value> {
    let classes = case.dataset()?.classes();
    let layers = case.layers();
    let layer = layers.first().map_or("fusion_module.fc_out", String::as_str);
    let (network, head) = Network::new(case, FusionKind::Late, |vs, width| {
        let path = layer.split('.').fold(vs.root(), |path, part| path / part);
        Ok(SharedHead::new(path, width, classes)?)
    })?;
    let config = MlaConfig {
        projection: projection(case)?,
        batches_per_epoch: Some(case.get("batches_per_epoch")?),
        fusion: MlaFusion::Dynamic,
    };
    let mut mla = Mla::new(&network, network.params()?, head, config)?;
    let mut optimizer = network.optimizer(case)?;
    let mut updates = Vec::new();
    for t in 0..case.list("updates")?.len() / MODALITIES.len() {
        let report = mla.step(&network, &case.batch(t)?, &mut optimizer)?;
        let losses = report.read()?.terms.head;
        for (m, name) in MODALITIES.into_iter().enumerate() {
            let value = |of: &str| detail(&report, of, name);
            let after = optimizer.updates[MODALITIES.len() * t + m].clone();
            let mut before = after.clone();
            before["fusion"] = scalar(value("gradient_norm_head")?)?.into();
            let mut update = json!({
                "step": t, "modality": name, "alpha": scalar(value("alpha")?)?,
                "loss": losses[m], "logits_row0": row(value("logits")?)?,
                "mean_feature_abs_sum": scalar(&value("mean_feature")?.abs().sum(Kind::Double))?,
                "grad_norm_before": before, "grad_norm_after": after,
            });
            if let Ok(matrix) = value("projection") {
                update["projection_norm"] = scalar(&matrix.norm())?.into();
                update["projection_abs_sum"] = scalar(&matrix.abs().sum(Kind::Double))?.into();
            }
            updates.push(update);
        }
    }
    let means = mla.end_epoch()?.terms.head;
    let mut found = test_time(case, &mla, &network)?;
    found["updates"] = updates.into();
    found["mean_loss_audio"] = json!(means[0]);
    found["mean_loss_visual"] = json!(means[1]);
    found["final_abs_sum"] = network.abs_sums()?;
    Ok(found)
}

/// The prediction rules on batch 0.
fn test_time(case: &Case<'_>, mla: &Mla, network: &Network) -> Result<Value> {
    let _no_grad = tch::no_grad_guard();
    let batch = case.batch(0)?;
    let encoded = (0..2).map(|m| network.encode(m, &batch, false));
    let encoded = encoded.collect::<g2d::Result<Vec<Tensor>>>()?;
    let features = g2d::Features::new(&encoded, &batch)?;
    let mut logits = Vec::new();
    for m in 0..2 {
        logits.extend(mla.unimodal_logits(network, m, &features)?);
    }
    let (weights, entropies) = MlaFusion::Dynamic.weights(&logits)?;
    let (of_batch, _) = MlaFusion::DynamicAsWritten.weights(&logits)?;
    let audio = case.number("av_alpha")?;
    let mut found = json!({
        "dynamic_logits_row0": row(&mla.logits(network, &features)?)?,
        "fixed_logits_row0": row(&MlaFusion::Fixed(vec![audio, 1.0 - audio]).fuse(&logits)?)?,
    });
    for (m, name) in (0..).zip(MODALITIES) {
        let column = |of: &Tensor| row(&of.select(1, m));
        found[format!("test_entropy_{name}")] = column(&entropies)?;
        found[format!("dynamic_weight_{name}")] = column(&weights)?;
        found[format!("dynamic_weight_code_{name}")] = of_batch.double_value(&[0, m]).into();
    }
    Ok(found)
}
