//! Losses against PyTorch, in float64 to 1e-12.
//!
//! - `confidence.rs`: ρ; `balanced/`: the terms of balanced training.

mod balanced;
mod confidence;

use g2d::{
    G2dLoss, Modality, TeacherOutput,
    batch::{Extras, Rows},
    loss::{self, Classification, Distillation, FeatureReduction, Regression},
};
use tch::{Kind, Tensor};

use crate::support::{all_present, assert_number, names, wave};

// The expected values below were printed by this, with torch 2.13.0:
//
//   import math, torch, torch.nn.functional as F
//   w = lambda phase, *s: torch.sin(phase + torch.arange(math.prod(s), dtype=torch.float64)).reshape(s)
//   l, y = 2 * w(0.1, 3, 4), torch.tensor([2, 0, 3])
//   f, tf = [w(0.2, 3, 2), w(0.3, 3, 5)], [w(0.4, 3, 2), w(0.5, 3, 5)]
//   tl = [3 * w(0.6, 3, 4), 3 * w(0.7, 3, 4)]
//   alpha, beta, a, b, T = 0.5, 2.0, [0.25, 3.0], [1.5, 0.75], [2.0, 0.5]
//   def show(task, feat, logit):
//       total = task + alpha * sum(x * y for x, y in zip(a, feat)) \
//                    + beta * sum(x * y for x, y in zip(b, logit))
//       print(*(repr(float(x)) for x in [total, task, *feat, *logit]))
//   mean = [F.mse_loss(x, z) for x, z in zip(f, tf)]
//   norm = [((x - z) ** 2).sum(1).mean() for x, z in zip(f, tf)]

/// The tensors of the Python code above.
struct Case {
    modalities: Vec<Modality>,
    logits: Tensor,
    features: Vec<Tensor>,
    teachers: Vec<TeacherOutput>,
}

fn case() -> Case {
    let teacher = |features, logits| TeacherOutput { features, logits, host: None };
    Case {
        modalities: names(2),
        logits: wave(0.1, &[3, 4]) * 2.0,
        features: vec![wave(0.2, &[3, 2]), wave(0.3, &[3, 5])],
        teachers: vec![
            teacher(wave(0.4, &[3, 2]), wave(0.6, &[3, 4]) * 3.0),
            teacher(wave(0.5, &[3, 5]), wave(0.7, &[3, 4]) * 3.0),
        ],
    }
}

fn distillation(feature_reduction: FeatureReduction) -> Distillation {
    Distillation {
        task_weight: 1.0,
        alpha: 0.5,
        beta: 2.0,
        feature_weight: [0.25, 3.0].into(),
        logit_weight: [1.5, 0.75].into(),
        temperature: [2.0, 0.5].into(),
        feature_reduction,
        ..Distillation::default()
    }
}

/// Asserts total, task term, feature terms, logit terms, and ρ of both teachers.
#[track_caller]
fn assert_terms(loss: &dyn G2dLoss, targets: &Tensor, terms: [f64; 6], rho: [f64; 2]) {
    let Case { modalities, logits, features, teachers } = case();
    let found = loss
        .terms(&loss::Input {
            modalities: &modalities,
            logits: &logits,
            features: &features,
            teachers: &all_present(&teachers),
            unimodal: &[],
            rows: &Rows::all(modalities.len()),
            targets,
            extras: &Extras::default(),
        })
        .unwrap();
    let each = [Some(found.total), Some(found.task)].into_iter();
    let each: Vec<_> = each.chain(found.feature).chain(found.logit).collect();
    assert_eq!(each.len(), terms.len());
    for (found, expected) in each.iter().zip(terms) {
        assert_number(found.as_ref().unwrap().double_value(&[]), expected);
    }
    for (teacher, expected) in teachers.iter().zip(rho) {
        let found = loss.confidence(&teacher.logits, targets).unwrap();
        assert_number(found.double_value(&[]), expected);
    }
}

fn classes() -> Tensor {
    Tensor::from_slice(&[2_i64, 0, 3])
}

#[test]
fn classification_with_mean_feature_distance_agrees_with_pytorch() {
    // kl = lambda t, s, T: T**2 * F.kl_div(F.log_softmax(s / T, 1), F.softmax(t / T, 1),
    //                                      reduction="batchmean")
    // show(F.cross_entropy(l, y), mean, [kl(t, l, c) for t, c in zip(tl, T)])
    // print([float(F.softmax(t, 1)[range(3), y].mean()) for t in tl])
    assert_terms(
        &Classification::new(distillation(FeatureReduction::Mean)),
        &classes(),
        [
            3.8055035309738034,
            2.8107229667836897,
            0.019077842100128504,
            0.01930147458543302,
            0.2956459470056328,
            0.051003854021699914,
        ],
        [0.05506667051621971, 0.04465175777459481],
    );
}

#[test]
fn classification_with_squared_norm_of_features_agrees_with_pytorch() {
    // show(F.cross_entropy(l, y), norm, [kl(t, l, c) for t, c in zip(tl, T)])
    assert_terms(
        &Classification::new(distillation(FeatureReduction::SquaredNorm)),
        &classes(),
        [
            3.9236971087489176,
            2.8107229667836897,
            0.03815568420025701,
            0.0965073729271651,
            0.2956459470056328,
            0.051003854021699914,
        ],
        [0.05506667051621971, 0.04465175777459481],
    );
}

