//! Shapley values and linear probes against NumPy.

use g2d::{
    Batch, metrics,
    probe::held_out::{Baseline, LinearProbe, Shapley},
};
use tch::{Device, Kind, Reduction, Tensor};

use super::{identity_student::IdentityStudent, model_value, value};
use crate::support::{
    ModifiedStudent, Tiny, assert_mismatch, assert_number, assert_same, fuse, values, wave,
    with_targets,
};

/// The negative cross-entropy.
fn likelihood(logits: &Tensor, labels: &Tensor) -> g2d::Result<f64> {
    let loss = logits.f_cross_entropy_loss(labels, None::<Tensor>, Reduction::Mean, -100, 0.0)?;
    Ok(-loss.double_value(&[]))
}

// W = wave(0.7, 12, 3); b = np.array([.1, -.2, .3])
// def v(S, absent, n=6):
//     F = np.concatenate([wave(10*m, n, 4) if m in S else np.tile(absent[m], (n, 1)) for m in range(3)], 1)
//     l = F @ W + b; y = np.arange(n) % 3
//     return -np.mean(np.log(np.exp(l).sum(1)) - l[np.arange(n), y])
// for m in range(3):
//     phi = 0
//     for r in range(3):
//         for S in itertools.combinations([j for j in range(3) if j != m], r):
//             phi += math.factorial(r)*math.factorial(2-r)/6 * (v(set(S) | {m}, ab) - v(set(S), ab))
// with ab = [np.zeros(4)]*3, and ab = [wave(10*m, 6, 4).mean(0) for m in range(3)]
#[test]
fn shapley_values_agree_with_numpy() {
    let student = IdentityStudent::new(3);
    let batches = [student.batch(6, 0.0)];
    let mean = Baseline::from_mean(&batches).unwrap();
    for (baseline, phi, none) in [
        (
            Baseline::ZeroInput,
            [-0.07718364926336503, 0.05711363251478011, -0.17841634894718467],
            -1.119272651001789,
        ),
        (
            mean,
            [-0.07864408669868139, 0.057407089840103676, -0.17424722692899985],
            -1.122274792909981,
        ),
    ] {
        let shapley = Shapley::default().value_function(likelihood).baseline(baseline);
        let found = shapley.measure(&student, &batches).unwrap();
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} against {b}");
        for (m, phi) in phi.into_iter().enumerate() {
            close(value(&found, "shapley", &format!("m{m}")), phi);
        }
        close(model_value(&found, "worth_all"), -1.3177590166975586);
        close(model_value(&found, "worth_none"), none);
        let rates = found.iter().filter(|m| m.metric == "utilisation_rate").count();
        assert_eq!(rates, 0, "a negative value has no utilisation rate");
    }
}

#[test]
fn shapley_values_add_up_for_any_number_of_modalities() {
    for k in 2..=5 {
        let student = Tiny::linear(k);
        let before = values(&student.vs);
        let batches = [student.batch(9, 0.3), student.batch(4, 7.0)];
        for baseline in [Baseline::ZeroInput, Baseline::ZeroFeatures] {
            let shapley = Shapley::default().baseline(baseline);
            let found = shapley.measure(&student, &batches).unwrap();
            let sum: f64 = (0..k).map(|m| value(&found, "shapley", &format!("m{m}"))).sum();
            let spread = model_value(&found, "worth_all") - model_value(&found, "worth_none");
            assert!((sum - spread).abs() < 1e-12, "{sum} against {spread}");
        }
        assert_same(&before, &values(&student.vs));
    }
}

#[test]
fn the_utilisation_rate_is_the_relative_loss_without_the_modality() {
    let student = IdentityStudent::new(2);
    let batch = student.batch(9, 0.3);
    let shapley = Shapley::default().baseline(Baseline::ZeroFeatures);
    let found = shapley.measure(&student, &[batch]).unwrap();
    let batch = student.batch(9, 0.3);
    let accuracy = |keep: [f64; 2]| {
        let features: Vec<_> = (0..2).map(|m| batch.input(m) * keep[m]).collect();
        let logits = fuse(&student, &features, &batch, false);
        metrics::accuracy(&logits, batch.targets()).unwrap()
    };
    let all = accuracy([1.0, 1.0]);
    assert_ne!(all, 0.0);
    for (m, keep) in [[0.0, 1.0], [1.0, 0.0]].into_iter().enumerate() {
        let rate = (all - accuracy(keep)) / all;
        assert_number(value(&found, "utilisation_rate", &format!("m{m}")), rate);
    }
}

#[test]
fn samples_without_a_modality_are_left_out_of_shapley_values() {
    let student = IdentityStudent::new(2);
    let complete = student.batch(4, 0.0);
    let incomplete = student
        .batch(6, 0.0)
        .with_ids([1, 2, 3, 4, 5, 6])
        .with_present(0, [true, true, true, true, false, true])
        .with_present(1, [true, true, true, true, true, false]);
    let shapley = Shapley::default().value_function(likelihood);
    let found = shapley.measure(&student, &[incomplete]).unwrap();
    assert_eq!(found, shapley.measure(&student, &[complete]).unwrap());
    assert_mismatch(shapley.measure(&student, &[]), &["held-out batches", "every modality"]);
    let invalid = Shapley::default().baseline(Baseline::Input(vec![wave(0.0, &[4])]));
    assert_mismatch(invalid.measure(&student, &[student.batch(6, 0.0)]), &["Baseline::Input"]);
    let wide = vec![wave(0.0, &[4]), wave(0.0, &[5])];
    let invalid = Shapley::default().baseline(Baseline::Input(wide));
    assert_mismatch(
        invalid.measure(&student, &[student.batch(6, 0.0)]),
        &["Baseline::Input", "[5]"],
    );
}

