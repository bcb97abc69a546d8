//! Training of students.

use anyhow::Result;
use g2d::{
    G2dTrainer, ModalityParams, Student, Teacher,
    optim::Optimizer,
    probe::{ConfidenceRatio, GradientNorm, LossRatio, TeacherCka, UpdateRatio},
    trainer::Builder,
};
use tch::nn::VarStore;

use super::{
    evaluation::{StudentScores, linear_probe},
    outcome::TrainedStudent,
    problem::Problem,
    record,
    run_files::RunFiles,
    setup::TrainingSetup,
    snapshots::{StudentSnapshots, TrainingParts},
    task::PredictionTask,
    teacher::SharedTeacher,
};
use crate::support::{
    methods::Method,
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
    pub bars: &'a ProgressBars,
}

impl StudentRun {
    /// A student, initialised by the seed, with the teachers that the method needs.
    pub fn new(
        method: Method,
        setup: &TrainingSetup,
        problem: &Problem,
        teachers: &[SharedTeacher],
    ) -> Result<Self> {
        tch::manual_seed(setup.seed as i64);
        let vs = VarStore::new(setup.device);
        let (student, encoders) = problem.networks.student(&vs)?;
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
        let trainer = trainer(method, setup, student, encoders, teachers, &problem.task)?;
        let untrained = linear_probe(student, setup, problem)?;
        let mut parts = TrainingParts { trainer, vs, optimizer };
        let checkpoints = files.checkpoints(method.key());
        let (mut snapshots, mut completed) =
            StudentSnapshots::resume(&checkpoints, self.save_every, &mut parts)?;

        let first = parts.trainer.progress().epoch;
        let mut bar = self.bars.add(method.key(), config.epochs, first);
        let info = record::info(method, setup, problem, self.teachers)?;
        let mut recorders = record::begin(&files.student(method.key()), first, &info)?;
        for epoch in first..config.epochs {
            parts.optimizer.set_lr_factor(config.lr_schedule.factor(epoch))?;
            let batches = setup.shuffled(&problem.splits.train, epoch);
            for batch in batches.skip(parts.trainer.progress().step as usize) {
                parts.optimizer.zero_grad()?;
                recorders.step(&parts.trainer.step(student, &batch?)?);
                parts.optimizer.step()?;
                if snapshots.is_due(&parts.trainer) {
                    snapshots.save(&mut parts, &completed, None)?;
                }
            }
            let report = parts.trainer.end_epoch()?;
            let val = StudentScores::evaluate(student, &problem.splits.val, setup, &problem.task)?;
            let score = metrics[0].score(val.fused[0]);
            completed.best.keep(score, &parts.vs)?;
            recorders.epoch(&report, &val.with_keys(metrics, "val"));
            let fused = [("val".to_owned(), val.fused[0])];
            bar.epoch(&report, &fused.into_iter().chain(val.heads).collect::<Vec<_>>());
            completed.reports.push(report);
            snapshots.save(&mut parts, &completed, Some(score))?;
        }
        bar.finish();

        completed.best.restore()?;
        let evaluate = |split| StudentScores::evaluate(student, split, setup, &problem.task);
        let trained = TrainedStudent {
            student,
            reports: &completed.reports,
            teachers: self.teachers,
            untrained: &untrained,
            val: evaluate(&problem.splits.val)?,
            test: evaluate(&problem.splits.test)?,
        };
        recorders.finish(&trained.outcome(setup, problem)?);
        for failure in recorders.failures() {
            eprintln!("{method}: a recorder failed: {failure}");
        }
        let summary = trained.summary(problem);
        files.save_student_result(method.key(), &summary)?;
        Ok(summary)
    }
}

fn trainer(
    method: Method,
    setup: &TrainingSetup,
    student: &dyn Student,
    encoders: ModalityParams,
    teachers: Vec<Box<dyn Teacher + Send>>,
    task: &PredictionTask,
) -> Result<G2dTrainer> {
    let config = &setup.config;
    let (scheduler, suppression) = method.smp(&config.methods);
    let terms = method.distillation();
    let mut distillation = config.distillation.clone();
    distillation.alpha *= terms.alpha;
    distillation.beta *= terms.beta;
    let mut builder = task
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
