//! Two teachers, then the students; several trainings at a time, each on one core.

use std::{fmt, path::PathBuf};

use anyhow::{Context, Result, ensure};
use g2d::{
    CachedTeacher, ConfidenceRatio, G2dLoss, G2dTrainer, GradientNorm, Student, evaluate,
    evaluate_teacher,
    paper::{
        data::{AvMnist, InMemory, Order},
        networks::{
            Backbone, ClassifierConfig, DistilledFeatures, FusionClassifier, FusionKind,
            Initialisation, UnimodalClassifier, UnimodalLogits,
        },
    },
    record::CsvRecorder,
};
use rand::{SeedableRng, rngs::StdRng};
use tch::{
    Device,
    nn::{self, OptimizerConfig, VarStore},
};

use crate::{
    data::Splits,
    support::{
        best::Best,
        methods::{Method, Schedule},
        parallel::in_parallel,
        progress::Bars,
        summary::{MethodSummary, Summary, TeacherSummary},
    },
};

/// The students' networks.
const COMPACT: ClassifierConfig = ClassifierConfig {
    backbone: Backbone::Compact,
    fusion: FusionKind::Late,
    init: Initialisation::Authors,
    distilled: DistilledFeatures::Encoder,
    unimodal: UnimodalLogits::Own,
};

/// Which of its epochs a teacher is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum TeacherEpoch {
    /// The last: ρ then says how far the modality can be fitted.
    #[default]
    Last,
    /// The best on validation data.
    Best,
}

/// What all trainings share.
#[derive(Debug, Clone, clap::Args)]
pub struct Hyperparameters {
    /// Epochs of every training
    #[arg(long, default_value_t = 50)]
    pub epochs: u64,
    #[command(flatten)]
    pub schedule: Schedule,
    /// Batch size
    #[arg(long, default_value_t = 32)]
    pub batch_size: usize,
    /// Learning rate of SGD
    #[arg(long, default_value_t = 0.01)]
    pub lr: f64,
    /// Epoch from which the learning rate is a tenth; two thirds of the epochs without it
    #[arg(long, value_name = "EPOCH")]
    pub lr_drop: Option<u64>,
    /// The epoch whose weights a teacher keeps
    #[arg(long, value_enum, default_value_t)]
    pub teacher: TeacherEpoch,
    /// Momentum of SGD
    #[arg(long, default_value_t = 0.9)]
    pub momentum: f64,
    /// Weight decay of SGD
    #[arg(long, default_value_t = 1e-4)]
    pub weight_decay: f64,
}

impl Hyperparameters {
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.epochs > 0 && self.batch_size > 0,
            "--epochs and --batch-size must be above 0"
        );
        ensure!(
            self.schedule.stage <= self.epochs,
            "--stage must not exceed --epochs ({})",
            self.epochs
        );
        let sgd = [self.lr, self.momentum, self.weight_decay];
        ensure!(
            sgd.iter().all(|x| x.is_finite() && *x >= 0.0) && self.lr > 0.0,
            "--lr must be above 0, --momentum and --weight-decay at least 0"
        );
        Ok(())
    }

    /// The authors' StepLR, as a function of the epoch.
    fn lr_at(&self, epoch: u64) -> f64 {
        let drop = self.lr_drop.unwrap_or(self.epochs * 2 / 3);
        if epoch < drop { self.lr } else { self.lr * 0.1 }
    }

    fn optimizer(&self, vs: &VarStore) -> Result<nn::Optimizer> {
        Ok(nn::sgd(self.momentum, 0.0, self.weight_decay, false).build(vs, self.lr)?)
    }
}

/// One run of the whole comparison.
pub struct Lab {
    pub seed: u64,
    pub device: Device,
    pub jobs: usize,
    pub methods: Vec<Method>,
    pub hyper: Hyperparameters,
    pub out: PathBuf,
}

