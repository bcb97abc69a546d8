//! Training of students.

use std::collections::BTreeMap;

use anyhow::Result;
use g2d::{
    G2dTrainer, ModalityParams, Student, Teacher,
    optim::Optimizer,
    probe::{ConfidenceRatio, GradientNorm, LossRatio, TeacherCka, UpdateRatio},
    trainer::Builder,
    weights,
};
use tch::nn::VarStore;

use super::{
    evaluation::{StudentScores, linear_probe},
    outcome::{FinalResults, TrainedStudent},
    problem::Problem,
    record,
    run_files::RunFiles,
    setup::TrainingSetup,
    snapshots::{StudentSnapshots, TrainingParts},
    teacher::SharedTeacher,
};
use crate::support::{
    baselines::Baseline,
    methods::{Method, TeacherKnowledge},
    metric::Scores,
    progress::ProgressBars,
    summary::{MethodSummary, TeacherSummary},
};

/// A student before its training.
pub struct StudentRun {
    pub method: Method,
    vs: VarStore,
    student: Box<dyn Student + Send>,
    encoders: ModalityParams,
    teachers: Vec<Box<dyn Teacher + Send>>,
}

/// What the trainings of all students share.
pub struct StudentTraining<'a> {
    pub setup: &'a TrainingSetup,
    pub files: &'a RunFiles,
    /// Steps between two snapshots within an epoch.
    pub save_every: Option<u64>,
    pub teachers: &'a [TeacherSummary],
    pub knowledge: &'a TeacherKnowledge,
    pub baselines: &'a BTreeMap<Baseline, Scores>,
    pub bars: &'a ProgressBars,
}

impl StudentRun {
    /// A student, initialised by the seed, with the teachers that the method needs.
    pub fn new(
        method: Method,
        setup: &TrainingSetup,
        problem: &Problem,
        teachers: &[SharedTeacher],
        knowledge: &TeacherKnowledge,
    ) -> Result<Self> {
        tch::manual_seed(setup.seed as i64);
        let vs = VarStore::new(setup.device);
        let design = method.design(knowledge, problem.networks.is_late())?;
        let (student, encoders) = problem.networks.student(&vs, &design)?;
        weights::channels_last(&vs)?;
        let teachers = teachers.iter().filter(|_| method.uses_teachers());
        let teachers = teachers.map(SharedTeacher::for_student).collect::<Result<_>>()?;
        Ok(Self { method, vs, student, encoders, teachers })
    }
}

impl StudentTraining<'_> {
    /// Trains a student, or resumes its training; returns its result.
    pub fn run(&self, run: StudentRun, problem: &Problem) -> Result<MethodSummary> {
        let Self { setup, files, .. } = *self;
        let (config, metrics) = (&setup.config, problem.task.metrics());
        let StudentRun { method, vs, student, encoders, teachers } = run;
        if let Some(result) = files.student_result(method.key())? {
            return Ok(result);
        }
        let student = &*student;
        let optimizer = Optimizer::builder(&vs, config.sgd).build()?;
        let trainer = self.trainer(method, student, encoders, teachers, problem)?;
        let untrained = linear_probe(student, setup, problem)?;
        let mut parts = TrainingParts { trainer, vs, optimizer };
        let checkpoints = files.checkpoints(method.key());
        let (mut snapshots, mut completed) =
            StudentSnapshots::resume(&checkpoints, self.save_every, &mut parts)?;

        let first = parts.trainer.progress().epoch;
        let mut bar = self.bars.add(method.key(), config.epochs, first);
        let info = record::info(method, setup, problem, self.teachers, self.baselines)?;
        let mut recorders = record::begin(&files.student(method.key()), first, &info)?;
        for epoch in first..config.epochs {
            parts.optimizer.set_lr_factor(config.lr_schedule.factor(epoch))?;
            let batches = setup.shuffled(&problem.splits.train, epoch);
            for batch in batches.skip(parts.trainer.progress().step as usize) {
                recorders.step(&parts.trainer.step(student, &batch?)?);
                parts.trainer.update(&mut parts.optimizer)?;
                if snapshots.is_due(&parts.trainer) {
                    snapshots.save(&mut parts, &completed, None)?;
                }
            }
            let report = parts.trainer.end_epoch()?;
            let val = StudentScores::evaluate(student, &problem.splits.val, setup, &problem.task)?;
            completed.best.keep(val.selection, &parts.vs)?;
            recorders.epoch(&report, &val.with_keys(metrics, "val"));
            let fused = [("val".to_owned(), val.fused[0])];
            bar.epoch(&report, &fused.into_iter().chain(val.heads).collect::<Vec<_>>());
            completed.reports.push(report);
            snapshots.save(&mut parts, &completed, Some(val.selection))?;
        }
        bar.finish();

        completed.best.restore()?;
        let trained = TrainedStudent {
            method,
            student,
            reports: &completed.reports,
            teachers: self.teachers,
            baselines: self.baselines,
            untrained: &untrained,
            results: FinalResults::new(method, student, setup, problem)?,
        };
        recorders.finish(&trained.outcome(setup, problem)?);
        for failure in recorders.failures() {
            eprintln!("{method}: a recorder failed: {failure}");
        }
        let summary = trained.summary(problem);
        files.save_student_result(method.key(), &summary)?;
        Ok(summary)
    }

    fn trainer(
        &self,
        method: Method,
        student: &dyn Student,
        encoders: ModalityParams,
        teachers: Vec<Box<dyn Teacher + Send>>,
        problem: &Problem,
    ) -> Result<G2dTrainer> {
        let Self { setup, knowledge, .. } = *self;
        let (config, late) = (&setup.config, problem.networks.is_late());
        let (scheduler, suppression) = method.smp(&config.methods, knowledge);
        let balanced = &config.methods.balanced;
        let distillation = method.distillation(&config.distillation, balanced, knowledge, late);
        let mut builder = problem
            .task
            .student_trainer(distillation)
            .encoders(encoders)
            .scheduler(scheduler)
            .suppression(suppression)
            .probe(ConfidenceRatio::default())
            .probe(LossRatio::default())
            .probe(GradientNorm::default())
            .probe(UpdateRatio::with_interval(8))
            .probe(TeacherCka::with_interval(8));
        builder = teachers.into_iter().fold(builder, Builder::teacher);
        if let Some(modulation) = method.modulation(&config.methods, setup.seed) {
            builder = builder.modulation(modulation);
        }
        Ok(builder.build(student)?)
    }
}
