//! A step against the same computed on the present rows alone, in float64 to 1e-12.

use g2d::{
    Batch, G2dLoss, Student, Teacher,
    loss::{Classification, Distillation, Regression},
    trainer::FeatureProjection,
};
use proptest::prelude::*;
use tch::{Kind, Reduction, Tensor, nn};

use super::{masked, rows};
use crate::support::{
    CLASSES, FixedKappa, Tiny, WIDTH, assert_close, assert_number, assert_same, fuse, fuzz_config,
    gradients, select_rows, values, wave, with_prefix, with_targets,
};

#[derive(Clone, Copy, Debug)]
enum Task {
    Classes,
    Labels,
    Values,
}

impl Task {
    fn loss(self, distillation: Distillation) -> Box<dyn G2dLoss> {
        match self {
            Self::Classes => Box::new(Classification::new(distillation)),
            Self::Labels => Box::new(Classification::multi_label(distillation)),
            Self::Values => Box::new(Regression::new(distillation)),
        }
    }

    /// The batch with targets of this task.
    fn with_targets(self, batch: Batch, present: &[Vec<bool>]) -> Batch {
        let rows = batch.size();
        let targets = match self {
            Self::Classes => batch.targets().shallow_clone(),
            Self::Labels => batch.targets().one_hot(CLASSES).to_kind(Kind::Double),
            Self::Values => wave(0.9, &[rows, CLASSES]),
        };
        let batch = with_targets(&batch, targets).with_ids(batch.ids().unwrap());
        present.iter().enumerate().fold(batch, |batch, (m, p)| batch.with_present(m, p.clone()))
    }

    fn task(self, logits: &Tensor, targets: &Tensor) -> Tensor {
        match self {
            Self::Classes => logits.log_softmax(-1, None::<Kind>).nll_loss(targets),
            Self::Labels => {
                let none = None::<Tensor>;
                let mean = Reduction::Mean;
                logits.binary_cross_entropy_with_logits(targets, none.as_ref(), none.as_ref(), mean)
            }
            Self::Values => (logits - targets).square().mean(None::<Kind>),
        }
    }

    fn logit(self, teacher: &Tensor, student: &Tensor) -> Tensor {
        let rows = student.size()[0] as f64;
        let kl = |t: Tensor, s: Tensor| (&t * (t.log() - s.log())).sum(Kind::Double) / rows;
        match self {
            Self::Classes => kl(teacher.softmax(-1, None), student.softmax(-1, None)),
            Self::Labels => {
                let (t, s) = (teacher.sigmoid(), student.sigmoid());
                kl(t.copy(), s.copy()) + kl(1.0 - t, 1.0 - s)
            }
            Self::Values => (student - teacher).square().mean(None::<Kind>),
        }
    }

    fn rho(self, teacher: &Tensor, targets: &Tensor) -> f64 {
        let rho = match self {
            Self::Classes => teacher.softmax(-1, None).gather(1, &targets.unsqueeze(1), false),
            Self::Labels => {
                (teacher.sigmoid() * targets) + (1.0 - teacher.sigmoid()) * (1.0 - targets)
            }
            Self::Values => {
                let variance = (targets - targets.mean(None::<Kind>)).square().mean(None::<Kind>);
                (-(teacher - targets).square().mean(None::<Kind>) / variance).exp()
            }
        };
        rho.mean(None::<Kind>).double_value(&[])
    }
}

/// The expected total, and L_feat, L_logit and ρ of each modality.
struct Expected {
    total: Tensor,
    each: Vec<Option<(f64, f64, f64)>>,
}

/// A step written without presence flags.
fn expected(student: &Tiny, batch: &Batch, present: &[Vec<bool>], task: Task) -> Expected {
    let full = |m: usize| {
        let own = rows(&present[m]);
        let zeros = || Tensor::zeros([WIDTH], (Kind::Double, tch::Device::Cpu));
        let features =
            (!own.is_empty()).then(|| student.encode(m, &select_rows(batch, &own), true).unwrap());
        let row = |row: i64| match own.iter().position(|&r| r == row) {
            Some(i) => features.as_ref().unwrap().get(i as i64),
            None => zeros(),
        };
        let each: Vec<_> = (0..batch.size()).map(row).collect();
        (Tensor::stack(&each, 0), features)
    };
    let (fused, encoded): (Vec<_>, Vec<_>) = (0..present.len()).map(full).unzip();
    let logits = fuse(student, &fused, batch, true);
    let mut total = task.task(&logits, batch.targets());
    let mut each = Vec::new();
    for (m, features) in encoded.into_iter().enumerate() {
        let Some(features) = features else {
            each.push(None);
            continue;
        };
        let own = rows(&present[m]);
        let part = select_rows(batch, &own);
        let teacher = student.teacher(m, WIDTH).0.output(m, &part).unwrap();
        let own_logits: Vec<_> = own.iter().map(|&row| logits.get(row)).collect();
        let feature = (features - &teacher.features).square().mean(None::<Kind>);
        let logit = task.logit(&teacher.logits, &Tensor::stack(&own_logits, 0));
        total = total + 0.7 * &feature + 1.3 * &logit;
        let rho = task.rho(&teacher.logits, part.targets());
        each.push(Some((feature.double_value(&[]), logit.double_value(&[]), rho)));
    }
    Expected { total, each }
}

