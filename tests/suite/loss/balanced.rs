//! The terms of balanced training against formulas written in elementary operations, in float64 to 1e-12.

use g2d::{
    G2dLoss, Modality, PerModality, TeacherOutput,
    batch::Rows,
    loss::{
        self, Classification, Distillation, EnsembleTerm, HeadTarget, HeadTerm, Input, Regression,
    },
};
use tch::{Kind, Tensor};

use crate::support::{
    assert_close, assert_config_error, assert_mismatch, assert_number, names, rows_having, wave,
};

const B: i64 = 5;
const C: i64 = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Task {
    Single,
    Multi,
    Regression,
}

const TASKS: [Task; 3] = [Task::Single, Task::Multi, Task::Regression];

fn sum(x: Tensor) -> Tensor {
    x.sum(Kind::Double)
}

impl Task {
    fn loss(self, distillation: Distillation) -> Box<dyn G2dLoss> {
        match self {
            Self::Single => Box::new(Classification::new(distillation)),
            Self::Multi => Box::new(Classification::multi_label(distillation)),
            Self::Regression => Box::new(Regression::new(distillation)),
        }
    }

    fn targets(self) -> Tensor {
        let classes = Tensor::from_slice(&[2_i64, 0, 3, 1, 2]);
        match self {
            Self::Single => classes,
            Self::Multi => classes.one_hot(C).to_kind(Kind::Double),
            Self::Regression => wave(0.8, &[B, C]),
        }
    }

    /// L_S.
    fn task(self, z: &Tensor, y: &Tensor) -> Tensor {
        let n = z.size()[0] as f64;
        match self {
            Self::Single => {
                -sum((softmax(z) * y.one_hot(C)).sum_dim_intlist(1, false, None).log()) / n
            }
            Self::Multi => {
                let log_p: Tensor = y * sigmoid(z).log() + (1.0 - y) * sigmoid(&-z).log();
                -log_p.mean(None)
            }
            Self::Regression => (z - y).square().mean(None),
        }
    }

    /// T² KL(σ(t / T) ‖ σ(s / T)), or the squared error.
    fn divergence(self, t: &Tensor, s: &Tensor, temperature: f64) -> Tensor {
        let scale = temperature * temperature / s.size()[0] as f64;
        let kl = |p: &Tensor, q: &Tensor| sum(p * (p / q).log()) * scale;
        let (t, s) = (t / temperature, s / temperature);
        match self {
            Self::Single => kl(&softmax(&t), &softmax(&s)),
            Self::Multi => kl(&sigmoid(&t), &sigmoid(&s)) + kl(&sigmoid(&-t), &sigmoid(&-s)),
            Self::Regression => (s - t).square().mean(None) * temperature * temperature,
        }
    }
}

fn softmax(x: &Tensor) -> Tensor {
    x.exp() / x.exp().sum_dim_intlist(1, true, None)
}

fn sigmoid(x: &Tensor) -> Tensor {
    1.0 / (1.0 + (-x).exp())
}

/// A student and teachers of three modalities; `present[m]` are the rows that have m.
struct Case {
    modalities: Vec<Modality>,
    present: [Vec<bool>; 3],
    rows: Vec<Rows>,
    logits: Tensor,
    features: Vec<Tensor>,
    /// Of all rows, with gradient.
    heads: Vec<Tensor>,
    /// The logits of the present rows.
    teachers: Vec<Tensor>,
}

impl Case {
    fn new(present: [Vec<bool>; 3]) -> Self {
        let rows: Vec<_> = present.iter().map(|flags| rows_having(flags)).collect();
        let leaf = |phase: f64, width| wave(phase, &[B, width]).set_requires_grad(true);
        let teachers =
            (0..3).map(|m| rows[m].select(&(wave(0.6 + m as f64, &[B, C]) * 3.0)).unwrap());
        let teachers = teachers.collect();
        Self {
            modalities: names(3),
            logits: wave(0.1, &[B, C]).set_requires_grad(true),
            features: (0..3).map(|m| leaf(0.2 + m as f64, 2)).collect(),
            heads: (0..3).map(|m| leaf(0.4 + 2.0 * m as f64, C)).collect(),
            teachers,
            present,
            rows,
        }
    }

    fn whole() -> Self {
        Self::new([(); 3].map(|()| vec![true; B as usize]))
    }

    /// m0 is complete, m1 partial, m2 missing in all rows or partial.
    fn partial(m2: [bool; 5]) -> Self {
        Self::new([vec![true; 5], vec![true, false, true, false, true], m2.to_vec()])
    }

