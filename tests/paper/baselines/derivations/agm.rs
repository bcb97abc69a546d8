//! AGM.

use g2d::{
    Batch,
    algorithm::Algorithm,
    paper::baselines::{Agm, AgmClip, AgmConfig},
};
use tch::{Kind, Tensor};

use super::{K, assert_gradients, derived, encode, fuse, gradients_of, norm, true_class};
use crate::baselines::recorder::Recorder;
use crate::support::{CLASSES, Snapshot, Tiny, assert_number};

/// κ_m and the gradients of Σ κ_m ⟨∂CE/∂z, φ_m⟩ for scores S, derived from marginal gains in all orders of
/// the modalities.
fn agm(tiny: &Tiny, batch: &Batch, running: &[f64], alpha: f64) -> (Vec<f64>, Vec<f64>, Snapshot) {
    let k = running.len();
    let full = fuse(tiny, &encode(tiny, batch, true), batch, true);
    let z = |set: &[usize]| {
        if set.is_empty() {
            return full.zeros_like();
        }
        if set.len() == k {
            return full.shallow_clone();
        }
        let inputs = (0..k).map(|m| match set.contains(&m) {
            true => batch.input(m).shallow_clone(),
            false => batch.input(m).zeros_like(),
        });
        let masked = Batch::new(inputs.collect::<Vec<_>>(), batch.targets().shallow_clone());
        fuse(tiny, &encode(tiny, &masked, false), &masked, false)
    };
    let orders: Vec<Vec<usize>> = match k {
        2 => vec![vec![0, 1], vec![1, 0]],
        _ => vec![
            vec![0, 1, 2],
            vec![0, 2, 1],
            vec![1, 0, 2],
            vec![1, 2, 0],
            vec![2, 0, 1],
            vec![2, 1, 0],
        ],
    };
    let phi: Vec<Tensor> = (0..k)
        .map(|m| {
            let gains = orders.iter().map(|order| {
                let at = order.iter().position(|&o| o == m).unwrap();
                z(&order[..=at]) - z(&order[..at])
            });
            gains.sum::<Tensor>() / orders.len() as f64
        })
        .collect();
    let scores: Vec<f64> = phi
        .iter()
        .map(|phi| -true_class(phi, batch).log().mean(Kind::Double).double_value(&[]))
        .collect();
    let ratio = |scores: &[f64], m: usize| {
        let others: f64 = scores.iter().enumerate().filter(|(o, _)| *o != m).map(|(_, s)| s).sum();
        // k/(k−1) (s̄ − s_m) is the mean of the others' scores minus s_m.
        (others / (k - 1) as f64 - scores[m]).exp()
    };
    let kappa: Vec<f64> =
        (0..k).map(|m| (alpha * (ratio(running, m) - ratio(&scores, m))).exp()).collect();
    let total: Tensor = phi.iter().sum();
    let rows = total.size()[0] as f64;
    let one_hot = batch.targets().one_hot(CLASSES).to_kind(Kind::Double);
    let by_logits = (total.softmax(1, None) - one_hot).detach() / rows;
    let surrogate: Tensor =
        phi.iter().zip(&kappa).map(|(phi, kappa)| (&by_logits * phi * *kappa).sum(None)).sum();
    (kappa, scores, gradients_of(&surrogate, &tiny.vs))
}

#[test]
fn agm_scales_the_gradient_through_each_modalitys_share_of_the_logits() {
    for k in K {
        let tiny = Tiny::conv(k);
        let config = AgmConfig { alpha: 1.5, ..AgmConfig::default() };
        let mut method = Agm::new(&tiny, tiny.params(), config).unwrap();
        let mut optimizer = Recorder::new(&tiny.vs, 0.5);
        let mut running = vec![0.0; k];
        for step in 0..3 {
            let batch = tiny.batch(6, 0.1 + step as f64);
            let (kappa, scores, expected) = derived(&tiny.vs, || agm(&tiny, &batch, &running, 1.5));
            let report = method.step(&tiny, &batch, &mut optimizer).unwrap();
            assert_gradients(&optimizer.updates[step], &expected);
            let found = report.kappa();
            found.iter().zip(&kappa).for_each(|(found, kappa)| assert_number(*found, *kappa));
            let n = step as f64;
            running.iter_mut().zip(&scores).for_each(|(s, new)| *s = (*s * n + new) / (n + 1.0));
        }
    }
}

#[test]
fn agm_clips_only_where_an_entry_of_the_named_gradients_is_too_large() {
    for (threshold, clips) in [(1e-6, true), (1e6, false)] {
        let tiny = Tiny::conv(2);
        let parameters = vec!["head.weight".to_owned()];
        let clip = Some(AgmClip { parameters, threshold, norm: 1e-3 });
        let config = AgmConfig { clip, ..AgmConfig::default() };
        let mut method = Agm::new(&tiny, tiny.params(), config).unwrap();
        let mut optimizer = Recorder::new(&tiny.vs, 0.1);
        method.step(&tiny, &tiny.batch(6, 0.1), &mut optimizer).unwrap();
        let found = norm(&optimizer.updates[0]);
        assert_eq!(found <= 1e-3, clips, "{found}");
    }
}
