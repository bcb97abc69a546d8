//! A teacher for each modality.

use anyhow::Result;
use g2d::{
    CachedTeacher, Classification, G2dLoss, Modality, Teacher, evaluate_teacher, metrics,
    paper::{
        data::Order,
        networks::{Backbone, Initialisation, UnimodalClassifier},
    },
};
use rand::{SeedableRng, rngs::StdRng};
use tch::{Device, Tensor, nn::VarStore};

use crate::{
    data::{Source, Splits},
    settings::TeacherEpoch,
    support::{best::Best, metric::Metric, progress::Bars, summary::TeacherSummary},
    training::Lab,
};

/// A unimodal network with its weights.
pub struct Untaught {
    m: usize,
    vs: VarStore,
    net: UnimodalClassifier,
    shape: Shape,
}

/// What it takes to make the same network again.
#[derive(Clone)]
struct Shape {
    modality: Modality,
    channels: i64,
    classes: i64,
    backbone: (Backbone, Initialisation),
    device: Device,
}

/// A trained teacher, ready to teach any number of students.
pub struct Taught {
    pub summary: TeacherSummary,
    vs: VarStore,
    shape: Shape,
    cache: Option<CachedTeacher>,
}

impl Shape {
    fn build(&self) -> Result<(VarStore, UnimodalClassifier)> {
        let vs = VarStore::new(self.device);
        let (backbone, init) = self.backbone;
        let net = UnimodalClassifier::new(&vs, self.channels, self.classes, backbone, init)?;
        Ok((vs, net))
    }
}

impl Taught {
    /// One student's teacher: the recorded answers, or a copy of the network.
    pub fn teacher(&self) -> Result<Box<dyn Teacher + Send>> {
        if let Some(cache) = &self.cache {
            return Ok(Box::new(cache.share()));
        }
        let (mut vs, net) = self.shape.build()?;
        vs.copy(&self.vs)?;
        Ok(Box::new(net.into_teacher(self.shape.modality.clone(), &mut vs)))
    }
}

impl Lab {
    /// A network for modality `m`, freshly initialised.
    pub fn untaught(&self, m: usize, splits: &Splits) -> Result<Untaught> {
        tch::manual_seed(self.settings.seed as i64 + 1000 * (m as i64 + 1));
        let (modality, channels) = splits.channels[m].clone();
        let shape = Shape {
            modality,
            channels,
            classes: splits.classes,
            backbone: self.settings.backbone(),
            device: self.device,
        };
        let (vs, net) = shape.build()?;
        Ok(Untaught { m, vs, net, shape })
    }

    /// Trains one teacher; records its answers where every epoch shows it the same samples.
    pub fn teach(&self, untaught: Untaught, splits: &Splits, bars: &Bars) -> Result<Taught> {
        let Untaught { m, mut vs, net, shape } = untaught;
        let epochs = self.settings.epochs;
        let mut bar = bars.add(&format!("teacher {}", shape.modality), epochs);
        let mut optimizer = self.settings.optimizer(&vs)?;
        let mut rng = StdRng::seed_from_u64(self.settings.seed);
        let mut best = Best::default();
        for epoch in 0..epochs {
            optimizer.set_lr(self.settings.lr_at(epoch));
            let mut loss_sum = Tensor::from(0.0).to_device(self.device);
            let mut samples = 0.0;
            for batch in self.batches(&splits.train, epoch, Order::Shuffled(&mut rng)) {
                let batch = batch?;
                let (_, logits) = net.forward(batch.input(m), true)?;
                let loss = logits.cross_entropy_for_logits(batch.targets());
                optimizer.backward_step(&loss);
                loss_sum += loss.detach() * batch.size() as f64;
                samples += batch.size() as f64;
            }
            let accuracy = 100.0 * self.accuracy(&net, m, &splits.val)?;
            best.keep(accuracy, &vs);
            bar.plain_epoch(loss_sum.double_value(&[]) / samples, &[("val".into(), accuracy)]);
        }
        bar.finish();
        if self.settings.teacher == TeacherEpoch::Best {
            best.restore(&mut vs)?;
        }
        let test_accuracy = 100.0 * self.accuracy(&net, m, &splits.test)?;
        let teacher = net.into_teacher(shape.modality.clone(), &mut vs);
        let stored = || self.batches(&splits.train, 0, Order::Stored);
        let train = evaluate_teacher(&teacher, m, stored())?;
        let confidence = Classification::default().confidence(&train.logits, &train.targets)?;
        let cache =
            splits.steady.then(|| CachedTeacher::record(&teacher, m, stored())).transpose()?;
        let train_confidence = confidence.double_value(&[]);
        let scores = [(Metric::ACCURACY.on("test"), test_accuracy)].into();
        let summary = TeacherSummary { scores, train_confidence };
        Ok(Taught { summary, vs, shape, cache })
    }

    fn accuracy(&self, net: &UnimodalClassifier, m: usize, set: &Source) -> Result<f64> {
        let _no_grad = tch::no_grad_guard();
        let (mut right, mut samples) = (0.0, 0.0);
        for batch in self.batches(set, 0, Order::Stored) {
            let batch = batch?;
            let (_, logits) = net.forward(batch.input(m), false)?;
            right += metrics::accuracy(&logits, batch.targets())? * batch.size() as f64;
            samples += batch.size() as f64;
        }
        Ok(right / samples)
    }
}
