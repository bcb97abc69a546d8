//! The variants of L_S against PyTorch, in float64 to 1e-12: values and gradients.

use g2d::{
    G2dLoss,
    batch::Extras,
    loss::{
        self, Classification, Confidence, Distillation, Labels, Penalty, Regression,
        TrueClassProbability,
    },
};
use tch::{Kind, Tensor};

use crate::support::{assert_error, assert_mismatch, assert_number, names, wave};

// The expected values below were printed by this, with torch 2.13.0:
//
//   import math, torch, torch.nn.functional as F
//   torch.set_default_dtype(torch.float64)
//   w = lambda phase, *s: torch.sin(phase + torch.arange(math.prod(s), dtype=torch.float64)).reshape(s)
//   y, z = torch.tensor([2, 0, 3, -7, 1]), torch.tensor([2, 0, 3, 0, 1])
//   cw, pw = torch.tensor([1.0, 2.5, 0.5, 0.75]), torch.tensor([3.0, 0.5, 1.0, 2.0])
//   v, keep = torch.tensor([1.0, 0.25, 0.0, 2.0, 4.0]), (y != -7).double()
//   q, Y, R = torch.softmax(w(0.7, 5, 4), 1), (w(0.4, 5, 4) > 0).double(), w(0.8, 5, 4)
//   CE, BCE = F.cross_entropy, F.binary_cross_entropy_with_logits
//   each = lambda l, **k: CE(l, z, reduction="none", **k)
//   def show(f):
//       l = (2 * w(0.1, 5, 4)).requires_grad_()
//       g, = torch.autograd.grad(f(l), l)
//       print(float(f(l)), float((g * w(1.9, 5, 4)).sum()))

fn class_weight() -> Option<Vec<f64>> {
    Some(vec![1.0, 2.5, 0.5, 0.75])
}

/// Labels, of which −7 is to ignore.
fn with_ignored() -> Tensor {
    Tensor::from_slice(&[2_i64, 0, 3, -7, 1])
}

fn classes() -> Tensor {
    Tensor::from_slice(&[2_i64, 0, 3, 0, 1])
}

fn soft() -> Tensor {
    wave(0.7, &[5, 4]).softmax(1, Kind::Double)
}

fn sets() -> Tensor {
    wave(0.4, &[5, 4]).gt(0.0).to_kind(Kind::Double)
}

fn extras() -> Extras {
    let mut extras = Extras::default();
    extras.insert("v", Tensor::from_slice(&[1.0_f32, 0.25, 0.0, 2.0, 4.0]));
    extras
}

/// L_S of `logits` without modalities.
pub(super) fn task_of(
    loss: &dyn G2dLoss,
    logits: &Tensor,
    targets: &Tensor,
    extras: &Extras,
) -> g2d::Result<Tensor> {
    loss.check_targets(&logits.size(), targets)?;
    let terms = loss.terms(&loss::Input {
        modalities: &[],
        logits,
        features: &[],
        teachers: &[],
        unimodal: &[],
        rows: &[],
        targets,
        extras,
    })?;
    Ok(terms.task)
}

/// Asserts L_S, and the sum of its gradient times w(1.9, 5, 4).
#[track_caller]
pub(super) fn assert_task(
    loss: &dyn G2dLoss,
    targets: &Tensor,
    extras: &Extras,
    [value, slope]: [f64; 2],
) {
    loss.check(&names(2)).unwrap();
    let logits = (wave(0.1, &[5, 4]) * 2.0).set_requires_grad(true);
    let task = task_of(loss, &logits, targets, extras).unwrap();
    assert_eq!(task.size(), [0_i64; 0]);
    assert_number(task.double_value(&[]), value);
    task.backward();
    let found = (logits.grad() * wave(1.9, &[5, 4])).sum(Kind::Double).double_value(&[]);
    assert!((found - slope).abs() < 1e-12, "{found} against {slope}");
}

