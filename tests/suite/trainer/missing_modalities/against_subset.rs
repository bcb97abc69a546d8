//! A step against the same computed on the subsets by hand, in float64 to 1e-12.

use g2d::{
    Batch, G2dLoss, Student, Teacher,
    loss::{Classification, Distillation, Regression},
    trainer::FeatureProjection,
};
use proptest::prelude::*;
use tch::{Kind, Reduction, Tensor, nn};

use super::{masked, rows, subset};
use crate::support::{
    CLASSES, FixedKappa, Tiny, WIDTH, assert_close, assert_number, assert_same, with_prefix, fuzz_config, gradients,
    values, wave,
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
    fn fit(self, batch: Batch, present: &[Vec<bool>]) -> Batch {
        let rows = batch.size();
        let targets = match self {
            Self::Classes => batch.targets().shallow_clone(),
            Self::Labels => batch.targets().one_hot(CLASSES).to_kind(Kind::Double),
            Self::Values => wave(0.9, &[rows, CLASSES]),
        };
        let inputs: Vec<_> = batch.inputs().iter().map(Tensor::shallow_clone).collect();
        let fitted = Batch::new(inputs, targets).with_ids(batch.ids().unwrap());
        present.iter().enumerate().fold(fitted, |batch, (m, p)| batch.with_present(m, p.clone()))
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

/// What a step is, written without masks: total, and per modality L_feat, L_logit and ρ.
struct ByHand {
    total: Tensor,
    each: Vec<Option<(f64, f64, f64)>>,
}

fn by_hand(student: &Tiny, batch: &Batch, present: &[Vec<bool>], task: Task) -> ByHand {
    let full = |m: usize| {
        let own = rows(&present[m]);
        let zeros = || Tensor::zeros([WIDTH], (Kind::Double, tch::Device::Cpu));
        let features =
            (!own.is_empty()).then(|| student.encode(m, &subset(batch, &own), true).unwrap());
        let row = |row: i64| match own.iter().position(|&r| r == row) {
            Some(i) => features.as_ref().unwrap().get(i as i64),
            None => zeros(),
        };
        let each: Vec<_> = (0..batch.size()).map(row).collect();
        (Tensor::stack(&each, 0), features)
    };
    let (seen, encoded): (Vec<_>, Vec<_>) = (0..present.len()).map(full).unzip();
    let logits = student.fuse(&seen, true).unwrap();
    let mut total = task.task(&logits, batch.targets());
    let mut each = Vec::new();
    for (m, features) in encoded.into_iter().enumerate() {
        let Some(features) = features else {
            each.push(None);
            continue;
        };
        let own = rows(&present[m]);
        let part = subset(batch, &own);
        let teacher = student.teacher(m, WIDTH).0.output(m, &part).unwrap();
        let own_logits: Vec<_> = own.iter().map(|&row| logits.get(row)).collect();
        let feature = (features - &teacher.features).square().mean(None::<Kind>);
        let logit = task.logit(&teacher.logits, &Tensor::stack(&own_logits, 0));
        total = total + 0.7 * &feature + 1.3 * &logit;
        let rho = task.rho(&teacher.logits, part.targets());
        each.push(Some((feature.double_value(&[]), logit.double_value(&[]), rho)));
    }
    ByHand { total, each }
}

/// Loss, every term, ρ and every gradient of a step with these flags.
fn agrees(task: Task, present: &[Vec<bool>], seed: f64) {
    let student = Tiny::linear(present.len());
    let batch = task.fit(masked(&student, seed, present), present);
    let distillation = Distillation { alpha: 0.7, beta: 1.3, ..Distillation::default() };
    let mut trainer = student.builder_with_teachers(Boxed(task.loss(distillation))).build(&student).unwrap();
    let report = trainer.step(&student, &batch).unwrap();
    let (read, found) = (report.read().unwrap(), gradients(&student.vs));
    let counts: Vec<i64> = present.iter().map(|p| rows(p).len() as i64).collect();
    assert_eq!(report.present, counts);

    student.optimizer().zero_grad();
    let expected = by_hand(&student, &batch, present, task);
    expected.total.backward();
    assert_number(read.terms.total, expected.total.double_value(&[]));
    for (m, each) in expected.each.iter().enumerate() {
        let own = [read.terms.feature[m], read.terms.logit[m], read.confidence[m]];
        match each {
            None => assert_eq!((own, read.kappa[m]), ([None; 3], 0.0)),
            Some((feature, logit, rho)) => {
                for (own, by_hand) in own.into_iter().zip([feature, logit, rho]) {
                    // A KL of near-equal distributions is a difference of logarithms by hand.
                    approx::assert_relative_eq!(
                        own.unwrap(),
                        *by_hand,
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

/// A loss chosen at run time.
struct Boxed(Box<dyn G2dLoss>);

impl G2dLoss for Boxed {
    fn check(&self, modalities: &[g2d::Modality]) -> g2d::Result<()> {
        self.0.check(modalities)
    }
    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> g2d::Result<()> {
        self.0.check_targets(logits, targets)
    }
    fn terms(&self, input: &g2d::loss::Input<'_>) -> g2d::Result<g2d::loss::Terms> {
        self.0.terms(input)
    }
    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> g2d::Result<Tensor> {
        self.0.confidence(logits, targets)
    }
}

const YES: bool = true;
const NO: bool = false;

#[test]
fn three_modalities_with_holes() {
    let present = [vec![YES, NO, YES, YES], vec![NO, YES, YES, NO], vec![YES, YES, NO, NO]];
    for task in [Task::Classes, Task::Labels, Task::Values] {
        agrees(task, &present, 0.4);
    }
}

#[test]
fn a_single_present_row() {
    let present = [vec![YES; 4], vec![NO, NO, YES, NO], vec![YES, YES, NO, YES]];
    for task in [Task::Classes, Task::Labels, Task::Values] {
        agrees(task, &present, 0.4);
    }
}

#[test]
fn a_whole_modality_missing() {
    let present = [vec![YES, YES, NO, YES], vec![NO; 4], vec![YES, NO, YES, YES]];
    for task in [Task::Classes, Task::Labels, Task::Values] {
        agrees(task, &present, 0.4);
    }
}

#[test]
fn a_batch_of_one_sample_with_one_modality() {
    agrees(Task::Classes, &[vec![NO], vec![YES], vec![NO]], 0.2);
}

/// Flags for 2 to 4 modalities and up to 6 rows, at least one modality a row.
fn flags() -> impl Strategy<Value = Vec<Vec<bool>>> {
    (2_usize..5, 1_usize..7).prop_flat_map(|(k, rows)| {
        let any = prop::collection::vec(prop::collection::vec(any::<bool>(), rows), k);
        (any, prop::collection::vec(0..k, rows)).prop_map(|(mut flags, sure)| {
            sure.into_iter().enumerate().for_each(|(row, m)| flags[m][row] = true);
            flags
        })
    })
}

proptest! {
    #![proptest_config(fuzz_config(32))]
    #[test]
    fn any_flags(
        present in flags(), seed in 0.0..10.0_f64,
        task in prop_oneof![Just(Task::Classes), Just(Task::Labels), Just(Task::Values)],
    ) {
        agrees(task, &present, seed);
    }
}

/// Without masks, and with masks that leave out nobody: the same bits.
#[test]
fn masks_that_leave_out_nobody_change_nothing() {
    let run = |masks: bool| {
        let student = Tiny::conv(3);
        let kappa = FixedKappa(vec![1.0, 0.3, 0.0]);
        let mut trainer =
            student.builder_with_teachers(Classification::default()).scheduler(kappa).build(&student).unwrap();
        let mut optimizer = student.optimizer();
        let mut told = Vec::new();
        for step in 0..3 {
            let batch = student.batch(4, f64::from(step));
            let batch = if masks {
                (0..3).fold(batch, |batch, m| batch.with_present(m, [true; 4]))
            } else {
                batch
            };
            optimizer.zero_grad();
            told.push(trainer.step(&student, &batch).unwrap().read().unwrap());
            optimizer.step();
        }
        (told, values(&student.vs), trainer.end_epoch().unwrap())
    };
    let (plain, with_masks) = (run(false), run(true));
    assert_eq!(plain.0, with_masks.0);
    assert_same(&plain.1, &with_masks.1);
    assert_eq!(plain.2, with_masks.2);
}

/// κ acts on the rows that are there as on any: scaled exactly, or outside the graph.
#[test]
fn kappa_scales_what_is_there() {
    let student = Tiny::linear(3);
    let present = [vec![YES, NO, YES, YES], vec![NO, YES, YES, NO], vec![YES, YES, NO, NO]];
    let batch = masked(&student, 0.4, &present);
    let run = |kappa: [f64; 3]| {
        student.optimizer().zero_grad();
        let builder = student.builder_with_teachers(Classification::default()).scheduler(FixedKappa(kappa.to_vec()));
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

/// Statistics of batch norm come from the rows that are there.
#[test]
fn batch_norm_sees_the_present_rows_alone() {
    let present = [vec![YES, NO, YES, YES], vec![YES; 4]];
    let (ours, theirs) = (Tiny::conv(2), Tiny::conv(2));
    let mut trainer = ours.builder_with_teachers(Classification::default()).build(&ours).unwrap();
    let batch = masked(&ours, 0.4, &present);
    trainer.step(&ours, &batch).unwrap();
    let _ = theirs.encode(0, &subset(&batch, &[0, 2, 3]), true).unwrap();
    for name in ["m0.bn.running_mean", "m0.bn.running_var"] {
        assert!(values(&ours.vs)[name].equal(&values(&theirs.vs)[name]), "{name}");
    }
}

/// L_feat of a projection, over the rows that are there.
#[test]
fn projections_take_the_present_rows() {
    let student = Tiny::with_widths(&[WIDTH, 2], Kind::Double);
    let present = [vec![YES; 3], vec![NO, YES, YES]];
    let batch = masked(&student, 0.3, &present);
    let mut vs = nn::VarStore::new(tch::Device::Cpu);
    let projection = FeatureProjection::new(&vs.root(), [("m1", 2, 7)]).unwrap();
    vs.double();
    let builder = student.builder(Classification::default()).projection(projection);
    let builder = builder.teacher(student.teacher(0, WIDTH).0).teacher(student.teacher(1, 7).0);
    let report = builder.build(&student).unwrap().step(&student, &batch).unwrap();
    let part = subset(&batch, &[1, 2]);
    let mapped = student.encode(1, &part, true).unwrap().matmul(&vs.variables()["m1.weight"].tr())
        + &vs.variables()["m1.bias"];
    let teacher = student.teacher(1, 7).0.output(1, &part).unwrap();
    let by_hand = (mapped - teacher.features).square().mean(None::<Kind>).double_value(&[]);
    assert_number(report.read().unwrap().terms.feature[1].unwrap(), by_hand);
}