/// Asserts that loss, terms, ρ and gradients of a step with these flags are as expected.
fn assert_agrees(task: Task, present: &[Vec<bool>], seed: f64) {
    let student = Tiny::linear(present.len());
    let batch = task.with_targets(masked(&student, seed, present), present);
    let distillation = Distillation { alpha: 0.7, beta: 1.3, ..Distillation::default() };
    let builder = student.builder_with_teachers(task.loss(distillation));
    let mut trainer = builder.build(&student).unwrap();
    let report = trainer.step(&student, &batch).unwrap();
    let (read, found) = (report.read().unwrap(), gradients(&student.vs));
    let counts: Vec<i64> = present.iter().map(|p| rows(p).len() as i64).collect();
    assert_eq!(report.present, counts);

    student.optimizer().zero_grad();
    let expected = expected(&student, &batch, present, task);
    expected.total.backward();
    assert_number(read.terms.total, expected.total.double_value(&[]));
    for (m, each) in expected.each.iter().enumerate() {
        let own = [read.terms.feature[m], read.terms.logit[m], read.confidence[m]];
        match each {
            None => assert_eq!((own, read.kappa[m]), ([None; 3], 0.0)),
            Some((feature, logit, rho)) => {
                for (own, expected) in own.into_iter().zip([feature, logit, rho]) {
                    // The expected KL divergence of near-equal distributions has cancellation.
                    approx::assert_relative_eq!(
                        own.unwrap(),
                        *expected,
                        max_relative = 1e-12,
                        epsilon = 1e-14
                    );
                }
                assert_eq!(read.kappa[m], 1.0);
            }
        }
    }
    let expected = gradients(&student.vs);
    assert!(found.keys().eq(expected.keys()), "{:?} {:?}", found.keys(), expected.keys());
    for (name, gradient) in &found {
        assert_close(gradient, &expected[name]);
    }
}

const YES: bool = true;
const NO: bool = false;

#[test]
fn a_step_with_missing_rows_agrees_with_the_present_rows() {
    let present = [vec![YES, NO, YES, YES], vec![NO, YES, YES, NO], vec![YES, YES, NO, NO]];
    for task in [Task::Classes, Task::Labels, Task::Values] {
        assert_agrees(task, &present, 0.4);
    }
}

#[test]
fn a_step_with_a_single_present_row_agrees_with_it() {
    let present = [vec![YES; 4], vec![NO, NO, YES, NO], vec![YES, YES, NO, YES]];
    for task in [Task::Classes, Task::Labels, Task::Values] {
        assert_agrees(task, &present, 0.4);
    }
}

#[test]
fn a_step_without_a_modality_agrees_with_the_other_modalities() {
    let present = [vec![YES, YES, NO, YES], vec![NO; 4], vec![YES, NO, YES, YES]];
    for task in [Task::Classes, Task::Labels, Task::Values] {
        assert_agrees(task, &present, 0.4);
    }
}

#[test]
fn a_step_of_one_sample_with_one_modality_agrees_with_it() {
    assert_agrees(Task::Classes, &[vec![NO], vec![YES], vec![NO]], 0.2);
}

/// Flags of 2 to 4 modalities and up to 6 rows, with at least one modality in each row.
fn flags() -> impl Strategy<Value = Vec<Vec<bool>>> {
    (2_usize..5, 1_usize..7).prop_flat_map(|(k, rows)| {
        let any = prop::collection::vec(prop::collection::vec(any::<bool>(), rows), k);
        (any, prop::collection::vec(0..k, rows)).prop_map(|(mut flags, present)| {
            present.into_iter().enumerate().for_each(|(row, m)| flags[m][row] = true);
            flags
        })
    })
}