#[test]
fn class_weights_smoothing_and_labels_to_ignore_agree_with_pytorch() {
    let assert = |loss: &Classification, targets: &Tensor, expected| {
        assert_task(loss, targets, &Extras::default(), expected);
    };
    let plain = Classification { class_weight: class_weight(), ..Classification::default() };
    // show(lambda l: CE(l, z, weight=cw))
    assert(&plain, &classes(), [3.0706249409566637, 0.09900948796914322]);
    let smooth = Classification { label_smoothing: 0.2, ..plain };
    // show(lambda l: CE(l, z, weight=cw, label_smoothing=0.2))
    assert(&smooth, &classes(), [2.879681107972254, 0.07127438599325067]);
    let ignoring = Classification { ignore_index: Some(-7), ..smooth.clone() };
    // show(lambda l: CE(l, y, weight=cw, ignore_index=-7, label_smoothing=0.2))
    assert(&ignoring, &with_ignored(), [2.79984575618298, 0.3016338557867978]);
    let soft_labels = Classification { labels: Labels::Soft, ..smooth };
    // show(lambda l: CE(l, q, weight=cw, label_smoothing=0.2))
    assert(&soft_labels, &soft(), [1.875364729672473, -0.21622767682468608]);
}

#[test]
fn weights_of_samples_agree_with_pytorch() {
    let sample_weight = || Some("v".to_owned());
    let plain = Classification { sample_weight: sample_weight(), ..Classification::default() };
    // show(lambda l: (v * each(l)).sum() / v.sum())
    assert_task(&plain, &classes(), &extras(), [2.8007475786557414, 0.056094160659162284]);
    let all = Classification {
        class_weight: class_weight(),
        label_smoothing: 0.2,
        ignore_index: Some(-7),
        ..plain.clone()
    };
    // show(lambda l: (v * keep * each(l, weight=cw, label_smoothing=0.2)).sum() / (v * keep * cw[z]).sum())
    assert_task(&all, &with_ignored(), &extras(), [2.4829159988102725, 0.4204656733474031]);
    let soft_labels =
        Classification { labels: Labels::Soft, class_weight: class_weight(), ..plain.clone() };
    // show(lambda l: (v * CE(l, q, weight=cw, reduction="none")).sum() / v.sum())
    assert_task(&soft_labels, &soft(), &extras(), [1.6924293006932027, -0.2744866200208985]);
    let multi = Classification {
        labels: Labels::Multi,
        class_weight: class_weight(),
        pos_weight: Some(vec![3.0, 0.5, 1.0, 2.0]),
        ..plain
    };
    // show(lambda l: (v * BCE(l, Y, weight=cw, pos_weight=pw, reduction="none").mean(1)).sum() / v.sum())
    assert_task(&multi, &sets(), &extras(), [0.39682155179996326, -0.12352341877369749]);
    let values = Regression {
        penalty: Penalty::Huber(0.7),
        sample_weight: sample_weight(),
        ..Regression::default()
    };
    // show(lambda l: (v * F.huber_loss(l, R, delta=0.7, reduction="none").mean(1)).sum() / v.sum())
    let expected = [0.35678218894917435, -0.29545448131125024];
    assert_task(&values, &wave(0.8, &[5, 4]), &extras(), expected);
}

#[test]
fn the_focal_loss_agrees_with_pytorch() {
    let none = Extras::default();
    let plain = Classification { focal: 1.5, ..Classification::default() };
    // show(lambda l: ((1 - torch.softmax(l, 1)[range(5), z]) ** 1.5 * each(l)).mean())
    assert_task(&plain, &classes(), &none, [2.7356718428824625, -0.032657254387630924]);
    let weighted = Classification { focal: 0.5, class_weight: class_weight(), ..plain.clone() };
    // show(lambda l: ((1 - torch.softmax(l, 1)[range(5), z]) ** 0.5 * each(l, weight=cw)).sum() / cw[z].sum())
    assert_task(&weighted, &classes(), &none, [2.9933167330650816, 0.10726417466442922]);
    let soft_labels = Classification { focal: 2.0, labels: Labels::Soft, ..plain.clone() };
    // show(lambda l: -(q * (1 - torch.softmax(l, 1)) ** 2 * torch.log_softmax(l, 1)).sum(1).mean())
    assert_task(&soft_labels, &soft(), &none, [1.0057038434442382, -0.15837807291759126]);
    let multi = Classification {
        focal: 2.0,
        labels: Labels::Multi,
        pos_weight: Some(vec![1.0 / 3.0; 4]),
        ..plain
    };
    // torchvision.ops.sigmoid_focal_loss(l, Y, alpha=0.25, gamma=2, reduction="mean") / 0.75
    assert_task(&multi, &sets(), &none, [0.025108274702978814, -0.027978700585181183]);
}