    fn outputs(&self) -> Vec<Option<TeacherOutput>> {
        let output = |m: usize| {
            let features = self.rows[m].select(&wave(0.3 + m as f64, &[B, 2])).unwrap();
            TeacherOutput { features, logits: self.teachers[m].shallow_clone(), host: None }
        };
        (0..3).map(|m| (!self.rows[m].is_missing()).then(|| output(m))).collect()
    }

    fn unimodal(&self) -> Vec<Option<Tensor>> {
        let own = |m: usize| (!self.rows[m].is_missing()).then(|| self.heads[m].shallow_clone());
        (0..3).map(own).collect()
    }

    fn terms(&self, loss: &dyn G2dLoss, targets: &Tensor) -> g2d::Result<loss::Terms> {
        self.terms_of(loss, targets, &self.outputs(), &self.unimodal())
    }

    fn terms_of(
        &self,
        loss: &dyn G2dLoss,
        targets: &Tensor,
        teachers: &[Option<TeacherOutput>],
        unimodal: &[Option<Tensor>],
    ) -> g2d::Result<loss::Terms> {
        loss.check(&self.modalities).unwrap();
        loss.terms(&Input {
            modalities: &self.modalities,
            logits: &self.logits,
            features: &self.features,
            teachers,
            unimodal,
            rows: &self.rows,
            targets,
        })
    }
}

fn head(target: HeadTarget) -> HeadTerm {
    HeadTerm { weight: [0.5, 2.0, 1.0].into(), temperature: [1.0, 4.0, 2.5].into(), target }
}

fn ensemble() -> EnsembleTerm {
    EnsembleTerm { weight: 0.7, temperature: 3.0, teacher_temperature: [0.5, 2.0, 1.5].into() }
}

fn number(tensor: &Tensor) -> f64 {
    tensor.double_value(&[])
}

#[test]
fn head_terms_compare_each_head_with_its_teacher_or_the_labels() {
    for (task, target) in
        TASKS.iter().flat_map(|t| [(*t, HeadTarget::Teacher), (*t, HeadTarget::Labels)])
    {
        for case in [
            Case::whole(),
            Case::partial([false; 5]),
            Case::partial([false, true, true, false, true]),
        ] {
            let y = task.targets();
            let head = head(target);
            let distillation = Distillation { head: Some(head.clone()), ..Distillation::none() };
            let terms = case.terms(&*task.loss(distillation), &y).unwrap();
            let mut total = task.task(&case.logits, &y);
            assert_number(number(&terms.task), number(&total));
            assert_eq!((terms.head.len(), terms.ensemble.is_none()), (3, true));
            for m in 0..3 {
                assert_eq!(terms.head[m].is_some(), case.present[m].contains(&true));
                let Some(found) = &terms.head[m] else { continue };
                let own = case.rows[m].select(&case.heads[m]).unwrap();
                let temperature =
                    if task == Task::Regression { 1.0 } else { head.temperature.get(m) };
                let expected = match target {
                    HeadTarget::Teacher => task.divergence(&case.teachers[m], &own, temperature),
                    HeadTarget::Labels => task.task(&own, &case.rows[m].select(&y).unwrap()),
                };
                assert_number(number(found), number(&expected));
                total += expected * head.weight.get(m);
            }
            assert_number(number(&terms.total), number(&total));
            let leaves: Vec<_> = (0..3).filter(|&m| terms.head[m].is_some()).collect();
            let leaves: Vec<_> =
                leaves.iter().map(|&m| &case.heads[m]).chain([&case.logits]).collect();
            let [found, expected] = [&terms.total, &total]
                .map(|total| Tensor::run_backward(&[total], &leaves, true, false));
            found.iter().zip(&expected).for_each(|(a, b)| assert_close(a, b));
        }
    }
}

