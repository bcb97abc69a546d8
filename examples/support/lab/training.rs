//! A student.

use anyhow::Result;
use g2d::{
    Batch, CachedTeacher, ConfidenceRatio, GradientNorm, evaluate,
    paper::{
        data::{InMemory, Order},
        networks::MixedNetwork,
    },
    record::CsvRecorder,
};
use rand::{SeedableRng, rngs::StdRng};
use tch::nn::VarStore;

use super::{Lab, problem::Problem};
use crate::support::{
    best::Best,
    methods::Method,
    metric::{Better, Metric},
    progress::Bars,
    summary::MethodSummary,
};

/// A value of the metric, so that higher is better.
pub(super) fn goodness(metric: &Metric, value: f64) -> f64 {
    match metric.better {
        Better::Higher => value,
        Better::Lower => -value,
    }
}

/// What a student is worth on a split.
struct Measured {
    /// The fused student, by every metric.
    fused: Vec<f64>,
    /// Each head alone, by the first metric.
    heads: Vec<(String, f64)>,
}

impl Lab {
    /// Trains a student by `method`; writes `{method}.csv`.
    pub(super) fn train(
        &self,
        method: Method,
        mut vs: VarStore,
        student: &MixedNetwork,
        teachers: Vec<CachedTeacher>,
        problem: &Problem,
        bars: &Bars,
    ) -> Result<MethodSummary> {
        let (splits, metrics) = (&problem.splits, problem.task.metrics());
        let epochs = self.settings.epochs;
        let mut bar = bars.add(method.key(), epochs);
        let mut csv = CsvRecorder::create(self.out.join(format!("{}.csv", method.key())))?;
        let mut optimizer = self.settings.optimizer(&vs)?;
        let mut builder = problem
            .task
            .trainer(method.distillation())
            .encoders(student.encoder_params(&vs)?)
            .boxed_scheduler(method.scheduler(&self.settings.schedule()))
            .probe(ConfidenceRatio::default())
            .probe(GradientNorm::default());
        for teacher in teachers {
            builder = builder.teacher(teacher);
        }
        let mut trainer = builder.build(student)?;
        let mut kappa = vec![0.0; trainer.modalities().len()];
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut best = Best::default();
        for epoch in 0..epochs {
            optimizer.set_lr(self.settings.lr_at(epoch));
            for batch in self.batches(&splits.train, Order::Shuffled(&mut rng)) {
                optimizer.zero_grad();
                trainer.step(student, &batch?)?;
                optimizer.step();
            }
            let report = trainer.end_epoch()?;
            kappa.iter_mut().zip(&report.kappa).for_each(|(sum, k)| *sum += k);
            let Measured { fused, heads } = self.evaluate(student, &splits.val, problem)?;
            best.keep(goodness(&metrics[0], fused[0]), &vs);
            let columns = metrics.iter().map(|metric| metric.on("val")).zip(fused.iter().copied());
            let of_head =
                |(m, value): &(String, f64)| (format!("{}_{m}", metrics[0].on("val")), *value);
            csv.epoch(&report, &columns.chain(heads.iter().map(of_head)).collect::<Vec<_>>())?;
            let shown: Vec<_> = [("val".to_owned(), fused[0])].into_iter().chain(heads).collect();
            bar.epoch(&report, &shown);
        }
        csv.flush()?;
        bar.finish();
        let val = goodness(&metrics[0], best.restore(&mut vs)?); // twice is the value itself
        let Measured { fused, heads } = self.evaluate(student, &splits.test, problem)?;
        let test = metrics.iter().map(|metric| metric.on("test")).zip(fused);
        let scores = test.chain([(metrics[0].on("val"), val)]).collect();
        let names = trainer.modalities().iter().map(|m| m.name().to_owned());
        let kappa = names.zip(kappa.iter().map(|sum| sum / epochs as f64)).collect();
        Ok(MethodSummary { scores, heads: heads.into_iter().collect(), kappa })
    }

    fn evaluate(
        &self,
        student: &MixedNetwork,
        set: &InMemory,
        problem: &Problem,
    ) -> Result<Measured> {
        let predictions = evaluate(student, self.batches(set, Order::Stored))?;
        let fused = problem.task.measure(&predictions.logits, &predictions.targets)?;
        let head = |(m, logits): &(g2d::Modality, tch::Tensor)| {
            let measured = problem.task.measure(logits, &predictions.targets)?;
            Ok((m.name().to_owned(), measured[0]))
        };
        let heads = predictions.heads.iter().map(head).collect::<Result<_>>()?;
        Ok(Measured { fused, heads })
    }

    /// The samples in batches. Training leaves out a last batch of one sample: it has no variance for
    /// batch norm, and no order of modalities can rest on it.
    pub(super) fn batches<'s>(
        &self,
        set: &'s InMemory,
        order: Order<'_>,
    ) -> impl Iterator<Item = g2d::Result<Batch>> + use<'s> {
        let least = if matches!(order, Order::Shuffled(_)) { 2 } else { 1 };
        let whole =
            move |batch: &g2d::Result<Batch>| batch.as_ref().map_or(true, |b| b.size() >= least);
        set.batches(self.settings.batch_size, order, self.device).filter(whole)
    }
}