#[test]
fn a_focal_loss_of_certain_predictions_has_finite_gradients() {
    let y = Tensor::from_slice(&[0_i64, 1]);
    for (labels, targets) in
        [(Labels::Single, y.copy()), (Labels::Multi, y.one_hot(2).to_kind(Kind::Double))]
    {
        for focal in [0.5, 1.0, 2.0] {
            let loss = Classification { labels, focal, ..Classification::default() };
            let logits = (y.one_hot(2).to_kind(Kind::Double) * 2e3 - 1e3).set_requires_grad(true);
            let task = task_of(&loss, &logits, &targets, &Extras::default()).unwrap();
            task.backward();
            assert_eq!(task.double_value(&[]), 0.0);
            assert_eq!(logits.grad().isfinite().all().int64_value(&[]), 1);
        }
    }
}

#[test]
fn weights_of_positive_samples_and_penalties_agree_with_pytorch() {
    let multi = Classification {
        class_weight: class_weight(),
        pos_weight: Some(vec![3.0, 0.5, 1.0, 2.0]),
        ..Classification::multi_label(Distillation::default())
    };
    // show(lambda l: BCE(l, Y, weight=cw, pos_weight=pw))
    assert_task(&multi, &sets(), &Extras::default(), [0.3911500936926207, -0.0829836344450393]);
    // show(lambda l: F.l1_loss(l, R)); F.huber_loss(l, R, delta=0.7); F.smooth_l1_loss(l, R, beta=0.7)
    for (penalty, expected) in [
        (Penalty::Absolute, [0.8593414017900031, -0.41147763819989125]),
        (Penalty::Huber(0.7), [0.3853138057331297, -0.2818727703589435]),
        (Penalty::SmoothL1(0.7), [0.5504482939044708, -0.40267538622706217]),
    ] {
        let loss = Regression { penalty, ..Regression::default() };
        assert_task(&loss, &wave(0.8, &[5, 4]), &Extras::default(), expected);
    }
}

/// PyTorch returns NaN.
#[test]
fn l_s_and_its_gradient_are_0_where_no_sample_has_a_weight() {
    let nothing = Tensor::from_slice(&[-7_i64; 5]);
    let mut zeros = Extras::default();
    zeros.insert("v", Tensor::zeros([5], tch::kind::FLOAT_CPU));
    let ignoring = Classification { ignore_index: Some(-7), ..Classification::default() };
    assert_task(&ignoring, &nothing, &Extras::default(), [0.0, 0.0]);
    let weighted = Classification { sample_weight: Some("v".into()), ..Classification::default() };
    assert_task(&weighted, &classes(), &zeros, [0.0, 0.0]);
    let of_classes = Classification {
        class_weight: Some(vec![0.0, 1.0, 1.0, 1.0]),
        ..Classification::default()
    };
    assert_task(&of_classes, &classes().zeros_like(), &Extras::default(), [0.0, 0.0]);
    let values = Regression { sample_weight: Some("v".into()), ..Regression::default() };
    assert_task(&values, &wave(0.8, &[5, 4]), &zeros, [0.0, 0.0]);
}

#[test]
fn rho_leaves_out_samples_to_ignore_and_averages_over_soft_labels() {
    let logits = wave(1.1, &[5, 4]);
    let rho = |loss: &Classification, targets: &Tensor| {
        loss.confidence(&logits, targets).unwrap().double_value(&[])
    };
    let ignoring = Classification { ignore_index: Some(-7), ..Classification::default() };
    // p = torch.softmax(w(1.1, 5, 4), 1); p[range(5), z][y != -7].mean(); (p * q).sum(1).mean()
    assert_number(rho(&ignoring, &with_ignored()), 0.1393839466380935);
    assert_number(
        rho(&Classification::soft(Distillation::default()), &soft()),
        0.33307233913426726,
    );
    let nothing = Tensor::from_slice(&[-7_i64; 5]);
    assert_number(rho(&ignoring, &nothing), 0.25);
    let measure = TrueClassProbability { labels: Labels::Single, ignore_index: Some(-7) };
    let found = measure.rho(&logits, &with_ignored()).unwrap().double_value(&[]);
    assert_eq!(found, rho(&ignoring, &with_ignored()));
}

