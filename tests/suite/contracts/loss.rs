//! The contract of `G2dLoss`.

use g2d::{
    Error, G2dLoss, Modality, PerModality, TeacherOutput,
    batch::{Extras, Rows},
    loss::{
        self, Classification, Distillation, EnsembleTerm, FeatureReduction, HeadTarget, HeadTerm,
        Regression,
    },
};
use tch::{Kind, Tensor};

use crate::support::{all_present, assert_mismatch, assert_number, names, wave};

const ROWS: i64 = 4;
const COLUMNS: i64 = 3;

/// A constructor of a loss, whether it has an ensemble term, valid targets, logits that predict them well, and invalid targets.
struct Subject {
    new: fn(Distillation) -> Box<dyn G2dLoss>,
    ensemble: bool,
    targets: Tensor,
    correct: Tensor,
    wrong_kind: Tensor,
    wrong_shape: Tensor,
}

fn subjects() -> [Subject; 3] {
    let classes = Tensor::from_slice(&[0_i64, 2, 1, 2]);
    let one_hot = classes.one_hot(COLUMNS).to_kind(Kind::Double);
    [
        Subject {
            new: |d| Box::new(Classification::new(d)),
            ensemble: true,
            targets: classes.copy(),
            correct: &one_hot * 5.0,
            wrong_kind: classes.to_kind(Kind::Double),
            wrong_shape: classes.unsqueeze(1),
        },
        Subject {
            new: |d| Box::new(Classification::multi_label(d)),
            ensemble: true,
            targets: one_hot.copy(),
            correct: (&one_hot * 2.0 - 1.0) * 5.0,
            wrong_kind: classes.one_hot(COLUMNS),
            wrong_shape: one_hot.slice(1, 0, 2, 1),
        },
        Subject {
            new: |d| Box::new(Regression::new(d)),
            ensemble: false,
            targets: one_hot.copy(),
            correct: &one_hot + 0.01,
            wrong_kind: classes.one_hot(COLUMNS),
            wrong_shape: one_hot.slice(0, 0, 3, 1),
        },
    ]
}

/// The tensors of k modalities in a dtype; those of the student require gradients.
struct Inputs {
    modalities: Vec<Modality>,
    logits: Tensor,
    features: Vec<Tensor>,
    unimodal: Vec<Tensor>,
    teachers: Vec<TeacherOutput>,
}

fn inputs(k: usize, kind: Kind) -> Inputs {
    let leaf = |phase, shape: &[i64]| wave(phase, shape).to_kind(kind).set_requires_grad(true);
    let phase = |m: usize| 0.1 + m as f64;
    let teacher = |m| TeacherOutput {
        features: wave(phase(m), &[ROWS, 2 + m as i64]).to_kind(kind),
        logits: wave(0.6 + phase(m), &[ROWS, COLUMNS]).to_kind(kind),
        host: None,
    };
    Inputs {
        modalities: names(k),
        logits: leaf(0.4, &[ROWS, COLUMNS]),
        features: (0..k).map(|m| leaf(0.9 + phase(m), &[ROWS, 2 + m as i64])).collect(),
        unimodal: (0..k).map(|m| leaf(1.7 + phase(m), &[ROWS, COLUMNS])).collect(),
        teachers: (0..k).map(teacher).collect(),
    }
}

impl Inputs {
    fn terms(&self, loss: &dyn G2dLoss, targets: &Tensor) -> g2d::Result<loss::Terms> {
        loss.terms(&loss::Input {
            modalities: &self.modalities,
            logits: &self.logits,
            features: &self.features,
            teachers: &all_present(&self.teachers),
            unimodal: &self.unimodal.iter().map(|z| Some(z.shallow_clone())).collect::<Vec<_>>(),
            rows: &Rows::all(self.modalities.len()),
            targets,
            extras: &Extras::default(),
        })
    }
}

fn number(tensor: &Tensor) -> f64 {
    tensor.double_value(&[])
}

