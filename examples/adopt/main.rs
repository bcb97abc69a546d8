//! A model of three modalities, trained with G²D: a conformer on audio, tch's ResNet-18 on images and a
//! transformer on text, joined by cross-attention (`model.rs`, plain tch). It trains in bf16 with
//! accumulated gradients, on samples of which some have no text, with recorded outputs of teachers, one of
//! them from PyTorch. It resumes after a stop, and exports the student with its calibrated prediction.
//!
//! This file is all that the program has of g2d: at most 100 lines, which a test counts.

mod arguments;
mod data;
mod model;

use anyhow::Result;
use g2d::checkpoint::ResumableRun;
use g2d::data::BatchOrder;
use g2d::loss::{Classification, Distillation};
use g2d::optim::{AdamWConfig, LrSchedule, Optimizer, ParameterInfo};
use g2d::record::{Outcome, Recorders, RunFolder, RunInfo, RunMetric, StepRecord};
use g2d::schedule::{Ranking, Sequential};
use g2d::teacher::{Cached, FrozenModel, TorchScript};
use g2d::trainer::{Precision, Suppression, UnimodalTrainer};
use g2d::{G2dTrainer, ModalityParams, Student, batch::Input, calibration::Prediction, export};
use g2d::{evaluate, student::Closures};
use tch::{Device, nn::VarStore};

use arguments::Arguments;

fn main() -> Result<()> {
    let Arguments { out, epochs, .. } = Arguments::read()?;
    tch::manual_seed(7);
    let device = Device::cuda_if_available();
    let (train, val) = data::generate(7)?.hold_out_by_class(0.25, 7)?;
    let (shuffled, stored) = (BatchOrder::shuffled(12, 7), BatchOrder::stored(24));
    let batches = |epoch| train.batches(&shuffled, epoch, device);
    let validation = || val.batches(&stored, 0, device);
    let adamw = AdamWConfig { lr: 2e-3, weight_decay: 0.05, ..AdamWConfig::default() };

    // Two teachers are trained; that of the text is a TorchScript file.
    let teach = |name: &str, m: usize| -> Result<Cached> {
        let mut vs = VarStore::new(device);
        let (encoder, head) = (model::encoder(&vs.root(), name), model::head(&vs.root()));
        let model = move |input: &Input, train: bool| {
            let features = model::summary(&encoder.forward_t(input, train));
            let logits = features.apply(&head);
            (features, logits)
        };
        let trainer =
            UnimodalTrainer::new(name, m, Classification::default(), adamw).epochs(epochs);
        trainer.precision(Precision::Bf16).train(&model, &vs, batches, validation)?;
        let teacher = FrozenModel::new(name, &mut vs, model);
        Ok(Cached::record(&teacher, m, train.batches(&stored, 0, device))?)
    };
    let text = TorchScript::load("text", data::text_teacher(), device)?;
    let text = Cached::record(&text, 2, train.batches(&stored, 0, device))?;

    let vs = VarStore::new(device);
    let net = model::Model::new(&vs.root());
    let mut student = Closures::builder()
        .encoder("audio", |input, train| Ok(net.audio.forward_t(input, train)))
        .encoder("image", |input, train| Ok(net.image.forward_t(input, train)))
        .encoder("text", |input, train| Ok(net.text.forward(input, input.tensor("mask")?, train)))
        .feature_shape("text", [1, model::WIDTH])
        .fusion(|tokens, _| Ok(net.fuse(tokens, &tokens.input(2, "mask")?)));
    for (name, head) in data::MODALITIES.into_iter().zip(&net.heads) {
        student = student
            .head(name, move |own, _| Ok(model::summary(own).apply(head)))
            .distilled(name, |own, _| Ok(model::summary(own)));
    }
    let student = student.build()?;
    let trainer = G2dTrainer::builder(Classification::new(Distillation::balanced()))
        .encoders(ModalityParams::by_name(&vs, student.modalities())?)
        .teacher(teach("audio", 0)?)
        .teacher(teach("image", 1)?)
        .teacher(text)
        .scheduler(Sequential::new([1, 1]).ranking(Ranking::PreviousEpoch))
        .suppression(Suppression::FusedLoss)
        .precision(Precision::Bf16)
        .accumulate(2)
        .clip_norm(1.0)
        .build(&student)?;
    let optimizer = Optimizer::builder(&vs, adamw)
        .group("image", AdamWConfig { lr: 1e-3, ..adamw })
        .no_decay(ParameterInfo::is_bias_or_norm)
        .build()?;

    let snapshots = ResumableRun::builder(out.join("snapshots"), trainer, optimizer);
    let mut run = snapshots.weights("student", &vs).every(4).resume(())?;
    let accuracy = RunMetric::accuracy(model::CLASSES as u32);
    let folder = RunFolder::resume(out.join("run"), run.trainer.progress())?;
    let mut recorders = Recorders::new().with(folder).step_interval(2);
    let info = RunInfo::new("adopt", run.trainer.modalities(), device).judged_by(&accuracy);
    recorders.begin(&info);
    let schedule = LrSchedule::one_cycle(epochs * 5);
    for epoch in run.epochs(epochs) {
        for batch in batches(epoch).skip(run.batches_done()) {
            run.optimizer.set_lr_factor(schedule.factor(run.trainer.progress().updates))?;
            let report = run.trainer.step(&student, &batch?)?;
            recorders.step(StepRecord::new(&report).optimizer(&run.optimizer));
            run.trainer.update(&mut run.optimizer)?;
            run.save_if_due(&report)?;
        }
        run.trainer.finish_update(&mut run.optimizer)?;
        let report = run.trainer.end_epoch()?;
        let scores = accuracy.scores("val", &run.trainer.evaluate(&student, validation())?)?;
        println!("epoch {epoch}: loss {:.3}, {scores:.1?}", report.terms.total);
        recorders.epoch(&report, &scores);
        run.save(scores[0].1)?;
    }

    run.restore_best()?;
    let found = evaluate(&student, validation())?;
    recorders.finish(&Outcome { scores: accuracy.scores("val", &found)?, ..Default::default() });
    let (prediction, example) = (Prediction::select(&found)?, data::example(&val, device)?);
    let export = export::TorchScript::new(&student, &vs).prediction(&prediction);
    Ok(export.save(out.join("student.pt"), &example)?)
}
