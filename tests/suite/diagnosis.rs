//! What is made of the numbers: unit cases, and real runs with and without imbalance.

use g2d::{
    Batch, EpochReport, G2dTrainer, Modality, ModalityParams, Result, Student,
    diagnosis::{Advice, Better, Diagnosis, Evidence, FindingKind, Metric, Thresholds},
    evaluate,
    loss::{Classification, Distillation},
};
use tch::{Device, Kind, Tensor, nn, nn::Module, nn::OptimizerConfig};

use crate::support::{mismatch, wave};

fn of(evidence: &Evidence) -> Diagnosis {
    Diagnosis::from_evidence(evidence, &Thresholds::default()).unwrap()
}

fn kinds(diagnosis: &Diagnosis) -> Vec<FindingKind> {
    diagnosis.findings.iter().map(|finding| finding.kind).collect()
}

/// CREMA-D in the paper: joint training, its teachers, its video head.
fn cremad() -> Evidence {
    let mut seen = Evidence::new(Metric::accuracy(6), &Modality::list(["audio", "video"]));
    seen.fused = Some(0.6747);
    seen.teachers = vec![Some(0.6169), Some(0.7648)];
    seen.heads = vec![Some(0.5710), Some(0.2742)];
    seen.epochs = Some(300);
    seen
}

#[test]
fn the_papers_case_in_words() {
    let found = of(&cremad());
    assert_eq!(
        found.to_string(),
        "The video encoder is suppressed: the accuracy of its head is 27.4 %, that of its teacher \
         76.5 %. Train video first: use Sequential::new([150]).\n\
         The fused model is worse than the video teacher alone: its accuracy is 67.5 %, that of the \
         teacher 76.5 %. Train with L_G2D: pass the teachers to the trainer, and set α and β above 0."
    );
    let first = &found.findings[0];
    assert_eq!(first.number("head"), Some(0.2742));
    let kept = (0.2742 - 1.0 / 6.0) / (0.7648 - 1.0 / 6.0);
    assert!((first.number("kept").unwrap() - kept).abs() < 1e-12);
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Diagnosis>(&json).unwrap(), found);
}

#[test]
fn without_imbalance_it_is_silent() {
    let mut seen = cremad();
    (seen.fused, seen.heads) = (Some(0.80), vec![Some(0.55), Some(0.70)]);
    assert_eq!(of(&seen).findings, []);
    assert_eq!(of(&seen).to_string(), "");
    // Every slice keeps as little: nobody is suppressed by another.
    seen.heads = vec![Some(0.35), Some(0.40)];
    assert_eq!(of(&seen).findings, []);
    // A teacher near chance has nothing to lose.
    seen.teachers = vec![Some(0.18), Some(0.7648)];
    seen.heads = vec![Some(0.16), Some(0.75)];
    assert_eq!(of(&seen).findings, []);
    // Nothing known, nothing said.
    let modalities = Modality::list(["audio", "video"]);
    assert_eq!(of(&Evidence::new(Metric::accuracy(6), &modalities)).findings, []);
}

#[test]
fn smp_is_advised_against_where_joint_training_suffices() {
    let mut seen = cremad();
    seen.fused = Some(0.80);
    let found = of(&seen);
    assert_eq!(kinds(&found), [FindingKind::Suppressed]);
    assert_eq!(found.findings[0].advice, Advice::KeepJoint);
    assert!(found.to_string().contains("SMP is unlikely to help"));
    // Within the margin of the better teacher it does not count as above.
    seen.fused = Some(0.77);
    assert!(matches!(of(&seen).findings[0].advice, Advice::Prioritise { .. }));
    // That SMP got it there says nothing about joint training, but for the schedule.
    (seen.fused, seen.kappa) = (Some(0.80), vec![vec![1.0, 0.0], vec![1.0, 1.0]]);
    assert_eq!(of(&seen).findings[0].advice, Advice::KeepSchedule);
    assert!(of(&seen).to_string().ends_with("is better than the best teacher."));
    seen.fused = Some(0.77);
    assert!(matches!(of(&seen).findings[0].advice, Advice::Prioritise { .. }));
}

