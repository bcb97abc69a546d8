//! OGM and OGM-GE, and a modulation in the report of a step.

use std::{cell::Cell, rc::Rc};

use g2d::{
    Batch, G2dTrainer, Modality, Result, Student,
    loss::{Classification, Distillation},
    modulation::Modulate,
    paper::{
        baselines::Ogm,
        networks::{ClassifierConfig, FusionClassifier, FusionKind},
    },
    step::Observation,
    trainer::{Builder, GradientScope},
};
use tch::{Device, Kind, Tensor, nn::VarStore};

use crate::support::{FixedKappa, assert_error, unimodal_logits};

struct Setup {
    vs: VarStore,
    student: FusionClassifier,
    batch: Batch,
}

/// A student with k compact encoders and a batch, which depend on k alone.
fn setup(k: usize) -> Setup {
    let mut vs = VarStore::new(Device::Cpu);
    let modalities: Vec<_> = (0..k).map(|m| (Modality::new(format!("m{m}")), 1)).collect();
    let config = ClassifierConfig::default();
    let student = FusionClassifier::new(&vs, &modalities, 3, config).unwrap();
    vs.double();
    let sines = |phase: f64, size: &[i64]| {
        let n: i64 = size.iter().product();
        (Tensor::arange(n, (Kind::Double, Device::Cpu)) * 0.7 + phase).sin().reshape(size)
    };
    let mut variables: Vec<_> = vs.variables().into_iter().collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    let _no_grad = tch::no_grad_guard();
    for (i, (name, mut variable)) in variables.into_iter().enumerate() {
        if !name.contains("running") {
            variable.copy_(&(sines(i as f64, &variable.size()) * 0.5));
        }
    }
    let inputs: Vec<_> = (0..k).map(|m| sines(3.0 * m as f64, &[4, 1, 8, 8])).collect();
    Setup { vs, student, batch: Batch::new(inputs, Tensor::from_slice(&[0_i64, 1, 2, 0])) }
}

impl Setup {
    fn trainer(&self, configure: impl FnOnce(Builder) -> Builder) -> Result<G2dTrainer> {
        let params = self.student.encoder_params(&self.vs)?;
        let loss = Classification::new(Distillation::none());
        configure(G2dTrainer::builder(loss).encoders(params)).build(&self.student)
    }

    /// κ of one step and the gradients after it, sorted by name.
    fn step(
        &self,
        configure: impl FnOnce(Builder) -> Builder,
    ) -> (Vec<f64>, Vec<(String, Tensor)>) {
        let report = self.trainer(configure).unwrap().step(&self.student, &self.batch).unwrap();
        let mut gradients: Vec<_> = self
            .vs
            .variables()
            .into_iter()
            .filter(|(_, variable)| variable.requires_grad())
            .map(|(name, variable)| (name, variable.grad().copy()))
            .collect();
        gradients.sort_by(|a, b| a.0.cmp(&b.0));
        (report.kappa(), gradients)
    }
}

/// The mean true-class probability of each modality's unimodal logits in a training step.
fn scores(setup: &Setup) -> Vec<f64> {
    let _no_grad = tch::no_grad_guard();
    let k = setup.student.modalities().len();
    let features: Vec<_> =
        (0..k).map(|m| setup.student.encode(m, &setup.batch, true).unwrap()).collect();
    let score = |m| {
        let p = unimodal_logits(&setup.student, m, &features, &setup.batch).softmax(-1, None);
        let y = setup.batch.targets().unsqueeze(1);
        p.gather(1, &y, false).mean(None).double_value(&[])
    };
    (0..k).map(score).collect()
}

/// The modality whose encoder has the parameter `name`.
fn encoder_of(name: &str) -> Option<usize> {
    name.strip_prefix('m')?.split("_net").next()?.parse().ok()
}

#[test]
fn ogm_scales_the_gradients_of_modalities_above_the_mean_of_the_others() {
    for k in [2, 3] {
        let (_, plain) = setup(k).step(|builder| builder);
        let s = scores(&setup(k));
        let expected: Vec<f64> = (0..k)
            .map(|m| {
                let others: Vec<f64> = (0..k).filter(|&j| j != m).map(|j| s[j]).collect();
                let ratio = s[m] / (others.iter().sum::<f64>() / others.len() as f64);
                if ratio > 1.0 { 1.0 - (0.4 * ratio).tanh() } else { 1.0 }
            })
            .collect();
        let (kappa, modulated) = setup(k).step(|builder| builder.modulation(Ogm::new(0.4, 0..=0)));
        assert!(kappa.iter().any(|&x| x < 1.0) && kappa.contains(&1.0), "{kappa:?}");
        for (found, expected) in kappa.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-12, "{kappa:?} is not {expected:?}");
        }
        for ((name, before), (_, after)) in plain.iter().zip(&modulated) {
            let factor = match encoder_of(name) {
                Some(m) if before.dim() == 4 => kappa[m],
                _ => 1.0,
            };
            assert!((before * factor).allclose(after, 1e-12, 1e-15, false), "{name}");
        }
    }
}

#[test]
fn outside_its_window_ogm_changes_nothing() {
    let (_, plain) = setup(2).step(|builder| builder);
    let (kappa, modulated) =
        setup(2).step(|builder| builder.modulation(Ogm::new(1.0, 1..=5).with_noise(1)));
    assert_eq!(kappa, [1.0, 1.0]);
    assert_eq!(plain, modulated);
}