#[test]
fn the_ensemble_term_compares_the_fused_logits_with_the_calibrated_sum_of_the_teachers() {
    for task in [Task::Single, Task::Multi] {
        for case in [
            Case::whole(),
            Case::partial([false; 5]),
            Case::partial([false, true, true, false, true]),
        ] {
            let y = task.targets();
            let distillation = Distillation { ensemble: Some(ensemble()), ..Distillation::none() };
            let terms = case.terms(&*task.loss(distillation), &y).unwrap();
            // Row by row: the teachers of the modalities that the row has.
            let mut taken = [0; 3];
            let rows: Vec<Tensor> = (0..B as usize)
                .map(|row| {
                    let mut sum = Tensor::zeros([C], tch::kind::DOUBLE_CPU);
                    for (m, taken) in taken.iter_mut().enumerate() {
                        if case.present[m][row] {
                            let t = ensemble().teacher_temperature.get(m);
                            sum += case.teachers[m].get(*taken) / t;
                            *taken += 1;
                        }
                    }
                    sum
                })
                .collect();
            let expected = task.divergence(&Tensor::stack(&rows, 0), &case.logits, 3.0);
            let found = terms.ensemble.unwrap();
            assert_number(number(&found), number(&expected));
            assert!(terms.head.is_empty());
            assert_number(number(&terms.total), number(&terms.task) + 0.7 * number(&found));
            let leaf = [&case.logits];
            let [a, b] =
                [&found, &expected].map(|t| Tensor::run_backward(&[t], &leaf, true, false));
            assert_close(&a[0], &b[0]);
        }
    }
}

/// Σ_m KL(p_m ‖ s) at T = 1 is k CE(mean p, s) and a constant: the published logit terms distil the
/// ensemble of probabilities.
#[test]
fn at_temperature_1_the_logit_terms_distil_the_mean_of_the_teachers_probabilities() {
    let case = Case::whole();
    let loss = Task::Single.loss(Distillation { alpha: 0.0, ..Distillation::default() });
    let mean = case.teachers.iter().map(softmax).sum::<Tensor>() / 3.0;
    let logit_terms = |case: &Case| {
        let terms = case.terms(&*loss, &Task::Single.targets()).unwrap();
        terms.logit.into_iter().flatten().sum::<Tensor>()
    };
    let cross_entropy = |s: &Tensor| -sum(&mean * softmax(s).log()) / B as f64;
    let mut constants = Vec::new();
    for phase in [0.1, 2.0, 5.0] {
        let mut case = Case::whole();
        case.logits = (wave(phase, &[B, C]) * (phase + 1.0)).set_requires_grad(true);
        let found = logit_terms(&case);
        let expected = cross_entropy(&case.logits) * 3.0;
        constants.push(number(&found) - number(&expected));
        let leaf = [&case.logits];
        let [a, b] = [found, expected].map(|t| Tensor::run_backward(&[t], &leaf, true, false));
        assert_close(&a[0], &b[0]);
    }
    assert!(constants.iter().all(|c| (c - constants[0]).abs() < 1e-12), "{constants:?}");
    assert!(constants[0] < 0.0, "minus the entropies of the teachers");
}

#[test]
fn balanced_training_has_feature_and_head_terms_alone() {
    let case = Case::whole();
    for task in TASKS {
        let terms = case.terms(&*task.loss(Distillation::balanced()), &task.targets()).unwrap();
        assert!(terms.logit.iter().all(Option::is_none) && terms.ensemble.is_none());
        let mut total = number(&terms.task);
        for m in 0..3 {
            let temperature = if task == Task::Regression { 1.0 } else { 4.0 };
            let expected = task.divergence(&case.teachers[m], &case.heads[m], temperature);
            assert_number(number(terms.head[m].as_ref().unwrap()), number(&expected));
            total += number(&expected) + number(terms.feature[m].as_ref().unwrap());
        }
        assert_number(number(&terms.total), total);
    }
    let head =
        HeadTerm { temperature: 4.0.into(), weight: 1.0.into(), target: HeadTarget::Teacher };
    assert_eq!(HeadTerm::default(), head);
    let expected = Distillation { head: Some(head), ..Distillation::features_only() };
    assert_eq!(Distillation::balanced(), expected);
}

#[test]
fn terms_are_none_without_what_they_compare() {
    let case = Case::whole();
    let all = |target| Distillation {
        head: Some(head(target)),
        ensemble: Some(ensemble()),
        ..Distillation::none()
    };
    let y = Task::Single.targets();
    let is_some = |terms: &loss::Terms| -> Vec<bool> {
        terms.head.iter().chain([&terms.ensemble]).map(Option::is_some).collect()
    };
    let terms = |d: Distillation, teachers: &[_], unimodal: &[_]| {
        let terms = case.terms_of(&*Task::Single.loss(d), &y, teachers, unimodal).unwrap();
        let parts = terms.head.iter().chain([&terms.ensemble]).flatten().map(number);
        assert!(parts.count() > 0 || number(&terms.total) == number(&terms.task));
        is_some(&terms)
    };
    let (teachers, heads) = (case.outputs(), case.unimodal());
    let [taught, labelled] = [HeadTarget::Teacher, HeadTarget::Labels].map(all);
    assert_eq!(terms(taught.clone(), &teachers, &heads), [true; 4]);
    assert_eq!(terms(taught.clone(), &[], &heads), [false; 4]);
    assert_eq!(terms(labelled.clone(), &[], &heads), [true, true, true, false]);
    assert_eq!(terms(labelled, &teachers, &[]), [false, false, false, true]);
    let mut weighted = taught;
    weighted.head.as_mut().unwrap().weight = [1.0, 0.0, 1.0].into();
    weighted.ensemble.as_mut().unwrap().weight = 0.0;
    assert_eq!(terms(weighted, &teachers, &heads), [true, false, true, false]);
}

