//! Training of students.

use std::collections::BTreeMap;

use anyhow::Result;
use g2d::{
    Error, G2dTrainer, ModalityParams, Student, Teacher,
    checkpoint::ResumableRun,
    optim::Optimizer,
    probe::{ConfidenceRatio, GradientNorm, LossRatio, TeacherCka, UpdateRatio},
    record::StepRecord,
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
        let builder = ResumableRun::builder(files.checkpoints(method.key()), trainer, optimizer);
        let builder = builder.weights("student", &vs);
        let mut run = match self.save_every {
            Some(steps) => builder.every(steps),
            None => builder,
        }
        .resume(Vec::new())?;

        let start = run.trainer.progress();
        let bar = self.bars.add(method.key(), config.epochs, start.epoch);
        let info = record::info(method, setup, problem, self)?.untrained(untrained);
        let mut recorders = record::begin(&files.student(method.key()), start, &info, bar)?;
        for epoch in run.epochs(config.epochs) {
            run.optimizer.set_lr_factor(config.lr_schedule.factor(epoch))?;
            let batches = setup.shuffled(&problem.splits.train, epoch);
            for batch in batches.skip(run.batches_done()) {
                let report = run.trainer.step(student, &batch?)?;
                recorders.step(StepRecord::new(&report).optimizer(&run.optimizer));
                run.trainer.update(&mut run.optimizer)?;
                unless_disk_fails(run.save_if_due(&report))?;
            }
            let report = run.trainer.end_epoch()?;
            let val = StudentScores::evaluate(student, &problem.splits.val, setup, &problem.task)?;
            recorders.epoch(&report, &val.with_keys(metrics, "val"));
            run.state.push(report);
            unless_disk_fails(run.save(val.selection))?;
        }

        run.restore_best()?;
        let results = FinalResults::new(method, student, setup, problem)?;
        let trained = TrainedStudent { student, reports: &run.state, results };
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

/// Prints the error of a disk, since a training continues without a snapshot; returns other errors.
fn unless_disk_fails<T>(saved: g2d::Result<T>) -> Result<()> {
    match saved {
        Ok(_) => Ok(()),
        Err(error @ Error::Io { .. }) => {
            eprintln!("cannot save a snapshot: {error}");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