#[test]
fn ogm_ge_adds_seeded_noise_with_the_standard_deviation_of_each_gradient() {
    let noisy =
        |seed| setup(2).step(|builder| builder.modulation(Ogm::new(0.4, 0..=0).with_noise(seed)));
    let (kappa, plain) = setup(2).step(|builder| builder.modulation(Ogm::new(0.4, 0..=0)));
    let (_, unscaled) = setup(2).step(|builder| builder);
    tch::manual_seed(1);
    let (noisy_kappa, first) = noisy(7);
    tch::manual_seed(2);
    assert_eq!((noisy_kappa, &first), (kappa, &noisy(7).1), "the noise depends on its seed alone");
    assert_ne!(first, noisy(8).1);

    let mut noised = [false; 2];
    for (((name, plain), (_, noisy)), (_, unscaled)) in plain.iter().zip(&first).zip(&unscaled) {
        match encoder_of(name) {
            Some(m) if plain.dim() == 4 => {
                noised[m] = true;
                let std = |t: &Tensor| t.std(true).double_value(&[]);
                let ratio = std(&(noisy - plain)) / std(unscaled);
                let tolerance = 6.0 / (2.0 * plain.numel() as f64).sqrt();
                assert!((ratio - 1.0).abs() < tolerance, "{name}: {ratio}");
            }
            _ => assert_eq!(plain, noisy, "{name}"),
        }
    }
    assert_eq!(noised, [true, true]);
}

#[test]
fn the_scope_all_includes_every_parameter_of_an_encoder() {
    let (_, plain) = setup(2).step(|builder| builder);
    let ogm = || Ogm::new(0.4, 0..=0).scope(GradientScope::All);
    let (kappa, modulated) = setup(2).step(|builder| builder.modulation(ogm()));
    for ((name, before), (_, after)) in plain.iter().zip(&modulated) {
        let factor = encoder_of(name).map_or(1.0, |m| kappa[m]);
        assert!((before * factor).allclose(after, 1e-12, 1e-15, false), "{name}");
    }
}

#[test]
fn invalid_configurations_and_students_without_unimodal_logits_are_errors() {
    let setup = setup(2);
    let build = |ogm| setup.trainer(|b| b.modulation(ogm));
    assert_error(build(Ogm::new(0.0, 0..=1)), &["alpha of Ogm"]);
    assert_error(build(Ogm::new(f64::NAN, 0..=1)), &["alpha of Ogm"]);
    #[expect(clippy::reversed_empty_ranges, reason = "an empty window is the error")]
    let empty = 2..=1;
    assert_error(build(Ogm::new(1.0, empty)), &["window of Ogm"]);

    let vs = VarStore::new(Device::Cpu);
    let names = [(Modality::new("m0"), 1), (Modality::new("m1"), 1)];
    let config = ClassifierConfig { fusion: FusionKind::Film, ..Default::default() };
    let student = FusionClassifier::new(&vs, &names, 3, config).unwrap();
    let mut trainer = G2dTrainer::builder(Classification::new(Distillation::none()))
        .encoders(student.encoder_params(&vs).unwrap())
        .modulation(Ogm::new(1.0, 0..=1))
        .build(&student)
        .unwrap();
    let input = || Tensor::zeros([3, 1, 8, 8], (Kind::Float, Device::Cpu));
    let batch = Batch::new([input(), input()], Tensor::from_slice(&[0_i64, 1, 2]));
    assert_error(trainer.step(&student, &batch), &["unimodal logits of modality \"m0\""]);
    let before_backward = vs.trainable_variables().iter().all(|v| !v.grad().defined());
    assert!(before_backward);
}

/// Returns factors without changing gradients, and counts its calls.
struct Factors(Vec<f64>, Rc<Cell<u32>>);

impl Modulate for Factors {
    fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
        assert_eq!(modalities.len(), 2);
        Ok(())
    }

    fn modulate(&mut self, seen: &Observation<'_>) -> Result<Option<Vec<f64>>> {
        self.1.set(self.1.get() + 1);
        assert_eq!(seen.plan.kappa(), [0.5, 0.5]);
        assert!(!seen.logits.requires_grad() && !seen.unimodal_logits(1)?.unwrap().requires_grad());
        assert!(seen.params.gradients(0).count() > 0);
        Ok(Some(self.0.clone()))
    }
}

#[test]
fn reported_kappa_is_the_plan_times_the_factors_of_the_modulation() {
    let calls = Rc::new(Cell::new(0));
    let setup = setup(2);
    let trainer = |factors: &[f64]| {
        let modulation = Factors(factors.to_vec(), calls.clone());
        let halves = FixedKappa(vec![0.5, 0.5]);
        setup.trainer(|b| b.scheduler(halves).modulation(modulation)).unwrap()
    };
    let mut modulated = trainer(&[1.0, 0.2]);
    let report = modulated.step(&setup.student, &setup.batch).unwrap();
    assert_eq!(report.modulation, Some(vec![1.0, 0.2]));
    assert_eq!(report.read().unwrap().kappa, [0.5, 0.1]);
    assert_eq!(modulated.end_epoch().unwrap().kappa, [0.5, 0.1]);
    assert_eq!(calls.get(), 1);

    let step = trainer(&[1.0]).step(&setup.student, &setup.batch);
    assert_error(step, &["factors of the gradient modulation"]);
}
