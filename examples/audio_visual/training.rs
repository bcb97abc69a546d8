//! The comparison: teachers first, then every method's student, several trainings at a time.

use std::{fmt, path::PathBuf};

use anyhow::{Context, Result};
use g2d::{
    ConfidenceRatio, G2dTrainer, GradientNorm, Student, Teacher, evaluate,
    paper::{data::Order, networks::FusionClassifier},
    record::CsvRecorder,
};
use rand::{SeedableRng, rngs::StdRng};
use tch::{Device, nn::VarStore};

use crate::{
    data::{Source, Splits},
    settings::Settings,
    support::{
        best::Best,
        methods::Method,
        metric::Metric,
        parallel::in_parallel,
        progress::Bars,
        summary::{MethodSummary, Summary},
    },
    teaching::Taught,
};

/// One run of the whole comparison.
pub struct Lab {
    pub settings: Settings,
    pub device: Device,
    pub jobs: usize,
    pub methods: Vec<Method>,
    pub out: PathBuf,
}

impl Lab {
    /// Trains everything and tests each result once.
    pub fn run(&self, splits: &Splits) -> Result<Summary> {
        let modalities: Vec<_> = splits.channels.iter().map(|(m, _)| m.clone()).collect();
        let bars = Bars::default();
        // Networks are made one after the other: torch's random generator is one for the process.
        let untaught = (0..modalities.len())
            .map(|m| Ok((self.untaught(m, splits)?, splits.share())))
            .collect::<Result<Vec<_>>>()?;
        let taught =
            in_parallel(self.jobs, untaught, |(net, splits)| self.teach(net, &splits, &bars))?;
        let mut summary = Summary::new(self.settings.seed, &modalities, &[Metric::ACCURACY]);
        for (modality, taught) in modalities.iter().zip(&taught) {
            summary.teachers.insert(modality.name().to_owned(), taught.summary.clone());
        }
        let student = |&method: &Method| {
            tch::manual_seed(self.settings.seed as i64);
            let vs = VarStore::new(self.device);
            let config = self.settings.classifier();
            let student = FusionClassifier::new(&vs, &splits.channels, splits.classes, config)?;
            let teachers = taught.iter().map(Taught::teacher).collect::<Result<Vec<_>>>()?;
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

    /// Trains a student by `method`; writes `{method}.csv`.
    fn train(
        &self,
        method: Method,
        mut vs: VarStore,
        student: &FusionClassifier,
        teachers: Vec<Box<dyn Teacher + Send>>,
        splits: &Splits,
        bars: &Bars,
    ) -> Result<MethodSummary> {
        let Settings { epochs, seed, .. } = self.settings;
        let mut bar = bars.add(method.key(), epochs);
        let mut csv = CsvRecorder::create(self.out.join(format!("{}.csv", method.key())))?;
        let mut optimizer = self.settings.optimizer(&vs)?;
        let (scheduler, suppression) = self.settings.smp(method);
        let mut builder = G2dTrainer::builder(self.settings.loss(method))
            .encoders(student.encoder_params(&vs)?)
            .boxed_scheduler(scheduler)
            .suppression(suppression)
            .probe(ConfidenceRatio::default())
            .probe(GradientNorm::default());
        for teacher in teachers {
            builder = builder.boxed_teacher(teacher);
        }
        if let Some(modulation) = method.modulation(&self.settings.schedule(), seed) {
            builder = builder.boxed_modulation(modulation);
        }
        let mut trainer = builder.build(student)?;
        let mut kappa = vec![0.0; trainer.modalities().len()];
        let mut rng = StdRng::seed_from_u64(seed);
        let mut best = Best::default();
        for epoch in 0..epochs {
            optimizer.set_lr(self.settings.lr_at(epoch));
            for batch in self.batches(&splits.train, epoch, Order::Shuffled(&mut rng)) {
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
        let kappa = names.zip(kappa.iter().map(|sum| sum / epochs as f64)).collect();
        let on = |split, accuracy| (Metric::ACCURACY.on(split), accuracy);
        let scores = [on("test", test_accuracy), on("val", val_accuracy)].into();
        Ok(MethodSummary { scores, heads: test.collect(), kappa })
    }

    /// Accuracy in percent of the fused student, then of each head.
    fn accuracies(&self, student: &dyn Student, set: &Source) -> Result<Vec<(String, f64)>> {
        let predictions = evaluate(student, self.batches(set, 0, Order::Stored))?;
        let mut found = vec![("fused".to_owned(), 100.0 * predictions.accuracy()?)];
        for (modality, accuracy) in predictions.head_accuracy()? {
            found.push((modality.name().to_owned(), 100.0 * accuracy));
        }
        Ok(found)
    }

    pub fn batches<'s>(
        &self,
        set: &'s Source,
        epoch: u64,
        order: Order<'_>,
    ) -> Box<dyn Iterator<Item = g2d::Result<g2d::Batch>> + 's> {
        set.batches(epoch, self.settings.batch_size, order, self.device)
    }
}

impl fmt::Display for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?}", self.settings, self.device)
    }
}