fn each(values: Vec<f64>) -> PerModality<f64> {
    PerModality::Each(values)
}

/// Every term that `subject` has, with weights and temperatures.
fn weighted(subject: &Subject, k: usize) -> Distillation {
    let head = HeadTerm {
        weight: each((0..k).map(|m| 1.5 - 0.2 * m as f64).collect()),
        temperature: each((0..k).map(|m| 4.0 - m as f64 * 0.5).collect()),
        target: HeadTarget::Teacher,
    };
    let ensemble = EnsembleTerm { weight: 0.6, temperature: 2.0, teacher_temperature: 3.0.into() };
    Distillation {
        task_weight: 1.3,
        alpha: 0.7,
        beta: 1.9,
        feature_weight: each((0..k).map(|m| 0.5 + m as f64).collect()),
        logit_weight: each((0..k).map(|m| 2.0 - 0.4 * m as f64).collect()),
        temperature: each((0..k).map(|m| 0.5 + m as f64).collect()),
        feature_reduction: FeatureReduction::SquaredNorm,
        head: Some(head),
        ensemble: subject.ensemble.then_some(ensemble),
    }
}

#[test]
fn the_total_is_the_weighted_sum_of_the_terms() {
    for subject in subjects() {
        for k in [2, 3, 5] {
            let d = weighted(&subject, k);
            let loss = (subject.new)(d.clone());
            loss.check(&names(k)).unwrap();
            let inputs = inputs(k, Kind::Double);
            let terms = inputs.terms(&*loss, &subject.targets).unwrap();
            let mut sum = d.task_weight * number(&terms.task);
            assert_eq!((terms.feature.len(), terms.logit.len(), terms.head.len()), (k, k, k));
            assert_eq!(terms.ensemble.is_some(), subject.ensemble);
            let (head, ensemble) = (d.head.as_ref().unwrap(), d.ensemble.as_ref());
            let weight = ensemble.map_or(0.0, |ensemble| ensemble.weight);
            sum += weight * terms.ensemble.as_ref().map_or(0.0, number);
            for m in 0..k {
                let feature = number(terms.feature[m].as_ref().unwrap());
                let logit = number(terms.logit[m].as_ref().unwrap());
                let unimodal = number(terms.head[m].as_ref().unwrap());
                let positive = feature > 0.0 && logit > 0.0 && unimodal > 0.0;
                assert!(positive, "student and teachers differ");
                sum += head.weight.get(m) * unimodal;
                sum += d.alpha * d.feature_weight.get(m) * feature;
                sum += d.beta * d.logit_weight.get(m) * logit;
            }
            assert_number(number(&terms.total), sum);
            let second = inputs.terms(&*loss, &subject.targets).unwrap();
            assert_eq!(number(&second.total), number(&terms.total), "a loss has no state");
        }
    }
}

#[test]
fn the_total_is_a_scalar_connected_to_the_student_s_features_and_logits() {
    for subject in subjects() {
        for kind in [Kind::Double, Kind::Float] {
            let mut inputs = inputs(2, kind);
            for teacher in &mut inputs.teachers {
                teacher.logits = teacher.logits.set_requires_grad(true);
                teacher.features = teacher.features.set_requires_grad(true);
            }
            let targets = match subject.targets.is_floating_point() {
                true => subject.targets.to_kind(kind),
                false => subject.targets.copy(),
            };
            let loss = (subject.new)(weighted(&subject, 2));
            let terms = inputs.terms(&*loss, &targets).unwrap();
            assert_eq!(terms.total.size(), [0_i64; 0]);
            assert_eq!(terms.total.kind(), kind, "computed in the dtype of the logits");
            terms.total.backward();
            for leaf in inputs.features.iter().chain(&inputs.unimodal).chain([&inputs.logits]) {
                assert!(leaf.grad().defined() && number(&leaf.grad().abs().sum(kind)) > 0.0);
            }
            let terms = terms.head.iter().chain([&terms.ensemble]).flatten();
            terms.for_each(|term| assert_eq!((term.kind(), term.dim()), (kind, 0)));
            let rho = loss.confidence(&inputs.teachers[0].logits.detach(), &targets).unwrap();
            assert_eq!((rho.kind(), rho.dim()), (kind, 0));
        }
    }
}

