//! A student.

use anyhow::Result;
use g2d::{
    G2dTrainer, ModalityParams, Student, Teacher, evaluate,
    optim::Optimizer,
    probe::{ConfidenceRatio, GradientNorm, LossRatio, TeacherCka, UpdateRatio},
};
use tch::nn::VarStore;

use super::{
    Lab, named,
    problem::Problem,
    recording::{Recording, linear_probe},
    resuming::Saving,
    source::Source,
    task::Task,
};
use crate::support::{
    methods::Method,
    progress::Bars,
    summary::{MethodSummary, TeacherSummary},
};

/// A student before its training, and all that it needs.
pub struct Pupil {
    pub method: Method,
    pub vs: VarStore,
    pub student: Box<dyn Student + Send>,
    pub encoders: ModalityParams,
    pub teachers: Vec<Box<dyn Teacher + Send>>,
}

/// What a student is worth on a split.
pub struct Measured {
    /// The fused student, by every metric.
    pub fused: Vec<f64>,
    /// Each head alone, by the first metric.
    pub heads: Vec<(String, f64)>,
}

impl Lab {
    /// Trains a student, or goes on with it; its run folder is `{method}/`.
    pub(super) fn train(
        &self,
        pupil: Pupil,
        teachers: &[TeacherSummary],
        problem: &Problem,
        bars: &Bars,
    ) -> Result<MethodSummary> {
        let (method, recipe, metrics) = (pupil.method, &self.recipe, problem.task.metrics());
        if let Some(result) = self.finished(method.key())? {
            return Ok(result);
        }
        let Pupil { mut vs, student, encoders, teachers: asked, .. } = pupil;
        let student = &*student;
        let mut optimizer = Optimizer::builder(&vs, recipe.rule).build()?;
        let mut trainer = self.trainer(method, student, encoders, asked, &problem.task)?;
        let untrained = linear_probe(self, student, problem)?;
        let folder = self.out.join(method.key());
        let (mut saving, mut at) =
            Saving::begin(&folder, self.save_every, &mut trainer, &mut vs, &mut optimizer)?;
        let first = trainer.progress().epoch;
        let mut bar = bars.add(method.key(), recipe.epochs, first);
        let mut recording = Recording::begin(self, method, untrained, teachers, problem, first)?;
        for epoch in first..recipe.epochs {
            optimizer.set_lr_factor(recipe.lr.factor(epoch));
            let train = &problem.splits.train;
            let batches = train.shuffled(self.seed, epoch, recipe.batch_size, self.device);
            for batch in batches.skip(trainer.progress().step as usize) {
                optimizer.zero_grad()?;
                recording.recorders.step(&trainer.step(student, &batch?)?);
                optimizer.step()?;
                if saving.is_due(&trainer) {
                    saving.save(&at, None, &mut trainer, &mut vs, &mut optimizer)?;
                }
            }
            let report = trainer.end_epoch()?;
            let Measured { fused, heads } = self.evaluate(student, &problem.splits.val, problem)?;
            let score = metrics[0].goodness(fused[0]);
            at.best.keep(score, &vs)?;
            let shown: Vec<_> =
                [("val".to_owned(), fused[0])].into_iter().chain(heads.clone()).collect();
            let of_head = |(m, value)| (format!("{}_{m}", metrics[0].on("val")), value);
            let mut columns = named(metrics, "val", fused);
            columns.extend(heads.into_iter().map(of_head));
            recording.recorders.epoch(&report, &columns);
            bar.epoch(&report, &shown);
            at.reports.push(report);
            saving.save(&at, Some(score), &mut trainer, &mut vs, &mut optimizer)?;
        }
        bar.finish();
        at.best.restore()?;
        let [val, test] = [&problem.splits.val, &problem.splits.test]
            .map(|set| self.evaluate(student, set, problem));
        let (val, test) = (val?, test?);
        recording.finish(self, student, problem, &at.reports, &val, &test)?;
        let mut scores = named(metrics, "test", test.fused);
        scores.push((metrics[0].on("val"), val.fused[0]));
        let epochs = at.reports.len() as f64;
        let mean = |m: usize| at.reports.iter().map(|r| r.kappa[m]).sum::<f64>() / epochs;
        let kappa = problem.modalities.iter().enumerate();
        let result = MethodSummary {
            scores: scores.into_iter().collect(),
            heads: test.heads.into_iter().collect(),
            kappa: kappa.map(|(m, modality)| (modality.name().to_owned(), mean(m))).collect(),
        };
        self.finish(method.key(), &result)?;
        Ok(result)
    }

    fn trainer(
        &self,
        method: Method,
        student: &dyn Student,
        encoders: ModalityParams,
        teachers: Vec<Box<dyn Teacher + Send>>,
        task: &Task,
    ) -> Result<G2dTrainer> {
        let Self { recipe, seed, .. } = self;
        let (scheduler, suppression) = method.smp(&recipe.schedule);
        let used = method.distillation();
        let mut distillation = recipe.distillation.clone();
        distillation.alpha *= used.alpha;
        distillation.beta *= used.beta;
        let mut builder = task
            .trainer(distillation)
            .encoders(encoders)
            .scheduler(scheduler)
            .suppression(suppression)
            .probe(ConfidenceRatio::default())
            .probe(LossRatio::default())
            .probe(GradientNorm::default())
            .probe(UpdateRatio::with_interval(8))
            .probe(TeacherCka::with_interval(8));
        for teacher in teachers {
            builder = builder.teacher(teacher);
        }
        if let Some(modulation) = method.modulation(&recipe.schedule, *seed) {
            builder = builder.modulation(modulation);
        }
        Ok(builder.build(student)?)
    }

    fn evaluate(&self, student: &dyn Student, set: &Source, problem: &Problem) -> Result<Measured> {
        let seen = evaluate(student, set.stored(self.recipe.batch_size, self.device))?;
        let fused = problem.task.measure(&seen.logits, &seen.targets)?;
        let head = |(m, logits): &(g2d::Modality, tch::Tensor)| {
            Ok((m.name().to_owned(), problem.task.measure(logits, &seen.targets)?[0]))
        };
        let heads = seen.heads.iter().map(head).collect::<g2d::Result<_>>()?;
        Ok(Measured { fused, heads })
    }
}