#[test]
fn advice_follows_history_rank_and_probe() {
    let mut seen = cremad();
    seen.confidence = vec![Some(0.7), Some(0.9)];
    let advice = of(&seen).findings[0].advice.clone();
    let audio = Some(Modality::new("audio"));
    let first = Modality::new("video");
    assert_eq!(
        advice,
        Advice::Prioritise { first: first.clone(), epochs: Some(150), unless_fixed: audio }
    );
    assert!(advice.to_string().contains("Ranking::Fixed"));

    seen.kappa = vec![vec![0.0, 1.0], vec![0.0, 1.0], vec![1.0, 1.0]];
    assert_eq!(of(&seen).findings[0].advice, Advice::LengthenStage { first, epochs: 4 });

    seen.probes = vec![None, Some(0.74)];
    let found = of(&seen);
    assert_eq!(found.findings[0].kind, FindingKind::Unused);
    assert_eq!(found.findings[0].advice, Advice::ReviseFusion);
    assert!(found.to_string().contains("74.0 %"));
    // Random features were nearly as good: (0.74 − 0.70) / (0.7648 − 0.70) is not much.
    seen.untrained = vec![None, Some(0.70)];
    assert_eq!(kinds(&of(&seen))[0], FindingKind::Suppressed);
    assert_eq!(of(&seen).findings[0].number("untrained"), Some(0.70));
    seen.untrained = vec![None, Some(0.60)];
    assert_eq!(kinds(&of(&seen))[0], FindingKind::Unused);
    // Better than the teacher before it began: nothing can be said of learning.
    seen.untrained = vec![None, Some(0.80)];
    assert_eq!(kinds(&of(&seen))[0], FindingKind::Suppressed);
}

#[test]
fn a_metric_may_be_better_when_lower() {
    let mut seen = Evidence::new(Metric::error("RMSE", 4.0), &Modality::list(["image", "weather"]));
    seen.fused = Some(2.9);
    seen.teachers = vec![Some(2.0), Some(3.0)];
    seen.heads = vec![Some(3.7), Some(3.1)];
    let found = of(&seen);
    assert_eq!(kinds(&found), [FindingKind::Suppressed, FindingKind::BelowTeacher]);
    assert_eq!(found.findings[0].modality.name(), "image");
    assert!((found.findings[0].number("kept").unwrap() - 0.15).abs() < 1e-12);
    let words = "The image encoder is suppressed: the RMSE of its head is 3.7000, that of its teacher 2.0000.";
    assert!(found.to_string().starts_with(words));
    (seen.fused, seen.heads) = (Some(1.9), vec![Some(2.4), Some(3.1)]);
    assert_eq!(of(&seen).findings, []);
}

#[test]
fn without_a_teacher_little_contribution_asks_for_one() {
    let mut seen = Evidence::new(Metric::accuracy(4), &Modality::list(["a", "b"]));
    seen.contributions = vec![Some(0.48), Some(0.02)];
    let found = of(&seen);
    assert_eq!(kinds(&found), [FindingKind::Marginal]);
    assert_eq!(found.findings[0].advice, Advice::TrainTeacher);
    seen.contributions = vec![Some(0.3), Some(0.2)];
    assert_eq!(of(&seen).findings, []);
}

#[test]
fn thresholds_decide_and_bad_input_is_refused() {
    let strict = Thresholds { kept: 0.1, margin: 1.0, ..Thresholds::default() };
    assert_eq!(Diagnosis::from_evidence(&cremad(), &strict).unwrap().findings, []);
    let wrong = Thresholds { spread: -0.1, ..Thresholds::default() };
    mismatch(Diagnosis::from_evidence(&cremad(), &wrong), &["\"spread\"", "[0, 1]"]);
    let mut short = cremad();
    short.heads.pop();
    mismatch(Diagnosis::from_evidence(&short, &Thresholds::default()), &["heads", "2 values"]);
    let mut nan = cremad();
    nan.fused = Some(f64::NAN);
    mismatch(Diagnosis::from_evidence(&nan, &Thresholds::default()), &["fused", "NaN"]);
}

/// Two linear encoders and one head over both.
struct Pair {
    names: Vec<Modality>,
    encoders: Vec<nn::Linear>,
    head: nn::Linear,
}

impl Pair {
    fn new(vs: &nn::VarStore, names: &[Modality]) -> Self {
        let linear = |name: &str, from, to, phase| {
            let mut layer = nn::linear(vs.root() / name, from, to, Default::default());
            tch::no_grad(|| layer.ws.copy_(&(wave(phase, &[to, from]) * 0.3)));
            let _ = tch::no_grad(|| layer.bs.as_mut().unwrap().zero_());
            layer
        };
        let encoders = names.iter().zip([0.1, 0.6]).map(|(m, p)| linear(m.name(), 4, 4, p));
        let encoders = encoders.collect();
        Self {
            names: names.to_vec(),
            encoders,
            head: linear("head", 4 * names.len() as i64, 4, 0.4),
        }
    }
}

impl Student for Pair {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
        Ok(self.encoders[m].forward(batch.input(m)))
    }

    fn fuse(&self, features: &[Tensor], _train: bool) -> Result<Tensor> {
        Ok(Tensor::f_cat(features, 1)?.apply(&self.head))
    }

    fn unimodal_logits(&self, m: usize, features: &[Tensor]) -> Option<Tensor> {
        Some(features[m].matmul(&self.head.ws.narrow(1, 4 * m as i64, 4).tr()))
    }
}