proptest! {
    #![proptest_config(fuzz_config(32))]
    #[test]
    fn a_step_with_any_flags_agrees_with_the_present_rows(
        present in flags(), seed in 0.0..10.0_f64,
        task in prop_oneof![Just(Task::Classes), Just(Task::Labels), Just(Task::Values)],
    ) {
        assert_agrees(task, &present, seed);
    }
}

#[test]
fn flags_of_complete_samples_do_not_change_a_bit() {
    let run = |flags: bool| {
        let student = Tiny::conv(3);
        let kappa = FixedKappa(vec![1.0, 0.3, 0.0]);
        let builder = student.builder_with_teachers(Classification::default());
        let mut trainer = builder.scheduler(kappa).build(&student).unwrap();
        let batches = (0..3).map(|step| {
            let batch = student.batch(4, f64::from(step));
            let flagged = if flags { 0..3 } else { 0..0 };
            flagged.fold(batch, |batch, m| batch.with_present(m, [true; 4]))
        });
        let steps = student.train(&mut trainer, &mut student.optimizer(), batches);
        (steps, values(&student.vs), trainer.end_epoch().unwrap())
    };
    let (plain, with_flags) = (run(false), run(true));
    assert_eq!(plain.0, with_flags.0);
    assert_same(&plain.1, &with_flags.1);
    assert_eq!(plain.2, with_flags.2);
}

#[test]
fn kappa_scales_the_gradients_of_the_present_rows() {
    let student = Tiny::linear(3);
    let present = [vec![YES, NO, YES, YES], vec![NO, YES, YES, NO], vec![YES, YES, NO, NO]];
    let batch = masked(&student, 0.4, &present);
    let run = |kappa: [f64; 3]| {
        student.optimizer().zero_grad();
        let builder = student
            .builder_with_teachers(Classification::default())
            .scheduler(FixedKappa(kappa.to_vec()));
        builder.build(&student).unwrap().step(&student, &batch).unwrap();
        gradients(&student.vs)
    };
    let (joint, scaled) = (run([1.0; 3]), run([1.0, 0.25, 0.0]));
    for (name, gradient) in with_prefix(&joint, "m1") {
        assert_close(&scaled[&name], &(gradient * 0.25));
    }
    assert!(with_prefix(&scaled, "m2").is_empty());
    assert_same(&with_prefix(&scaled, "m0"), &with_prefix(&joint, "m0"));
    assert_same(&with_prefix(&scaled, "head"), &with_prefix(&joint, "head"));
}

#[test]
fn batch_norm_computes_its_statistics_from_the_present_rows() {
    let present = [vec![YES, NO, YES, YES], vec![YES; 4]];
    let (ours, theirs) = (Tiny::conv(2), Tiny::conv(2));
    let mut trainer = ours.builder_with_teachers(Classification::default()).build(&ours).unwrap();
    let batch = masked(&ours, 0.4, &present);
    trainer.step(&ours, &batch).unwrap();
    let _ = theirs.encode(0, &select_rows(&batch, &[0, 2, 3]), true).unwrap();
    for name in ["m0.bn.running_mean", "m0.bn.running_var"] {
        assert!(values(&ours.vs)[name].equal(&values(&theirs.vs)[name]), "{name}");
    }
}

#[test]
fn a_projection_maps_the_present_rows() {
    let student = Tiny::with_widths(&[WIDTH, 2], Kind::Double);
    let present = [vec![YES; 3], vec![NO, YES, YES]];
    let batch = masked(&student, 0.3, &present);
    let mut vs = nn::VarStore::new(tch::Device::Cpu);
    let projection = FeatureProjection::new(&vs.root(), [("m1", 2, 7)]).unwrap();
    vs.double();
    let builder = student.builder(Classification::default()).projection(projection);
    let builder = builder.teacher(student.teacher(0, WIDTH).0).teacher(student.teacher(1, 7).0);
    let report = builder.build(&student).unwrap().step(&student, &batch).unwrap();
    let part = select_rows(&batch, &[1, 2]);
    let mapped = student.encode(1, &part, true).unwrap().matmul(&vs.variables()["m1.weight"].tr())
        + &vs.variables()["m1.bias"];
    let teacher = student.teacher(1, 7).0.output(1, &part).unwrap();
    let expected = (mapped - teacher.features).square().mean(None::<Kind>).double_value(&[]);
    assert_number(report.read().unwrap().terms.feature[1].unwrap(), expected);
}