impl Lab {
    /// Trains everything and tests each result once.
    pub fn run(&self, splits: &Splits) -> Result<Summary> {
        let modalities = splits.train.modalities().to_vec();
        let bars = Bars::default();
        // Networks are made one after the other: torch's random generator is one for the process.
        let teachers = (0..modalities.len())
            .map(|m| Ok((self.new_teacher(m)?, splits.share())))
            .collect::<Result<Vec<_>>>()?;
        let teachers = in_parallel(self.jobs, teachers, |((m, vs, net), splits)| {
            self.teach(m, vs, net, &splits, &bars)
        })?;
        let mut summary = Summary::new(self.seed, &modalities);
        for (modality, (_, teacher)) in modalities.iter().zip(&teachers) {
            summary.teachers.insert(modality.name().to_owned(), teacher.clone());
        }
        let caches: Vec<_> = teachers.into_iter().map(|(cache, _)| cache).collect();

        let student = |&method: &Method| {
            tch::manual_seed(self.seed as i64);
            let vs = VarStore::new(self.device);
            let channels: Vec<_> = modalities.iter().map(|m| (m.clone(), 1)).collect();
            let student = FusionClassifier::new(&vs, &channels, AvMnist::CLASSES, COMPACT)?;
            let teachers: Vec<_> = caches.iter().map(CachedTeacher::share).collect();
            Ok((method, vs, student, teachers, splits.share()))
        };
        let students = self.methods.iter().map(student).collect::<Result<Vec<_>>>()?;
        let trained =
            in_parallel(self.jobs, students, |(method, vs, student, teachers, splits)| {
                let teachers = if method.uses_teachers() { teachers } else { Vec::new() };
                Ok((method, self.train(method, vs, &student, teachers, &splits, &bars)?))
            })?;
        for (method, result) in trained {
            summary.methods.insert(method.key().to_owned(), result);
        }
        Ok(summary)
    }

    fn new_teacher(&self, m: usize) -> Result<(usize, VarStore, UnimodalClassifier)> {
        tch::manual_seed(self.seed as i64 + 1000 * (m as i64 + 1));
        let vs = VarStore::new(self.device);
        let ClassifierConfig { backbone, init, .. } = COMPACT;
        let net = UnimodalClassifier::new(&vs, 1, AvMnist::CLASSES, backbone, init)?;
        Ok((m, vs, net))
    }

    /// Trains one teacher, then freezes it and records its answers on the training set.
    fn teach(
        &self,
        m: usize,
        mut vs: VarStore,
        net: UnimodalClassifier,
        splits: &Splits,
        bars: &Bars,
    ) -> Result<(CachedTeacher, TeacherSummary)> {
        let modality = splits.train.modalities()[m].clone();
        let mut bar = bars.add(&format!("teacher {modality}"), self.hyper.epochs);
        let mut optimizer = self.hyper.optimizer(&vs)?;
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut best = Best::default();
        for epoch in 0..self.hyper.epochs {
            optimizer.set_lr(self.hyper.lr_at(epoch));
            let (mut loss_sum, mut steps) = (0.0, 0.0);
            for batch in self.batches(&splits.train, Order::Shuffled(&mut rng)) {
                let batch = batch?;
                let (_, logits) = net.forward(batch.input(m), true)?;
                let loss = logits.cross_entropy_for_logits(batch.targets());
                optimizer.backward_step(&loss);
                loss_sum += loss.double_value(&[]);
                steps += 1.0;
            }
            let accuracy = 100.0 * self.teacher_accuracy(&net, m, &splits.val)?;
            best.keep(accuracy, &vs);
            bar.plain_epoch(loss_sum / steps, &[("val".into(), accuracy)]);
        }
        bar.finish();
        if self.hyper.teacher == TeacherEpoch::Best {
            best.restore(&mut vs)?;
        }
        let test = 100.0 * self.teacher_accuracy(&net, m, &splits.test)?;
        let teacher = net.into_teacher(modality, &mut vs);
        let train = evaluate_teacher(&teacher, m, self.batches(&splits.train, Order::Stored))?;
        let confidence = Method::G2dSmp.loss().confidence(&train.logits, &train.targets)?;
        let cache = CachedTeacher::record(&teacher, m, self.batches(&splits.train, Order::Stored))?;
        let summary =
            TeacherSummary { test_accuracy: test, train_confidence: confidence.double_value(&[]) };
        Ok((cache, summary))
    }