#[test]
fn a_loss_needs_unimodal_logits_for_head_terms_with_a_weight() {
    for task in TASKS {
        let needs = |weight: Option<PerModality<f64>>| {
            let head = weight.map(|weight| HeadTerm { weight, ..HeadTerm::default() });
            task.loss(Distillation { head, ..Distillation::default() }).needs_unimodal_logits()
        };
        assert!(needs(Some(1.0.into())) && needs(Some([0.0, 2.0].into())));
        assert!(!needs(None) && !needs(Some(0.0.into())) && !needs(Some([0.0, 0.0].into())));
    }
}

#[test]
fn heads_and_teachers_that_do_not_match_are_errors() {
    let case = Case::whole();
    let y = Task::Single.targets();
    let found = |d: Distillation, change: fn(&mut TeacherOutput)| {
        let mut teachers = case.outputs();
        change(teachers[1].as_mut().unwrap());
        case.terms_of(&*Task::Single.loss(d), &y, &teachers, &case.unimodal())
    };
    let narrow: fn(&mut TeacherOutput) = |t| t.logits = t.logits.narrow(1, 0, 3);
    let single: fn(&mut TeacherOutput) = |t| t.logits = t.logits.to_kind(Kind::Float);
    let heads = || Distillation { head: Some(HeadTerm::default()), ..Distillation::none() };
    let sum = || Distillation { ensemble: Some(ensemble()), ..Distillation::none() };
    let words = ["unimodal logits of student and teacher \"m1\"", "[5, 3]", "[5, 4]"];
    assert_mismatch(found(heads(), narrow), &words);
    assert_mismatch(found(heads(), single), &[words[0], "Double", "Float"]);
    assert_mismatch(found(sum(), narrow), &["logits of student and teacher \"m1\"", "[5, 3]"]);
    assert_mismatch(found(sum(), single), &["logits of student and teacher \"m1\"", "Float"]);
}

#[test]
fn settings_out_of_range_are_errors() {
    type Set = fn(&mut HeadTerm, &mut EnsembleTerm, f64);
    let settings: [(&str, Set, &[f64]); 5] = [
        ("head.weight", |h, _, x| h.weight = [1.0, x].into(), &[-1.0, f64::NAN, f64::INFINITY]),
        ("head.temperature", |h, _, x| h.temperature = x.into(), &[0.0, -1.0, f64::NAN]),
        ("ensemble.weight", |_, e, x| e.weight = x, &[-1.0, f64::NAN, f64::INFINITY]),
        ("ensemble.temperature", |_, e, x| e.temperature = x, &[0.0, -1.0, f64::INFINITY]),
        (
            "ensemble.teacher_temperature",
            |_, e, x| e.teacher_temperature = [x, 1.0].into(),
            &[0.0, f64::NAN],
        ),
    ];
    for (name, set, values) in settings {
        for value in values {
            let (mut head, mut ensemble) = (HeadTerm::default(), EnsembleTerm::default());
            set(&mut head, &mut ensemble, *value);
            let d = Distillation {
                head: Some(head),
                ensemble: Some(ensemble),
                ..Distillation::default()
            };
            let loss = Task::Single.loss(d);
            assert_config_error(loss.check(&names(2)), &[name, "finite", &value.to_string()]);
        }
    }
    let head = HeadTerm { weight: [1.0; 3].into(), ..HeadTerm::default() };
    let d = Distillation { head: Some(head), ..Distillation::default() };
    let words = ["head.weight", "2, one for each", "found 3"];
    assert_config_error(Task::Multi.loss(d).check(&names(2)), &words);
    let d = Distillation { ensemble: Some(EnsembleTerm::default()), ..Distillation::default() };
    let words = ["ensemble term of a regression", "found one", "classes"];
    assert_config_error(Task::Regression.loss(d).check(&names(2)), &words);
}
