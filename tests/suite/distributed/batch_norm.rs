//! Batch norm over the batches of all ranks.

use g2d::{
    Batch, Features, G2dTrainer, Modality, ModalityParams, Result, Student,
    distributed::{ProcessGroup, Reduction, SyncBatchNorm},
    loss::Classification,
    optim::{Optimizer, SgdConfig},
    probe::GradientCosine,
};
use tch::{Device, Kind, Tensor, nn, nn::Module, nn::ModuleT};

use super::{all, assert_near, each};
use crate::support::{
    CLASSES, INPUT, Snapshot, WIDTH, assert_config_error, assert_error, assert_same, fill,
    gradients, labels, names, values, wave,
};

const CONFIG: nn::BatchNormConfig = nn::BatchNormConfig {
    cudnn_enabled: false,
    eps: 1e-4,
    momentum: 0.3,
    affine: true,
    ws_init: nn::Init::Const(1.5),
    bs_init: nn::Init::Const(0.25),
};

/// A batch norm of four channels and its variables.
fn layer(affine: bool) -> (nn::VarStore, nn::BatchNorm) {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let config = nn::BatchNormConfig { affine, ..CONFIG };
    let norm = nn::batch_norm2d(vs.root(), 4, config);
    vs.set_kind(Kind::Double);
    (vs, norm)
}

/// What a layer computes from rows of an input.
struct Computed {
    /// The output, and the gradient of Σ output · sin with respect to the input.
    rows: [Tensor; 2],
    variables: Snapshot,
    gradients: Snapshot,
}

fn computed(
    vs: &nn::VarStore,
    input: &Tensor,
    [from, count]: [i64; 2],
    forward: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Computed> {
    let weights = wave(0.7, &input.size()).narrow(0, from, count);
    let input = input.narrow(0, from, count).set_requires_grad(true);
    let output = forward(&input)?;
    (&output * weights).sum(Kind::Double).backward();
    let rows = [output.detach(), input.grad()];
    Ok(Computed { rows, variables: values(vs), gradients: gradients(vs) })
}

#[test]
fn a_layer_equals_batch_norm_on_the_combined_batch() {
    for (affine, shape) in [(true, vec![9, 4, 3, 2]), (false, vec![9, 4, 1, 5])] {
        for rows in [[4, 5].as_slice(), &[6, 1, 2]] {
            let input = || wave(0.1, &shape) * 3.0 + 40.0;
            let (vs, norm) = layer(affine);
            let expected = computed(&vs, &input(), [0, 9], |x| Ok(norm.forward_t(x, true)));
            let (expected, evaluated) = (expected.unwrap(), norm.forward_t(&input(), false));
            let found = all(rows.len(), |group| {
                let (vs, norm) = layer(affine);
                let norm = SyncBatchNorm::new(norm, CONFIG, &group);
                let own = [rows[..group.rank()].iter().sum(), rows[group.rank()]];
                let found = computed(&vs, &input(), own, |x| norm.forward_t(x, true))?;
                for gradient in found.gradients.values() {
                    group.all_reduce(gradient, Reduction::Sum)?;
                }
                Ok((found, norm.forward_t(&input(), false)?))
            });
            for i in 0..2 {
                let parts: Vec<_> = found.iter().map(|(own, _)| &own.rows[i]).collect();
                assert!(Tensor::cat(&parts, 0).allclose(&expected.rows[i], 1e-12, 1e-12, false));
            }
            for (own, output) in &found {
                assert!(output.allclose(&evaluated, 1e-12, 1e-12, false));
                assert_near("variables", &own.variables, &expected.variables, 1e-12);
                assert_near("gradients", &own.gradients, &expected.gradients, 1e-12);
            }
        }
    }
}

/// Encoders of a linear layer and batch norm, over the ranks of a group if there is one.
struct Normed {
    vs: nn::VarStore,
    names: Vec<Modality>,
    encoders: Vec<(nn::Linear, Norm)>,
    head: nn::Linear,
    /// Whether the second encoder fails after its batch norm.
    fails: std::cell::Cell<bool>,
}

enum Norm {
    Own(nn::BatchNorm),
    OfAll(SyncBatchNorm),
}

impl Normed {
    fn new(group: Option<&ProcessGroup>) -> Self {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let (root, names) = (vs.root(), names(2));
        let encoder = |m: &Modality| {
            let path = &root / m.name();
            let linear = nn::linear(&path / "fc", INPUT, WIDTH, Default::default());
            let norm = nn::batch_norm1d(&path / "bn", WIDTH, CONFIG);
            let norm = match group {
                None => Norm::Own(norm),
                Some(group) => Norm::OfAll(SyncBatchNorm::new(norm, CONFIG, group)),
            };
            (linear, norm)
        };
        let encoders = names.iter().map(encoder).collect();
        let head = nn::linear(&root / "head", 2 * WIDTH, CLASSES, Default::default());
        vs.set_kind(Kind::Double);
        fill(&vs, 0.3);
        Self { vs, names, encoders, head, fails: false.into() }
    }

    fn trainer(&self, group: Option<&ProcessGroup>) -> Result<G2dTrainer> {
        let params = ModalityParams::by_name(&self.vs, &self.names)?;
        let builder = G2dTrainer::builder(Classification::default())
            .encoders(params)
            .probe(GradientCosine::with_interval(1));
        match group {
            None => builder,
            Some(group) => builder.group(group),
        }
        .build(self)
    }
}

impl Student for Normed {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        let (linear, norm) = &self.encoders[m];
        let x = linear.forward(batch.input(m));
        let x = match norm {
            Norm::Own(norm) => norm.forward_t(&x, train),
            Norm::OfAll(norm) => norm.forward_t(&x, train)?,
        };
        assert!(m == 0 || !self.fails.get(), "a fault of the model");
        Ok(x.tanh())
    }

    fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
        Ok(self.head.forward(&Tensor::f_cat(features, 1)?))
    }

    fn feature_shape(&self, _m: usize) -> Option<Vec<i64>> {
        Some(vec![WIDTH])
    }
}