    fn teacher_accuracy(&self, net: &UnimodalClassifier, m: usize, set: &InMemory) -> Result<f64> {
        let _no_grad = tch::no_grad_guard();
        let mut right = 0.0;
        for batch in self.batches(set, Order::Stored) {
            let batch = batch?;
            let (_, logits) = net.forward(batch.input(m), false)?;
            right += g2d::metrics::accuracy(&logits, batch.targets())? * batch.size() as f64;
        }
        Ok(right / set.len() as f64)
    }

    /// Trains a student by `method`; writes `{method}.csv`.
    fn train(
        &self,
        method: Method,
        mut vs: VarStore,
        student: &FusionClassifier,
        teachers: Vec<CachedTeacher>,
        splits: &Splits,
        bars: &Bars,
    ) -> Result<MethodSummary> {
        let mut bar = bars.add(method.key(), self.hyper.epochs);
        let mut csv = CsvRecorder::create(self.out.join(format!("{}.csv", method.key())))?;
        let mut optimizer = self.hyper.optimizer(&vs)?;
        let mut builder = G2dTrainer::builder(method.loss())
            .encoders(student.encoder_params(&vs)?)
            .boxed_scheduler(method.scheduler(&self.hyper.schedule))
            .probe(ConfidenceRatio::default())
            .probe(GradientNorm::default());
        for teacher in teachers {
            builder = builder.teacher(teacher);
        }
        if let Some(modulation) = method.modulation(&self.hyper.schedule, self.seed) {
            builder = builder.boxed_modulation(modulation);
        }
        let mut trainer = builder.build(student)?;
        let mut kappa = vec![0.0; trainer.modalities().len()];
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut best = Best::default();
        for epoch in 0..self.hyper.epochs {
            optimizer.set_lr(self.hyper.lr_at(epoch));
            for batch in self.batches(&splits.train, Order::Shuffled(&mut rng)) {
                optimizer.zero_grad();
                trainer.step(student, &batch?)?;
                optimizer.step();
            }
            let report = trainer.end_epoch()?;
            kappa.iter_mut().zip(&report.kappa).for_each(|(sum, k)| *sum += k);
            let metrics = self.accuracies(student, &splits.val)?;
            best.keep(metrics[0].1, &vs);
            let named = |(name, value): &(String, f64)| (format!("val_accuracy_{name}"), *value);
            csv.epoch(&report, &metrics.iter().map(named).collect::<Vec<_>>())?;
            bar.epoch(&report, &metrics);
        }
        csv.flush()?;
        bar.finish();
        let val_accuracy = best.restore(&mut vs)?;
        let mut test = self.accuracies(student, &splits.test)?.into_iter();
        let (_, test_accuracy) = test.next().context("no test accuracy")?;
        let names = trainer.modalities().iter().map(|m| m.name().to_owned());
        let kappa = names.zip(kappa.iter().map(|sum| sum / self.hyper.epochs as f64)).collect();
        Ok(MethodSummary { test_accuracy, val_accuracy, heads: test.collect(), kappa })
    }

    /// Accuracy in percent of the fused student, then of each head.
    fn accuracies(&self, student: &dyn Student, set: &InMemory) -> Result<Vec<(String, f64)>> {
        let predictions = evaluate(student, self.batches(set, Order::Stored))?;
        let mut found = vec![("fused".to_owned(), 100.0 * predictions.accuracy()?)];
        for (modality, accuracy) in predictions.head_accuracy()? {
            found.push((modality.name().to_owned(), 100.0 * accuracy));
        }
        Ok(found)
    }

    fn batches<'s>(
        &self,
        set: &'s InMemory,
        order: Order<'_>,
    ) -> impl Iterator<Item = g2d::Result<g2d::Batch>> + use<'s> {
        set.batches(self.hyper.batch_size, order, self.device)
    }
}

impl fmt::Display for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hyperparameters { epochs, batch_size, lr, .. } = self.hyper;
        let stage = self.hyper.schedule.stage;
        write!(
            f,
            "{epochs} epochs (τ₁ {stage}), batch {batch_size}, SGD {lr}, {:?}, {} at a time",
            self.device, self.jobs,
        )
    }
}