#[test]
fn float_targets_of_another_dtype_that_pass_the_check_work_in_backward() {
    for subject in subjects().iter().filter(|s| s.targets.is_floating_point()) {
        let (inputs, loss) = (inputs(2, Kind::Float), (subject.new)(Distillation::default()));
        if loss.check_targets(&inputs.logits.size(), &subject.targets).is_ok() {
            let terms = inputs.terms(&*loss, &subject.targets).unwrap();
            assert_eq!(terms.total.kind(), Kind::Float, "computed in the dtype of the logits");
            terms.total.f_backward().unwrap();
            let rho = loss.confidence(&inputs.teachers[0].logits, &subject.targets).unwrap();
            assert_eq!(rho.kind(), Kind::Float, "computed in the dtype of the logits");
        }
    }
}

#[test]
fn terms_of_weight_zero_are_not_computed() {
    for subject in subjects() {
        let inputs = inputs(3, Kind::Double);
        let d = Distillation {
            feature_weight: each(vec![1.0, 0.0, 1.0]),
            logit_weight: each(vec![0.0, 1.0, 1.0]),
            ..Distillation::default()
        };
        let terms = inputs.terms(&*(subject.new)(d), &subject.targets).unwrap();
        let computed = |t: &[Option<Tensor>]| t.iter().map(Option::is_some).collect::<Vec<_>>();
        assert_eq!(computed(&terms.feature), [true, false, true]);
        assert_eq!(computed(&terms.logit), [false, true, true]);

        let terms = inputs.terms(&*(subject.new)(Distillation::none()), &subject.targets).unwrap();
        assert!(terms.feature.iter().chain(&terms.logit).all(Option::is_none));
        assert_eq!(number(&terms.total), number(&terms.task));

        let only = (subject.new)(Distillation::features_only());
        let terms = inputs.terms(&*only, &subject.targets).unwrap();
        assert_eq!(computed(&terms.feature), [true; 3]);
        assert_eq!(computed(&terms.logit), [false; 3]);
    }
}

#[test]
fn without_teachers_the_total_is_the_task_term() {
    for subject in subjects() {
        let mut inputs = inputs(2, Kind::Double);
        inputs.teachers.clear();
        let loss = (subject.new)(Distillation::default());
        let terms = inputs.terms(&*loss, &subject.targets).unwrap();
        assert_eq!(number(&terms.total), number(&terms.task));
        assert_eq!((terms.feature.len(), terms.logit.len()), (2, 2));
        assert!(terms.feature.iter().chain(&terms.logit).all(Option::is_none));
    }
}

#[test]
fn distillation_terms_are_zero_for_a_student_equal_to_its_teachers() {
    for subject in subjects() {
        let mut inputs = inputs(2, Kind::Double);
        for (m, teacher) in inputs.teachers.iter_mut().enumerate() {
            teacher.logits = inputs.logits.detach();
            teacher.features = inputs.features[m].detach();
            inputs.unimodal[m] = inputs.logits.detach();
        }
        let mut d = weighted(&subject, 2);
        // The ensemble of two equal teachers at temperature 2.
        let half = |ensemble: &mut EnsembleTerm| ensemble.teacher_temperature = 2.0.into();
        d.ensemble.as_mut().map(half);
        let loss = (subject.new)(d);
        let terms = inputs.terms(&*loss, &subject.targets).unwrap();
        let all = terms.feature.iter().chain(&terms.logit).chain(&terms.head);
        for term in all.chain(terms.ensemble.is_some().then_some(&terms.ensemble)) {
            assert!(number(term.as_ref().unwrap()).abs() < 1e-15);
        }
    }
}