#[test]
fn multi_label_classification_agrees_with_pytorch() {
    // Y = torch.tensor([[1., 0, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]], dtype=torch.float64)
    // B = lambda x: torch.distributions.Bernoulli(logits=x)
    // kl = lambda t, s, T: T**2 * torch.distributions.kl_divergence(B(t/T), B(s/T)).sum(1).mean()
    // show(F.binary_cross_entropy_with_logits(l, Y), mean, [kl(t, l, c) for t, c in zip(tl, T)])
    // print([float(torch.where(Y == 1, torch.sigmoid(t), 1 - torch.sigmoid(t)).mean()) for t in tl])
    let labels = Tensor::from_slice(&[1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    assert_terms(
        &Classification::multi_label(distillation(FeatureReduction::Mean)),
        &labels.view([3, 4]),
        [
            2.4434642087408753,
            0.4832319984926899,
            0.019077842100128504,
            0.01930147458543302,
            0.5239552675586693,
            0.23801964362100825,
        ],
        [0.7607956121935256, 0.7574742437472434],
    );
}

#[test]
fn regression_agrees_with_pytorch() {
    // R = w(0.8, 3, 4)
    // show(F.mse_loss(l, R), mean, [F.mse_loss(l, t) for t in tl])
    // print([float(torch.exp(-F.mse_loss(t, R) / R.var(unbiased=False))) for t in tl])
    assert_terms(
        &Regression::new(distillation(FeatureReduction::Mean)),
        &wave(0.8, &[3, 4]),
        [
            7.148346927105349,
            0.9349034839428721,
            0.019077842100128504,
            0.01930147458543302,
            1.2728590171760112,
            1.575686299662518,
        ],
        [0.016777755444839688, 0.01790007868379718],
    );
}

/// Without a broadcast of predictions [B, 1] and targets [B] to [B, B].
#[test]
fn regression_of_one_value_accepts_targets_of_one_dimension() {
    let (predictions, targets) = (wave(0.2, &[4, 1]), wave(0.9, &[4]));
    let loss = Regression::default();
    loss.check_targets(&predictions.size(), &targets).unwrap();
    let task = |targets: &Tensor| {
        let input = loss::Input {
            modalities: &names(2),
            logits: &predictions,
            features: &[],
            teachers: &[],
            unimodal: &[],
            rows: &Rows::all(2),
            targets,
            extras: &Extras::default(),
        };
        loss.terms(&input).unwrap().task.double_value(&[])
    };
    let expected = (predictions.view(-1) - &targets).square().mean(None).double_value(&[]);
    assert_number(task(&targets), expected);
    assert_number(task(&targets.view([4, 1])), expected);
}

#[test]
fn the_confidence_of_a_regression_is_1_for_a_perfect_teacher_and_exp_minus_1_for_the_mean() {
    let rho = |predictions: &[f64], targets: &[f64]| {
        let column = |x: &[f64]| Tensor::from_slice(x).view([-1, 1]);
        let rho = Regression::default().confidence(&column(predictions), &column(targets));
        rho.unwrap().double_value(&[])
    };
    let targets = [1.0, 2.0, 3.0, 6.0];
    assert_eq!(rho(&targets, &targets), 1.0, "a perfect teacher");
    assert_number(rho(&[3.0; 4], &targets), (-1.0_f64).exp()); // the mean, always
    assert!(rho(&[1.5, 2.0, 3.0, 6.0], &targets) > rho(&[2.0, 2.0, 3.0, 6.0], &targets));
    // Constant targets.
    assert_eq!(rho(&[5.0; 4], &[5.0; 4]), 1.0);
    assert_eq!(rho(&[5.0, 5.0, 5.0, 5.1], &[5.0; 4]), 0.0);
    assert_eq!(rho(&[1.0], &[1.0]), 1.0);
    assert_eq!(rho(&[1.0], &[2.0]), 0.0);
}

/// In single precision, where the smallest variance must not underflow.
#[test]
fn the_confidence_of_a_regression_with_constant_float_targets_is_0_or_1() {
    let targets = Tensor::ones([4, 1], tch::kind::FLOAT_CPU);
    let rho = |p: &Tensor| Regression::default().confidence(p, &targets).unwrap();
    assert_eq!(rho(&targets).double_value(&[]), 1.0);
    assert_eq!(rho(&(&targets + 0.5)).double_value(&[]), 0.0);
    assert_eq!(rho(&targets).kind(), Kind::Float);
}

#[test]
fn the_logit_term_is_the_kl_divergence_of_the_student_from_the_teacher() {
    // t, s = torch.tensor([[0., 0.]]), torch.tensor([[math.log(3), 0.]])
    // KL(t ‖ s) = .5 log(.5/.75) + .5 log(.5/.25); KL(s ‖ t) = .75 log(.75/.5) + .25 log(.25/.5)
    let logit_term = |teacher: [f64; 2], student: [f64; 2]| {
        let row = |x: [f64; 2]| Tensor::from_slice(&x).view([1, 2]);
        let features = [wave(0.0, &[1, 2])];
        let teachers =
            [TeacherOutput { features: wave(0.0, &[1, 2]), logits: row(teacher), host: None }];
        let input = loss::Input {
            modalities: &names(1),
            logits: &row(student),
            features: &features,
            teachers: &all_present(&teachers),
            unimodal: &[],
            rows: &Rows::all(1),
            targets: &Tensor::from_slice(&[0_i64]),
            extras: &Extras::default(),
        };
        let terms = Classification::default().terms(&input).unwrap();
        terms.logit[0].as_ref().unwrap().double_value(&[])
    };
    let (uniform, skewed) = ([0.0, 0.0], [3.0_f64.ln(), 0.0]);
    assert_number(logit_term(uniform, skewed), 0.5 * (0.5 / 0.75_f64).ln() + 0.5 * 2.0_f64.ln());
    assert_number(logit_term(skewed, uniform), 0.75 * 1.5_f64.ln() + 0.25 * 0.5_f64.ln());
    assert_eq!(logit_term(skewed, skewed), 0.0);
}