/// Inputs and labels of 4 classes: input m points at the label, or in a share `wrong[m]` of the samples
/// at another class, and is `size[m]` long, with a little noise.
fn data(seed: f64, samples: i64, wrong: [f64; 2], size: [f64; 2]) -> ([Tensor; 2], Tensor) {
    let noise = |phase: f64, shape: &[i64]| {
        let n = Tensor::arange(shape.iter().product::<i64>(), (Kind::Float, Device::Cpu)) + phase;
        ((n * 12.9898).sin() * 43758.547).frac().abs().reshape(shape)
    };
    let labels = (noise(seed, &[samples]) * 4.0).floor().to_kind(Kind::Int64).clamp(0, 3);
    let inputs = [0, 1].map(|m| {
        let phase = seed + 1000.0 * (m + 1) as f64 + 0.37;
        let shift = noise(phase, &[samples]).lt(wrong[m]).to_kind(Kind::Int64);
        let shift =
            shift * ((noise(phase + 0.11, &[samples]) * 3.0).floor().to_kind(Kind::Int64) + 1);
        let pointed = (&labels + shift).remainder(4).one_hot(4).to_kind(Kind::Float);
        (pointed + (noise(phase + 0.53, &[samples, 4]) - 0.5) * 0.8) * size[m]
    });
    (inputs, labels)
}

/// Trains on what `pick` takes of the modalities; validation accuracy of the whole and of the heads.
fn train(
    pick: &[usize],
    epochs: u64,
    wrong: [f64; 2],
    size: [f64; 2],
) -> (f64, Vec<(Modality, f64)>, Vec<EpochReport>) {
    let names: Vec<Modality> = pick.iter().map(|m| Modality::new(["a", "b"][*m])).collect();
    let batch = |seed, samples| {
        let (inputs, labels) = data(seed, samples, wrong, size);
        let own: Vec<_> = pick.iter().map(|&m| inputs[m].shallow_clone()).collect();
        Batch::new(own, labels)
    };
    let vs = nn::VarStore::new(Device::Cpu);
    let student = Pair::new(&vs, &names);
    let batches: Vec<Batch> = (0..8).map(|i| batch(f64::from(i) * 77.7, 64)).collect();
    let mut optimizer = nn::Sgd::default().build(&vs, 0.1).unwrap();
    let mut reports = Vec::new();
    if let [_, _] = pick {
        let params = ModalityParams::by_name(&vs, &names).unwrap();
        let loss = Classification::new(Distillation::none());
        let mut trainer = G2dTrainer::builder(loss).encoders(params).build(&student).unwrap();
        for _ in 0..epochs {
            for batch in &batches {
                optimizer.zero_grad();
                trainer.step(&student, batch).unwrap();
                optimizer.step();
            }
            reports.push(trainer.end_epoch().unwrap());
        }
    } else {
        for batch in (0..epochs).flat_map(|_| &batches) {
            let features = student.encode(0, batch, true).unwrap();
            let logits = student.fuse(&[features], true).unwrap();
            optimizer.backward_step(&logits.cross_entropy_for_logits(batch.targets()));
        }
    }
    let held_out = evaluate(&student, [Ok(batch(5000.5, 600))]).unwrap();
    (held_out.accuracy().unwrap(), held_out.head_accuracy().unwrap(), reports)
}

/// Teachers trained to the end, a joint run, and what is made of them.
fn diagnosed(wrong: [f64; 2], size: [f64; 2]) -> (Evidence, Diagnosis) {
    let teachers = [0, 1].map(|m| train(&[m], 400, wrong, size).0);
    let (fused, heads, reports) = train(&[0, 1], 30, wrong, size);
    let names = Modality::list(["a", "b"]);
    let mut seen =
        Evidence::new(Metric::accuracy(4), &names).with_heads(&heads).with_reports(&reports);
    (seen.fused, seen.teachers) = (Some(fused), teachers.map(Some).to_vec());
    let found = of(&seen);
    (seen, found)
}

#[test]
fn a_real_run_with_imbalance() {
    // a is loud and wrong in a third of the samples; b is faint and nearly always right.
    let (seen, found) = diagnosed([0.35, 0.03], [1.0, 0.05]);
    assert_eq!(kinds(&found), [FindingKind::Suppressed, FindingKind::BelowTeacher], "{seen:?}");
    assert_eq!(found.findings[0].modality.name(), "b");
    let first = Modality::new("b");
    let advice = Advice::Prioritise { first, epochs: Some(15), unless_fixed: None };
    assert_eq!(found.findings[0].advice, advice);
}

#[test]
fn a_real_run_without_imbalance() {
    let (seen, found) = diagnosed([0.25, 0.25], [1.0, 1.0]);
    assert_eq!(found.findings, [], "{seen:?}");
    assert_eq!(seen.metric.better, Better::HighShare);
}