#[test]
fn better_predictions_have_a_higher_confidence() {
    for subject in subjects() {
        let loss = (subject.new)(Distillation::default());
        let rho = |logits: &Tensor| number(&loss.confidence(logits, &subject.targets).unwrap());
        let correct = &subject.correct;
        let (good, fair, poor) = (rho(correct), rho(&(correct * 0.2)), rho(&-correct));
        assert!(1.0 >= good && good > fair && fair > poor && poor > 0.0, "{good} {fair} {poor}");
    }
}

#[test]
fn targets_of_a_wrong_dtype_or_shape_are_errors() {
    for subject in subjects() {
        let loss = (subject.new)(Distillation::default());
        let check = |targets: &Tensor| loss.check_targets(&[ROWS, COLUMNS], targets);
        check(&subject.targets).unwrap();
        let error = assert_mismatch(check(&subject.wrong_kind), &["targets", "convert"]);
        assert!(matches!(error, Error::Kind(_)));
        let found = format!("{:?}", subject.wrong_shape.size());
        let error = assert_mismatch(check(&subject.wrong_shape), &["targets", "[4", &found]);
        assert!(matches!(error, Error::Shape(_)));
    }
}

#[test]
fn student_and_teacher_of_different_shapes_or_dtypes_are_an_error() {
    for subject in subjects() {
        let loss = (subject.new)(Distillation::default());
        let mut narrow = inputs(2, Kind::Double);
        narrow.teachers[1].features = wave(0.0, &[ROWS, 1]);
        let words = ["features", "\"m1\"", "[4, 1]", "[4, 3]", "FeatureProjection"];
        let error = assert_mismatch(narrow.terms(&*loss, &subject.targets), &words);
        assert!(matches!(error, Error::Shape(_)));
        let mut narrow = inputs(2, Kind::Double);
        narrow.teachers[0].logits = wave(0.0, &[ROWS, 1]);
        let error = assert_mismatch(
            narrow.terms(&*loss, &subject.targets),
            &["logits", "\"m0\"", "[4, 1]"],
        );
        assert!(matches!(error, Error::Shape(_)));
        let mut single = inputs(2, Kind::Double);
        single.teachers[0].features = single.teachers[0].features.to_kind(Kind::Float);
        let error =
            assert_mismatch(single.terms(&*loss, &subject.targets), &["\"m0\"", "Double", "Float"]);
        assert!(matches!(error, Error::Kind(_)));
    }
}

#[test]
fn hyper_parameters_out_of_range_are_errors() {
    type Set = fn(&mut Distillation, f64);
    let settings: [(&str, Set, &[f64]); 5] = [
        ("alpha", |d, x| d.alpha = x, &[-1.0, f64::NAN, f64::INFINITY]),
        ("beta", |d, x| d.beta = x, &[-0.5, f64::NAN, f64::INFINITY]),
        ("feature_weight", |d, x| d.feature_weight = [1.0, x].into(), &[-1.0, f64::NAN]),
        ("logit_weight", |d, x| d.logit_weight = x.into(), &[-1.0, f64::INFINITY]),
        ("temperature", |d, x| d.temperature = [x, 1.0].into(), &[0.0, -1.0, f64::NAN]),
    ];
    for subject in subjects() {
        for (name, set, values) in &settings {
            for &value in *values {
                let mut d = Distillation::default();
                set(&mut d, value);
                let found = value.to_string();
                let error =
                    assert_mismatch((subject.new)(d).check(&names(2)), &[name, "finite", &found]);
                assert!(matches!(error, Error::Config(_)));
            }
        }
        let d = Distillation { temperature: [1.0, 2.0, 3.0].into(), ..Distillation::default() };
        assert_mismatch(
            (subject.new)(d).check(&names(2)),
            &["temperature", "2, one for each", "found 3"],
        );
    }
}