/// The rows `from..from + count` of a batch of 9.
fn part(step: i64, from: i64, count: i64) -> Batch {
    let input = |m: i64| wave((10 * m + 100 * step) as f64, &[9, INPUT]).narrow(0, from, count);
    Batch::new([input(0), input(1)], labels(9).narrow(0, from, count))
}

fn train(group: Option<&ProcessGroup>, rows: &[i64]) -> Result<Snapshot> {
    let student = Normed::new(group);
    let mut trainer = student.trainer(group)?;
    let sgd = SgdConfig { lr: 0.1, momentum: 0.9, ..SgdConfig::default() };
    let mut optimizer = Optimizer::builder(&student.vs, sgd).build()?;
    let rank = group.map_or(0, ProcessGroup::rank);
    let (from, count) = (rows[..rank].iter().sum(), rows[rank]);
    for step in 0..4 {
        trainer.step(&student, &part(step, from, count))?;
        trainer.update(&mut optimizer)?;
    }
    trainer.end_epoch()?;
    Ok(values(&student.vs))
}

#[test]
fn a_training_equals_one_on_the_combined_batch() {
    let expected = train(None, &[9]).unwrap();
    for rows in [[4, 5].as_slice(), &[6, 1, 2]] {
        let found = all(rows.len(), |group| train(Some(&group), rows));
        for own in &found {
            assert_near("variables", own, &expected, 1e-12);
            assert_same(own, &found[0]);
        }
    }
}

#[test]
fn a_modality_that_some_ranks_lack_is_refused_on_all() {
    let refused = each(2, |group| {
        let student = Normed::new(Some(&group));
        let mut trainer = student.trainer(Some(&group))?;
        let batch = part(0, 0, 3).with_present(1, vec![group.rank() == 0; 3]);
        trainer.step(&student, &batch).map(drop)
    });
    for outcome in refused {
        assert_config_error(outcome, &["batch of rank 1", "samples of", "m1", "every batch"]);
    }
}

#[test]
fn a_model_that_fails_on_one_rank_is_an_error_on_all_and_the_next_step_works() {
    all(3, |group| {
        let student = Normed::new(Some(&group));
        let mut trainer = student.trainer(Some(&group))?;
        for _ in 0..2 {
            trainer.step(&student, &part(0, 0, 3))?;
            let before = values(&student.vs);
            student.fails.set(group.rank() == 1);
            let outcome = trainer.step(&student, &part(1, 0, 3));
            assert_error(outcome, &["a fault of the model"]);
            assert_same(&values(&student.vs), &before);
            student.fails.set(false);
        }
        trainer.step(&student, &part(1, 0, 3)).map(drop)
    });
}

#[test]
fn an_input_that_does_not_fit_is_refused() {
    all(1, |group| {
        let (_vs, norm) = layer(true);
        let norm = SyncBatchNorm::new(norm, CONFIG, &group);
        let narrow = norm.forward_t(&wave(0.0, &[3, 2]), true);
        assert_error(narrow, &["[B, 4, …]", "[3, 2]"]);
        assert_error(norm.forward_t(&wave(0.0, &[1, 4]), true), &["at least 2", "1"]);
        Ok(())
    });
}
