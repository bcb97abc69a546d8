//! Training steps, by hand and by the trainer.

use std::rc::Rc;

use anyhow::Result;
use g2d::{
    Batch, Features, G2dTrainer, Modality, Student, Teacher,
    distributed::ProcessGroup,
    loss::Classification,
    optim::{Optimizer, SgdConfig},
    paper::networks::{
        Backbone, ClassifierConfig, FusionClassifier, Initialisation, UnimodalClassifier,
    },
    schedule::Sequential,
    teacher::Cached,
    trainer::{Builder, Precision, SuppressedMode},
};
use tch::{Device, Kind, Reduction, Tensor, nn::VarStore};

use crate::{
    cremad::{CremadSetup, InputShape, SharedSetup},
    rounds::Step,
};

/// Which encoders a step trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainingPhase {
    /// One encoder; the others are suppressed.
    Suppressed,
    /// All encoders.
    Joint,
}

impl TrainingPhase {
    /// Adds the scheduler of the phase.
    pub fn schedule(self, builder: Builder) -> Builder {
        match self {
            Self::Suppressed => builder.scheduler(Sequential::new([1])),
            Self::Joint => builder,
        }
    }
}

/// A step of the CREMA-D student by hand: zero_grad, forward, cross-entropy, backward, optimizer.
pub fn plain(setup: &SharedSetup) -> Step {
    let setup = Rc::clone(setup);
    Box::new(move || {
        setup.borrow_mut().step(|student, batch| {
            let features = [student.encode(0, batch, true)?, student.encode(1, batch, true)?];
            let logits = student.fuse(&Features::new(&features, batch)?, true)?;
            let targets = batch.targets();
            let loss =
                logits.cross_entropy_loss(targets, None::<Tensor>, Reduction::Mean, -100, 0.0);
            loss.backward();
            // The trainer reads its loss too, as does any loop that logs it.
            let _loss = loss.double_value(&[]);
            Ok(())
        })
    })
}

/// A step of the CREMA-D student by the trainer: zero_grad, `G2dTrainer::step`, optimizer.
pub fn g2d(
    setup: &SharedSetup,
    teachers: Vec<Box<dyn Teacher>>,
    phase: TrainingPhase,
    precision: Precision,
    mode: SuppressedMode,
) -> Result<Step> {
    let setup = Rc::clone(setup);
    let mut trainer = setup.borrow().trainer(|builder| {
        let builder = phase.schedule(builder.precision(precision).suppressed_mode(mode));
        teachers.into_iter().fold(builder, Builder::teacher)
    })?;
    Ok(Box::new(move || {
        setup.borrow_mut().step(|student, batch| {
            let report = trainer.step(student, batch)?;
            if phase == TrainingPhase::Suppressed {
                assert_eq!(report.plan.kappa(), [0.0, 1.0], "the audio teacher is stronger");
            }
            Ok(())
        })
    }))
}

/// A step of the CREMA-D student with cached teachers, as a rank of `group` if there is one.
pub fn in_group(
    shape: InputShape,
    phase: TrainingPhase,
    group: Option<&ProcessGroup>,
) -> Result<Step> {
    let setup = CremadSetup::shared(shape, true)?;
    let teachers = setup.borrow().cached_teachers();
    let mut trainer = setup.borrow().trainer(|builder| {
        let builder = teachers.into_iter().fold(phase.schedule(builder), Builder::teacher);
        group.into_iter().fold(builder, Builder::group)
    })?;
    Ok(Box::new(move || {
        setup.borrow_mut().step(|student, batch| Ok(trainer.step(student, batch).map(drop)?))
    }))
}

/// A step of a student with k compact encoders on inputs of 28 × 28, with cached teachers.
pub fn compact(k: usize, phase: TrainingPhase) -> Result<Step> {
    const ROWS: i64 = 16;
    let vs = VarStore::new(Device::Cpu);
    let modalities: Vec<_> = (0..k).map(|m| (Modality::new(format!("m{m}")), 1)).collect();
    let student = FusionClassifier::new(&vs, &modalities, 10, ClassifierConfig::default())?;
    let mut optimizer =
        Optimizer::builder(&vs, SgdConfig { momentum: 0.9, ..Default::default() }).build()?;
    let input = |_| Tensor::randn([ROWS, 1, 28, 28], (Kind::Float, Device::Cpu));
    let labels = Tensor::arange(ROWS, (Kind::Int64, Device::Cpu)).remainder(10);
    let batch = Batch::new((0..k).map(input).collect::<Vec<_>>(), labels)
        .with_ids((0..ROWS).collect::<Vec<_>>());
    let mut builder =
        G2dTrainer::builder(Classification::default()).encoders(student.encoder_params(&vs)?);
    for (m, (name, _)) in modalities.iter().enumerate() {
        let mut own = VarStore::new(Device::Cpu);
        let (backbone, init) = (Backbone::Compact, Initialisation::Tch);
        let net = UnimodalClassifier::new(&own, 1, 10, backbone, init)?;
        let live = net.into_teacher(name.clone(), &mut own);
        builder = builder.teacher(Cached::record(&live, m, [batch.to_device(Device::Cpu)])?);
    }
    let mut trainer = phase.schedule(builder).build(&student)?;
    Ok(Box::new(move || {
        optimizer.zero_grad()?;
        trainer.step(&student, &batch)?;
        Ok(optimizer.step()?)
    }))
}