#[test]
fn soft_and_one_hot_targets_are_pointed_to_the_form_that_takes_them() {
    let check = |labels, targets: &Tensor| {
        Classification { labels, ..Classification::default() }.check_targets(&[5, 4], targets)
    };
    let (y, one_hot) = (classes(), classes().one_hot(4));
    assert_mismatch(check(Labels::Single, &soft()), &["Int64", "Double", "`Labels::Soft`"]);
    assert_mismatch(check(Labels::Single, &one_hot), &["[5]", "[5, 4]", "argmax(1, false)"]);
    assert_mismatch(check(Labels::Single, &y.unsqueeze(1)), &["[5, 1]", "squeeze_dim(1)"]);
    assert_mismatch(check(Labels::Single, &with_ignored()), &["-7", "`ignore_index`"]);
    assert_mismatch(check(Labels::Multi, &soft()), &["zeros and ones", "`Labels::Soft`"]);
    assert_mismatch(check(Labels::Multi, &y), &["Int64", "`Labels::Single`"]);
    assert_mismatch(check(Labels::Soft, &y), &["Int64", "`Labels::Single`"]);
    assert_mismatch(check(Labels::Soft, &sets()), &["sum to 1", "`Labels::Multi`"]);
    assert_mismatch(check(Labels::Soft, &-soft()), &["≥ 0"]);
    check(Labels::Soft, &one_hot.to_kind(Kind::Float)).unwrap();
    check(Labels::Soft, &soft().to_kind(Kind::Float)).unwrap();
    let ignoring = Classification { ignore_index: Some(-7), ..Classification::default() };
    ignoring.check_targets(&[5, 4], &with_ignored()).unwrap();
    assert_mismatch(ignoring.check_targets(&[5, 3], &with_ignored()), &["0..3, or -7", "found 3"]);
    let none = Tensor::zeros([5, 0], tch::kind::FLOAT_CPU);
    assert_mismatch(check(Labels::Single, &none), &["[5, 0]", "`Batch::new`", "`predict`"]);
    assert_mismatch(Regression::default().check_targets(&[5, 4], &none), &["`predict`"]);
}

#[test]
fn settings_out_of_range_or_without_a_meaning_are_errors() {
    let base = Classification::default;
    let multi = || Classification::multi_label(Distillation::default());
    for (loss, words) in [
        (Classification { class_weight: Some(vec![]), ..base() }, ["class_weight", "each class"]),
        (Classification { class_weight: Some(vec![1.0, -1.0]), ..base() }, ["class_weight", "-1"]),
        (Classification { pos_weight: Some(vec![f64::NAN]), ..multi() }, ["pos_weight", "NaN"]),
        (Classification { pos_weight: Some(vec![1.0]), ..base() }, ["pos_weight", "Multi"]),
        (Classification { label_smoothing: 1.5, ..base() }, ["label_smoothing", "[0, 1]"]),
        (Classification { label_smoothing: 0.1, ..multi() }, ["label_smoothing", "Multi"]),
        (Classification { ignore_index: Some(0), ..multi() }, ["ignore_index", "Single"]),
        (Classification { focal: -1.0, ..base() }, ["focal", "≥ 0"]),
        (Classification { focal: f64::INFINITY, ..base() }, ["focal", "finite"]),
    ] {
        assert_error(loss.check(&names(2)), &words);
    }
    let weighted = Classification { class_weight: class_weight(), ..base() };
    assert_error(weighted.check_targets(&[5, 3], &classes()), &["class_weight", "3 numbers", "4"]);
    for penalty in [Penalty::Huber(0.0), Penalty::SmoothL1(f64::NAN)] {
        let loss = Regression { penalty, ..Regression::default() };
        assert_error(loss.check(&names(2)), &["penalty", "> 0"]);
    }
    let sampled = Classification { sample_weight: Some("v".into()), ..base() };
    let found = |weights: Option<Tensor>| {
        let mut extras = Extras::default();
        weights.into_iter().for_each(|weights| extras.insert("v", weights));
        task_of(&sampled, &wave(0.1, &[5, 4]), &classes(), &extras)
    };
    assert_error(found(None), &["\"v\"", "Batch::with_extra"]);
    assert_error(found(Some(wave(0.0, &[5, 1]))), &["sample weights \"v\"", "[5]", "[5, 1]"]);
    assert_error(found(Some(wave(4.0, &[5]))), &["sample weights \"v\"", "≥ 0"]);
}
