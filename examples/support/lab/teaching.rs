//! A teacher.

use anyhow::Result;
use g2d::{
    CachedTeacher, evaluate_teacher,
    paper::{
        data::{InMemory, Order},
        networks::UnimodalNetwork,
    },
};
use rand::{SeedableRng, rngs::StdRng};
use tch::{Tensor, nn::VarStore};

use super::{Lab, arguments::TeacherEpoch, problem::Problem, training::goodness};
use crate::support::{best::Best, progress::Bars, summary::TeacherSummary};

impl Lab {
    /// A network for modality `m`, freshly initialised.
    pub(super) fn untaught(
        &self,
        m: usize,
        problem: &Problem,
    ) -> Result<(VarStore, UnimodalNetwork)> {
        tch::manual_seed(self.seed as i64 + 1000 * (m as i64 + 1));
        let vs = VarStore::new(self.device);
        let net = problem.teacher(m, &vs)?;
        Ok((vs, net))
    }

    /// Trains one teacher, then freezes it and records its answers on the training set.
    pub(super) fn teach(
        &self,
        m: usize,
        mut vs: VarStore,
        net: UnimodalNetwork,
        problem: &Problem,
        bars: &Bars,
    ) -> Result<(CachedTeacher, TeacherSummary)> {
        let (splits, task) = (&problem.splits, &problem.task);
        let modality = splits.train.modalities()[m].clone();
        let mut bar = bars.add(&format!("teacher {modality}"), self.settings.epochs);
        let mut optimizer = self.settings.optimizer(&vs)?;
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut best = Best::default();
        for epoch in 0..self.settings.epochs {
            optimizer.set_lr(self.settings.lr_at(epoch));
            let (mut loss_sum, mut samples) = (0.0, 0.0);
            for batch in self.batches(&splits.train, Order::Shuffled(&mut rng)) {
                let batch = batch?;
                let (_, predictions) = net.forward(batch.input(m), true)?;
                let loss = task.loss(&predictions, batch.targets());
                optimizer.backward_step(&loss);
                loss_sum += loss.double_value(&[]) * batch.size() as f64;
                samples += batch.size() as f64;
            }
            let val = self.measure(&net, m, &splits.val, problem)?[0];
            best.keep(goodness(&task.metrics()[0], val), &vs);
            bar.plain_epoch(loss_sum / samples, &[("val".into(), val)]);
        }
        bar.finish();
        if self.settings.teacher == TeacherEpoch::Best {
            best.restore(&mut vs)?;
        }
        let test = self.measure(&net, m, &splits.test, problem)?;
        let names = task.metrics().iter().map(|metric| metric.on("test"));
        let scores = names.zip(test).collect();
        let teacher = net.into_teacher(modality, &mut vs);
        let train = evaluate_teacher(&teacher, m, self.batches(&splits.train, Order::Stored))?;
        let train_confidence = task.confidence(&train.logits, &train.targets)?;
        let cache = CachedTeacher::record(&teacher, m, self.batches(&splits.train, Order::Stored))?;
        Ok((cache, TeacherSummary { scores, train_confidence }))
    }

    fn measure(
        &self,
        net: &UnimodalNetwork,
        m: usize,
        set: &InMemory,
        problem: &Problem,
    ) -> Result<Vec<f64>> {
        let _no_grad = tch::no_grad_guard();
        let predict = |batch: g2d::Result<g2d::Batch>| Ok(net.forward(batch?.input(m), false)?.1);
        let predictions =
            self.batches(set, Order::Stored).map(predict).collect::<g2d::Result<Vec<_>>>()?;
        problem
            .task
            .measure(&Tensor::cat(&predictions, 0).to_device(tch::Device::Cpu), set.targets())
    }
}