// mu = X.mean(0); sd = X.std(0); Z = (X-mu)/sd; Y = np.eye(3)[y]; yb = Y.mean(0)
// W = np.linalg.solve(Z.T@Z/n + .01*np.eye(4), Z.T@(Y-yb)/n); P = ((A-mu)/sd)@W + yb
// -np.mean((P - np.eye(3)[t])**2), with X = wave(10*m, n, 4), y = np.arange(n) % 3,
//  A = wave(5+10*m, 7, 4), t = np.arange(7) % 3, for n of 9 and 3; g2d solves the dual problem for n = 3
#[test]
fn linear_probes_agree_with_numpy() {
    let student = IdentityStudent::new(2);
    let brier = |p: &Tensor, y: &Tensor| {
        Ok(-(p - y.one_hot(3)).square().mean(Kind::Double).double_value(&[]))
    };
    let test = [student.batch(7, 5.0)];
    for (n, expected) in [
        (9, [-0.23559212429064055, -0.23562262455775498]),
        (3, [-0.5034782772553992, -0.5032964505089863]),
    ] {
        let probe = LinearProbe::default().value_function(brier);
        let found = probe.measure(&student, &[student.batch(n, 0.0)], &test).unwrap();
        for (m, expected) in expected.into_iter().enumerate() {
            let found = value(&found, "linear_probe", &format!("m{m}"));
            assert!((found - expected).abs() < 1e-10, "{found} against {expected}");
        }
    }
    // P.argmax(1) == t in 3 of 7 rows.
    let fit = [student.batch(9, 0.0)];
    let found = LinearProbe::default().measure(&student, &fit, &test).unwrap();
    assert_number(value(&found, "linear_probe", "m0"), 3.0 / 7.0);
    assert_mismatch(LinearProbe::with_ridge(0.0), &["λ", "above 0"]);
}

#[test]
fn linear_probes_fit_values_and_ignore_constant_columns() {
    let student = IdentityStudent::new(2);
    let x = wave(0.0, &[8, 4]);
    let constant =
        Tensor::cat(&[x.narrow(1, 0, 3), Tensor::ones([8, 1], (Kind::Double, Device::Cpu))], 1);
    let y = x.narrow(1, 0, 3).matmul(&wave(1.0, &[3, 1])).squeeze_dim(1) + 4.0;
    let batch = || [Batch::new([constant.copy(), x.copy()], y.copy())];
    let probe = LinearProbe::with_ridge(1e-9).unwrap().value_function(metrics::r2);
    let found = probe.measure(&student, &batch(), &batch()).unwrap();
    for m in ["m0", "m1"] {
        assert!((value(&found, "linear_probe", m) - 1.0).abs() < 1e-6);
    }
}

#[test]
fn predictions_and_features_that_are_not_finite_or_have_no_element_are_errors() {
    let student = Tiny::linear(2);
    let batches = [student.batch(6, 0.0)];
    let nan = ModifiedStudent::with_logits(&student, |logits| logits * f64::NAN);
    let any = |_: &Tensor, _: &Tensor| Ok(0.5);
    let shapley = Shapley::default().value_function(any);
    assert_mismatch(shapley.measure(&nan, &batches), &["predictions of a coalition", "row 0"]);
    let empty = ModifiedStudent::with_features(&student, |_, x| x.narrow(1, 0, 0));
    let words = ["features of modality \"m0\"", "[6, d, …]", "[6, 0]"];
    assert_mismatch(Shapley::default().measure(&empty, &batches), &words);
    assert_mismatch(LinearProbe::default().measure(&empty, &batches, &batches), &words);
    let nan = LinearProbe::default().value_function(|_, _| Ok(f64::NAN));
    assert_mismatch(nan.measure(&student, &batches, &batches), &["linear probe", "NaN"]);
    // Batches with another number of inputs than the first.
    let short = Batch::new([wave(0.0, &[6, 5])], batches[0].targets().shallow_clone());
    assert_mismatch(Baseline::from_mean(&[student.batch(6, 0.0), short]), &["index of a modality"]);
    let none = Batch::new([wave(0.0, &[0, 5])], Tensor::from_slice::<i64>(&[]));
    assert_mismatch(Baseline::from_mean(&[none]), &["at least one sample"]);
}

#[test]
fn held_out_measures_of_several_labels_per_sample_count_right_labels() {
    let student = IdentityStudent::new(2);
    let batch = |rows: i64, seed: f64| {
        let batch = student.batch(rows, seed);
        // Two labels that a linear model of m0 predicts, and one that it does not.
        let signs = batch.input(0).narrow(1, 0, 2).gt(0.0);
        let sets = Tensor::cat(&[signs, wave(seed, &[rows, 1]).gt(0.0)], 1);
        with_targets(&batch, sets.to_kind(Kind::Float))
    };
    let (fit, test) = ([batch(40, 0.0)], [batch(30, 0.5)]);
    let found = LinearProbe::default().measure(&student, &fit, &test).unwrap();
    let [own, other] = ["m0", "m1"].map(|m| value(&found, "linear_probe", m));
    assert!(own > 0.75 && (0.0..=1.0).contains(&other), "{own} {other}");
    let found = Shapley::default().measure(&student, &test).unwrap();
    let logits = g2d::evaluate(&student, test.map(Ok)).unwrap();
    assert_number(model_value(&found, "worth_all"), logits.accuracy().unwrap());
}
