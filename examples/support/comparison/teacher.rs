//! Training of teachers.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use anyhow::Result;
use g2d::{
    Modality, Teacher,
    teacher::{Cached, FrozenModel, UnimodalModel},
    trainer::{InPrecision, Predictions, evaluate_teacher},
    weights,
};
use tch::nn::VarStore;

use super::{
    problem::{Networks, Problem, Splits},
    run_files::RunFiles,
    setup::TrainingSetup,
};
use crate::support::{metric::with_keys, progress::ProgressBars, summary::TeacherSummary};

/// A teacher before its training.
pub struct UntrainedTeacher {
    m: usize,
    vs: VarStore,
    model: Box<dyn UnimodalModel + Send>,
}

/// The outputs of a teacher on held-out data.
pub struct HeldOut {
    pub val: Predictions,
    pub test: Predictions,
}

/// A trained teacher that any number of students share.
pub struct SharedTeacher {
    pub summary: TeacherSummary,
    pub predictions: HeldOut,
    m: usize,
    modality: Modality,
    vs: VarStore,
    networks: Arc<dyn Networks>,
    /// Its outputs, if the training samples are the same in every epoch.
    cache: Option<Cached>,
}

impl UntrainedTeacher {
    /// A teacher of modality `m`, initialised by the seed.
    pub fn new(m: usize, setup: &TrainingSetup, problem: &Problem) -> Result<Self> {
        tch::manual_seed(setup.seed as i64 + 1000 * (m as i64 + 1));
        let vs = VarStore::new(setup.device);
        let model = problem.networks.teacher(m, &vs)?;
        weights::channels_last(&vs)?;
        Ok(Self { m, vs, model })
    }

    /// Trains the teacher, or loads its weights if a run that is resumed has trained it.
    pub fn train(
        self,
        setup: &TrainingSetup,
        files: &RunFiles,
        problem: &Problem,
        bars: &ProgressBars,
    ) -> Result<SharedTeacher> {
        let Self { m, mut vs, model } = self;
        let modality = problem.modalities[m].clone();
        let loaded = files.load_teacher(modality.name(), &mut vs)?;
        let trained = match loaded {
            Some(_) => None,
            None => Some(train_model(m, &vs, &*model, setup, problem, bars)?),
        };
        let teacher = FrozenModel::from_model(modality.clone(), &mut vs, model);
        let teacher = InPrecision::new(teacher, setup.config.compute.precision);
        let Splits { train, val, test } = &problem.splits;
        let evaluated = |split| evaluate_teacher(&teacher, m, setup.stored(split));
        let predictions =
            HeldOut { val: trained.map_or_else(|| evaluated(val), Ok)?, test: evaluated(test)? };
        let record = || Cached::record(&teacher, m, setup.stored(train));
        let cache = train.is_constant().then(record).transpose()?;
        let summary = match loaded {
            Some(summary) => summary,
            None => {
                let recorded: &dyn Teacher = match &cache {
                    Some(cache) => cache,
                    None => &teacher,
                };
                let summary = summary(m, recorded, &predictions, setup, problem)?;
                files.save_teacher(modality.name(), &vs, &summary)?;
                summary
            }
        };
        let networks = Arc::clone(&problem.networks);
        Ok(SharedTeacher { summary, predictions, m, modality, vs, networks, cache })
    }
}

impl SharedTeacher {
    pub fn modality(&self) -> &Modality {
        &self.modality
    }

    /// The teacher for one student: its recorded outputs, or a copy of the network.
    pub fn for_student(&self) -> Result<Box<dyn Teacher + Send>> {
        if let Some(cache) = &self.cache {
            return Ok(Box::new(cache.share()));
        }
        let mut vs = VarStore::new(self.vs.device());
        let model = self.networks.teacher(self.m, &vs)?;
        weights::channels_last(&vs)?;
        vs.copy(&self.vs)?;
        Ok(Box::new(FrozenModel::from_model(self.modality.clone(), &mut vs, model)))
    }
}

/// Trains a teacher; its predictions on validation data, with the weights that it keeps.
fn train_model(
    m: usize,
    vs: &VarStore,
    model: &dyn UnimodalModel,
    setup: &TrainingSetup,
    problem: &Problem,
    bars: &ProgressBars,
) -> Result<Predictions> {
    let (splits, task, config) = (&problem.splits, &problem.task, &setup.config);
    let modality = &problem.modalities[m];
    let val = Cell::new(f64::NAN); // the first metric of the last epoch
    let epochs = RefCell::new(Vec::new()); // the predictions of each epoch
    let bar = bars.add(&format!("{}teacher {modality}", setup.prefix), config.epochs, 0);
    let trained = task
        .teacher_trainer(modality, m, config.sgd)
        .precision(config.compute.precision)
        .epochs(config.epochs)
        .schedule(config.lr_schedule)
        .keep(config.teacher_weights)
        .score(|logits, targets| {
            val.set(task.evaluate(logits, targets)?[0]);
            let own = Predictions::new(logits.shallow_clone(), targets.shallow_clone());
            epochs.borrow_mut().push(own);
            task.selection_score(logits, targets)
        })
        .on_epoch(|epoch| bar.unimodal_epoch(epoch.loss, &[("val".into(), val.get())]))
        .train(
            model,
            vs,
            |epoch| setup.shuffled(&splits.train, epoch),
            || setup.stored(&splits.val),
        )?;
    bar.finish();
    Ok(epochs.into_inner().swap_remove(trained.kept as usize))
}

/// The metrics on validation and test data, and ρ on the training data.
fn summary(
    m: usize,
    teacher: &dyn Teacher,
    HeldOut { val, test }: &HeldOut,
    setup: &TrainingSetup,
    problem: &Problem,
) -> Result<TeacherSummary> {
    let task = &problem.task;
    let mut scores = Vec::new();
    for (name, predictions) in [("val", val), ("test", test)] {
        let values = task.evaluate(&predictions.logits, &predictions.targets)?;
        scores.extend(with_keys(task.metrics(), name, &values));
    }
    let train = evaluate_teacher(teacher, m, setup.stored(&problem.splits.train))?;
    let train_confidence = task.confidence(&train.logits, &train.targets)?;
    Ok(TeacherSummary { scores: scores.into_iter().collect(), train_confidence })
}
