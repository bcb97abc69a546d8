//! Training of students.

use std::{collections::BTreeMap, time::Instant};

use anyhow::Result;
use g2d::{
    Error, G2dTrainer, ModalityParams, Student, Teacher,
    algorithm::{Algorithm, Ruled},
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
    history::History,
    measured::Measured,
    outcome::{FinalResults, TrainedStudent},
    problem::Problem,
    record,
    run_files::RunFiles,
    setup::TrainingSetup,
    task::PredictionTask,
    teacher::SharedTeacher,
};
use crate::support::{
    baselines::Baseline,
    composition::TeacherKnowledge,
    methods::Method,
    metric::Scores,
    progress::ProgressBars,
    ranks,
    rivals::RivalHead,
    summary::{MethodSummary, TeacherSummary},
};

/// A student before its training.
pub struct StudentRun {
    pub method: Method,
    vs: VarStore,
    student: Box<dyn Student + Send>,
    encoders: ModalityParams,
    /// The head that the method has for all modalities.
    head: RivalHead,
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
    /// Whether probes observe the training and its result.
    pub probes: bool,
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
        let design = method.design(knowledge, problem.networks.fusion())?;
        let (student, mut encoders) = problem.networks.student(&vs, &design)?;
        let head = match (method.rival(), &problem.task) {
            (Some(rival), PredictionTask::Classification { classes }) => {
                rival.head(&vs, &*student, *classes)?
            }
            _ => RivalHead::None,
        };
        encoders = encoders.with_store("", &vs); // the head was registered after the student
        weights::channels_last(&vs)?;
        let teachers = teachers.iter().filter(|_| method.uses_teachers());
        let teachers = teachers.map(SharedTeacher::for_student).collect::<Result<_>>()?;
        Ok(Self { method, vs, student, encoders, head, teachers })
    }
}

impl StudentTraining<'_> {
    /// Trains a student, or resumes its training; returns its result.
    pub fn run(&self, run: StudentRun, problem: &Problem) -> Result<MethodSummary> {
        let Self { setup, files, .. } = *self;
        let (config, metrics) = (&setup.config, problem.task.metrics());
        let method = run.method;
        if let Some(result) = files.student_result(method.key())? {
            return Ok(result);
        }
        let StudentRun { vs, student, encoders, head, teachers, .. } = run;
        let student = &*student;
        let optimizer = Optimizer::builder(&vs, config.sgd).build()?;
        let batches = problem.splits.train.shuffled_batches(config.batch_size);
        let algorithm: Box<dyn Algorithm> = match method.rival() {
            Some(rival) => {
                let rivals = &config.methods.rivals;
                rival.algorithm(student, encoders, head, rivals, batches as u64)?
            }
            None => Box::new(self.trainer(method, student, encoders, teachers, problem)?),
        };
        let untrained =
            if self.probes { linear_probe(student, setup, problem)? } else { Vec::new() };
        let builder = ResumableRun::builder(files.checkpoints(method.key()), algorithm, optimizer);
        let builder = builder.weights("student", &vs);
        let mut run = match self.save_every {
            Some(steps) => builder.every(steps),
            None => builder,
        }
        .resume(History::default())?;

        let start = run.trainer.progress();
        let bar =
            self.bars.add(&format!("{}{}", setup.prefix, method.key()), config.epochs, start.epoch);
        let info = record::info(method, setup, problem, self)?.untrained(untrained);
        let mut recorders = record::begin(&files.student(method.key()), start, &info, bar)?;
        let mut last = None; // the last epoch, and the predictions on validation data after it
        for epoch in run.epochs(config.epochs) {
            if !run.trainer.schedules_lr() {
                run.optimizer.set_lr_factor(config.lr_schedule.factor(epoch))?;
            }
            if run.trainer.reads_batches() && run.batches_done() == 0 {
                // A tenth of the batches, as the authors of PMR.
                let mut tenth =
                    setup.shuffled(&problem.splits.train, epoch).take((batches / 10).max(1));
                let begin = Instant::now();
                run.trainer.begin_epoch(student, &mut tenth)?;
                run.state.seconds += begin.elapsed().as_secs_f64();
            }
            let shuffled = setup.shuffled_part(&problem.splits.train, epoch);
            for batch in shuffled.skip(run.batches_done()) {
                let (batch, begin) = (batch?, Instant::now());
                let mut optimizer = Measured::new(&mut run.optimizer, run.trainer.progress());
                let report = run.trainer.step(student, &batch, &mut optimizer)?;
                let norm = optimizer.gradient_norm;
                run.state.seconds += begin.elapsed().as_secs_f64();
                run.state.steps += 1;
                let record = StepRecord::new(&report).optimizer(&run.optimizer);
                recorders.step(record.gradient_norm(norm.as_ref()));
                unless_disk_fails(run.save_if_due(&report))?;
            }
            run.trainer.finish_update(&mut run.optimizer)?;
            let report = run.trainer.end_epoch()?;
            let ruled = Ruled::new(&*run.trainer, student);
            let val = ruled.evaluate(setup.stored(&problem.splits.val))?;
            let scores = StudentScores::new(&val, &problem.task)?;
            recorders.epoch(&report, &scores.with_keys(metrics, "val"));
            run.state.reports.push(report);
            unless_disk_fails(run.save(scores.selection))?;
            last = Some((run.trainer.progress().epoch, val));
        }

        run.restore_best()?;
        let student = Ruled::new(&*run.trainer, student);
        let val = match last {
            Some((epoch, val)) if run.best_epoch() == Some(epoch) => val,
            _ => student.evaluate(setup.stored(&problem.splits.val))?,
        };
        let results = FinalResults::new(method, &student, val, setup, problem)?;
        let trained = TrainedStudent { student, history: &run.state, results };
        recorders.finish(&trained.outcome(setup, problem, self.probes)?);
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
        let (config, late) = (&setup.config, problem.networks.fusion().late);
        let (scheduler, suppression) = method.smp(&config.methods, knowledge);
        let balanced = &config.methods.balanced;
        let distillation = method.distillation(&config.distillation, balanced, knowledge, late);
        let mut builder = problem
            .task
            .student_trainer(distillation)
            .encoders(encoders)
            .scheduler(scheduler)
            .suppression(suppression)
            .suppressed_mode(config.compute.suppressed_mode)
            .precision(config.compute.precision);
        if self.probes {
            builder = builder
                .probe(ConfidenceRatio::default())
                .probe(LossRatio::default())
                .probe(GradientNorm::default())
                .probe(UpdateRatio::with_interval(8))
                .probe(TeacherCka::with_interval(8));
        }
        builder = teachers.into_iter().fold(builder, Builder::teacher);
        if let Some(modulation) = method.modulation(&config.methods, setup.seed) {
            builder = builder.modulation(modulation);
        }
        if let Some(group) = ranks::group()? {
            builder = builder.group(&group);
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
