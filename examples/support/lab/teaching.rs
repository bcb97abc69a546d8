//! A teacher.

use std::sync::Arc;

use anyhow::Result;
use g2d::{
    Modality, Teacher,
    teacher::{Cached, FrozenModel, UnimodalModel},
    trainer::evaluate_teacher,
};
use tch::nn::VarStore;

use super::{
    Lab, named,
    problem::{Networks, Problem},
    source::{Batches, Source},
};
use crate::support::{progress::Bars, summary::TeacherSummary};

/// A trained teacher, ready to teach any number of students.
pub struct Taught {
    pub summary: TeacherSummary,
    m: usize,
    modality: Modality,
    vs: VarStore,
    networks: Arc<dyn Networks>,
    /// Its answers, where every epoch shows it the same samples.
    cache: Option<Cached>,
}

impl Taught {
    /// One student's teacher: the recorded answers, or a copy of the network.
    pub fn teacher(&self) -> Result<Box<dyn Teacher + Send>> {
        if let Some(cache) = &self.cache {
            return Ok(Box::new(cache.share()));
        }
        let mut vs = VarStore::new(self.vs.device());
        let model = self.networks.teacher(self.m, &vs)?;
        vs.copy(&self.vs)?;
        Ok(Box::new(FrozenModel::from_model(self.modality.clone(), &mut vs, model)))
    }
}

impl Lab {
    /// A network for modality `m`, freshly initialised.
    pub(super) fn untaught(
        &self,
        m: usize,
        problem: &Problem,
    ) -> Result<(VarStore, Box<dyn UnimodalModel + Send>)> {
        tch::manual_seed(self.seed as i64 + 1000 * (m as i64 + 1));
        let vs = VarStore::new(self.device);
        let model = problem.networks.teacher(m, &vs)?;
        Ok((vs, model))
    }

    /// A teacher, trained now or before, frozen, and its answers on the training set.
    pub(super) fn teach(
        &self,
        m: usize,
        mut vs: VarStore,
        model: Box<dyn UnimodalModel + Send>,
        problem: &Problem,
        bars: &Bars,
    ) -> Result<Taught> {
        let modality = problem.modalities[m].clone();
        let known = self.known_teacher(modality.name(), &mut vs)?;
        if known.is_none() {
            self.train_teacher(m, &vs, &*model, problem, bars)?;
        }
        let teacher = FrozenModel::from_model(modality.clone(), &mut vs, model);
        let summary = match known {
            Some(summary) => summary,
            None => {
                let summary = self.judge(m, &teacher, problem)?;
                self.keep_teacher(modality.name(), &vs, &summary)?;
                summary
            }
        };
        let train = &problem.splits.train;
        let cache = || Cached::record(&teacher, m, self.stored(train));
        let cache = train.steady().then(cache).transpose()?;
        Ok(Taught { summary, m, modality, vs, networks: Arc::clone(&problem.networks), cache })
    }

    fn train_teacher(
        &self,
        m: usize,
        vs: &VarStore,
        model: &dyn UnimodalModel,
        problem: &Problem,
        bars: &Bars,
    ) -> Result<()> {
        let (splits, task, recipe) = (&problem.splits, &problem.task, &self.recipe);
        let (modality, metric) = (&problem.modalities[m], &task.metrics()[0]);
        let mut bar = bars.add(&format!("teacher {modality}"), recipe.epochs, 0);
        task.teaching(modality, m, recipe.rule)
            .epochs(recipe.epochs)
            .schedule(recipe.lr)
            .keep(recipe.keep)
            .score(|predictions, targets| task.score(predictions, targets))
            .on_epoch(|epoch| {
                let val = metric.goodness(epoch.score); // twice is the value itself
                bar.plain_epoch(epoch.loss, &[("val".into(), val)]);
            })
            .train(
                model,
                vs,
                |epoch| splits.train.shuffled(self.seed, epoch, recipe.batch_size, self.device),
                || self.stored(&splits.val),
            )?;
        bar.finish();
        Ok(())
    }

    /// What a teacher is worth, and its ρ on the training set.
    fn judge(&self, m: usize, teacher: &dyn Teacher, problem: &Problem) -> Result<TeacherSummary> {
        let (splits, task) = (&problem.splits, &problem.task);
        let mut scores = Vec::new();
        for (name, set) in [("val", &splits.val), ("test", &splits.test)] {
            let answers = evaluate_teacher(teacher, m, self.stored(set))?;
            let values = task.measure(&answers.logits, &answers.targets)?;
            scores.extend(named(task.metrics(), name, values));
        }
        let train = evaluate_teacher(teacher, m, self.stored(&splits.train))?;
        let train_confidence = task.confidence(&train.logits, &train.targets)?;
        Ok(TeacherSummary { scores: scores.into_iter().collect(), train_confidence })
    }

    fn stored<'s>(&self, set: &'s Source) -> Batches<'s> {
        set.stored(self.recipe.batch_size, self.device)
    }
}
