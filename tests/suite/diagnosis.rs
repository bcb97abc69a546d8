//! Findings and advice: given evidence, and training runs with and without imbalance.

use g2d::{
    Batch, EpochReport, Features, G2dTrainer, Modality, ModalityParams, Result, Student,
    diagnosis::{Advice, Better, Diagnosis, Evidence, FindingKind, Metric, Thresholds},
    evaluate,
    loss::{Classification, Distillation},
};
use tch::{Device, Kind, Tensor, nn, nn::Module, nn::OptimizerConfig};

use crate::support::{assert_mismatch, fuse, wave};

fn diagnose(evidence: &Evidence) -> Diagnosis {
    Diagnosis::from_evidence(evidence, &Thresholds::default()).unwrap()
}

fn kinds_of(diagnosis: &Diagnosis) -> Vec<FindingKind> {
    diagnosis.findings.iter().map(|finding| finding.kind).collect()
}

/// The paper's numbers for CREMA-D: joint training, teachers, and the unimodal heads.
fn cremad() -> Evidence {
    let mut seen = Evidence::new(Metric::accuracy(6), &Modality::list(["audio", "video"]));
    seen.fused = Some(0.6747);
    seen.teachers = vec![Some(0.6169), Some(0.7648)];
    seen.heads = vec![Some(0.5710), Some(0.2742)];
    seen.epochs = Some(300);
    seen
}

#[test]
fn the_papers_numbers_give_two_findings_as_text_and_as_json() {
    let found = diagnose(&cremad());
    assert_eq!(
        found.to_string(),
        "The video encoder is suppressed: the accuracy of its head is 27.4 %, that of its teacher \
         76.5 %. Train video first: use Sequential::new([150]).\n\
         The fused model is worse than the video teacher alone: its accuracy is 67.5 %, that of the \
         teacher 76.5 %. Use balanced training: Distillation::balanced() and the fusion weights of a \
         Calibration."
    );
    let first = &found.findings[0];
    assert_eq!(first.number("head"), Some(0.2742));
    let kept = (0.2742 - 1.0 / 6.0) / (0.7648 - 1.0 / 6.0);
    assert!((first.number("kept").unwrap() - kept).abs() < 1e-12);
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Diagnosis>(&json).unwrap(), found);
}

#[test]
fn evidence_without_imbalance_gives_no_finding() {
    let mut seen = cremad();
    (seen.fused, seen.heads) = (Some(0.80), vec![Some(0.55), Some(0.70)]);
    assert_eq!(diagnose(&seen).findings, []);
    assert_eq!(diagnose(&seen).to_string(), "");
    // All heads keep equally little: no modality suppresses another.
    seen.heads = vec![Some(0.35), Some(0.40)];
    assert_eq!(diagnose(&seen).findings, []);
    // The teacher of a modality is near chance.
    seen.teachers = vec![Some(0.18), Some(0.7648)];
    seen.heads = vec![Some(0.16), Some(0.75)];
    assert_eq!(diagnose(&seen).findings, []);
    // No evidence at all.
    let modalities = Modality::list(["audio", "video"]);
    assert_eq!(diagnose(&Evidence::new(Metric::accuracy(6), &modalities)).findings, []);
}

#[test]
fn smp_is_advised_against_where_joint_training_suffices() {
    let mut seen = cremad();
    seen.fused = Some(0.80);
    let found = diagnose(&seen);
    assert_eq!(kinds_of(&found), [FindingKind::Suppressed]);
    assert_eq!(found.findings[0].advice, Advice::KeepJoint);
    assert!(found.to_string().contains("SMP is unlikely to help"));
    // Within the margin of the better teacher it does not count as above.
    seen.fused = Some(0.77);
    assert!(matches!(diagnose(&seen).findings[0].advice, Advice::Prioritise { .. }));
    // The run had SMP, so its result speaks for the schedule and not for joint training.
    (seen.fused, seen.kappa) = (Some(0.80), vec![vec![1.0, 0.0], vec![1.0, 1.0]]);
    assert_eq!(diagnose(&seen).findings[0].advice, Advice::KeepSchedule);
    assert!(diagnose(&seen).to_string().ends_with("is better than the best teacher."));
    seen.fused = Some(0.77);
    assert!(matches!(diagnose(&seen).findings[0].advice, Advice::Prioritise { .. }));
}

#[test]
fn a_joint_run_above_its_teachers_gives_a_warning_about_smp() {
    let mut seen = cremad();
    (seen.fused, seen.heads) = (Some(0.80), vec![Some(0.55), Some(0.70)]);
    seen.kappa = vec![vec![1.0, 1.0]];
    let found = diagnose(&seen);
    assert_eq!(kinds_of(&found), [FindingKind::AboveTeachers]);
    assert_eq!(found.findings[0].advice, Advice::KeepJoint);
    assert_eq!(found.findings[0].modality.name(), "video");
    // A suppressed modality gives the same advice once.
    seen.heads = cremad().heads;
    assert_eq!(kinds_of(&diagnose(&seen)), [FindingKind::Suppressed]);
    // A run with a schedule is no joint run.
    (seen.heads, seen.kappa) = (vec![Some(0.55), Some(0.70)], vec![vec![1.0, 0.0]]);
    assert_eq!(diagnose(&seen).findings, []);
}

#[test]
fn what_there_is_without_the_run_is_preferred_where_it_is_better() {
    let mut seen = cremad();
    (seen.fused, seen.heads) = (Some(0.79), vec![Some(0.55), Some(0.70)]);
    seen.alternatives = vec![("the ensemble".into(), 0.85), ("joint training".into(), 0.67)];
    let found = diagnose(&seen);
    assert_eq!(kinds_of(&found), [FindingKind::BelowAlternative]);
    assert_eq!(
        found.to_string(),
        "The fused model is worse than the ensemble: its accuracy is 79.0 %, that of the ensemble \
         85.0 %. Use the ensemble, or balanced training: Distillation::balanced() and the fusion \
         weights of a Calibration."
    );
    // Within the margin.
    seen.fused = Some(0.845);
    assert_eq!(diagnose(&seen).findings, []);
    // For a regression balanced training is not advised.
    let mut seen = Evidence::new(Metric::error("MAE", 4.0), &Modality::list(["image", "weather"]));
    (seen.fused, seen.alternatives) = (Some(2.0), vec![("joint training".into(), 1.5)]);
    let text = diagnose(&seen).to_string();
    assert!(text.ends_with("Use joint training, which validation data prefer."), "{text}");
    seen.alternatives = vec![("joint training".into(), f64::NAN)];
    let broken = Diagnosis::from_evidence(&seen, &Thresholds::default());
    assert_mismatch(broken, &["joint training", "NaN"]);
}

#[test]
fn an_order_that_validation_data_contradict_gives_a_warning() {
    let mut seen = cremad();
    (seen.fused, seen.heads) = (Some(0.77), vec![Some(0.55), Some(0.70)]);
    // ρ ranks audio first, but the video teacher is better on validation data.
    seen.confidence = vec![Some(0.7), Some(0.9)];
    let found = diagnose(&seen);
    assert_eq!(kinds_of(&found), [FindingKind::OrderContradicted]);
    assert_eq!(found.findings[0].modality.name(), "audio");
    assert_eq!(
        found.to_string(),
        "By ρ on training batches SMP trains audio first, whose teacher has the accuracy 61.7 % on \
         validation data; the best teacher has 76.5 %. Rank with Ranking::HeldOut, by which video is \
         trained first."
    );
    seen.confidence = vec![Some(0.9), Some(0.7)];
    assert_eq!(diagnose(&seen).findings, []);
    // Teachers within the margin contradict nothing.
    (seen.confidence, seen.teachers) = (vec![Some(0.7), Some(0.9)], vec![Some(0.76), Some(0.7648)]);
    assert_eq!(diagnose(&seen).findings, []);
}

#[test]
fn advice_depends_on_confidence_schedule_and_linear_probe() {
    let mut seen = cremad();
    seen.confidence = vec![Some(0.7), Some(0.9)];
    let advice = diagnose(&seen).findings[0].advice.clone();
    let audio = Some(Modality::new("audio"));
    let first = Modality::new("video");
    assert_eq!(
        advice,
        Advice::Prioritise { first: first.clone(), epochs: Some(150), unless_fixed: audio }
    );
    assert!(advice.to_string().contains("Ranking::Fixed"));

    seen.kappa = vec![vec![0.0, 1.0], vec![0.0, 1.0], vec![1.0, 1.0]];
    assert_eq!(diagnose(&seen).findings[0].advice, Advice::LengthenStage { first, epochs: 4 });

    seen.probes = vec![None, Some(0.74)];
    let found = diagnose(&seen);
    assert_eq!(found.findings[0].kind, FindingKind::Unused);
    assert_eq!(found.findings[0].advice, Advice::ReviseFusion);
    assert!(found.to_string().contains("74.0 %"));
    // The untrained features were nearly as good: (0.74 − 0.70) / (0.7648 − 0.70) is small.
    seen.untrained = vec![None, Some(0.70)];
    assert_eq!(kinds_of(&diagnose(&seen))[0], FindingKind::Suppressed);
    assert_eq!(diagnose(&seen).findings[0].number("untrained"), Some(0.70));
    seen.untrained = vec![None, Some(0.60)];
    assert_eq!(kinds_of(&diagnose(&seen))[0], FindingKind::Unused);
    // The untrained features were better than the teacher: learning cannot be measured.
    seen.untrained = vec![None, Some(0.80)];
    assert_eq!(kinds_of(&diagnose(&seen))[0], FindingKind::Suppressed);
}

#[test]
fn a_metric_whose_lower_values_are_better_is_diagnosed_too() {
    let mut seen = Evidence::new(Metric::error("RMSE", 4.0), &Modality::list(["image", "weather"]));
    seen.fused = Some(2.9);
    seen.teachers = vec![Some(2.0), Some(3.0)];
    seen.heads = vec![Some(3.7), Some(3.1)];
    let found = diagnose(&seen);
    assert_eq!(kinds_of(&found), [FindingKind::Suppressed, FindingKind::BelowTeacher]);
    assert_eq!(found.findings[0].modality.name(), "image");
    assert!((found.findings[0].number("kept").unwrap() - 0.15).abs() < 1e-12);
    let words = "The image encoder is suppressed: the RMSE of its head is 3.7000, that of its teacher 2.0000.";
    assert!(found.to_string().starts_with(words));
    (seen.fused, seen.heads) = (Some(1.9), vec![Some(2.4), Some(3.1)]);
    assert_eq!(diagnose(&seen).findings, []);
}

#[test]
fn a_small_contribution_without_a_teacher_gives_the_advice_to_train_one() {
    let mut seen = Evidence::new(Metric::accuracy(4), &Modality::list(["a", "b"]));
    seen.contributions = vec![Some(0.48), Some(0.02)];
    let found = diagnose(&seen);
    assert_eq!(kinds_of(&found), [FindingKind::Marginal]);
    assert_eq!(found.findings[0].advice, Advice::TrainTeacher);
    seen.contributions = vec![Some(0.3), Some(0.2)];
    assert_eq!(diagnose(&seen).findings, []);
}

#[test]
fn thresholds_apply_and_invalid_thresholds_or_evidence_are_errors() {
    let strict = Thresholds { kept: 0.1, margin: 1.0, ..Thresholds::default() };
    assert_eq!(Diagnosis::from_evidence(&cremad(), &strict).unwrap().findings, []);
    let wrong = Thresholds { spread: -0.1, ..Thresholds::default() };
    assert_mismatch(Diagnosis::from_evidence(&cremad(), &wrong), &["\"spread\"", "[0, 1]"]);
    let mut short = cremad();
    short.heads.pop();
    assert_mismatch(
        Diagnosis::from_evidence(&short, &Thresholds::default()),
        &["heads", "2 values, one for each"],
    );
    let mut nan = cremad();
    nan.fused = Some(f64::NAN);
    assert_mismatch(Diagnosis::from_evidence(&nan, &Thresholds::default()), &["fused", "NaN"]);
}

/// Linear encoders of one or two modalities and one head, whose unimodal logits are known.
struct LinearStudent {
    names: Vec<Modality>,
    encoders: Vec<nn::Linear>,
    head: nn::Linear,
}

impl LinearStudent {
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

impl Student for LinearStudent {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
        Ok(self.encoders[m].forward(batch.input(m)))
    }

    fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
        Ok(Tensor::f_cat(features, 1)?.apply(&self.head))
    }

    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        Ok(Some(features[m].matmul(&self.head.ws.narrow(1, 4 * m as i64, 4).tr())))
    }
}

/// Inputs and labels of 4 classes. Input m is `size[m]` times the one-hot code of the label, or of
/// another class in a share `wrong[m]` of the samples, plus a little noise.
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
        let code = (&labels + shift).remainder(4).one_hot(4).to_kind(Kind::Float);
        (code + (noise(phase + 0.53, &[samples, 4]) - 0.5) * 0.8) * size[m]
    });
    (inputs, labels)
}

/// Trains on the modalities `indices`; returns the validation accuracy of the fused model and of
/// the heads, and the reports of the epochs.
fn train(
    indices: &[usize],
    epochs: u64,
    wrong: [f64; 2],
    size: [f64; 2],
) -> (f64, Vec<(Modality, f64)>, Vec<EpochReport>) {
    let names: Vec<Modality> = indices.iter().map(|m| Modality::new(["a", "b"][*m])).collect();
    let batch = |seed, samples| {
        let (inputs, labels) = data(seed, samples, wrong, size);
        let own: Vec<_> = indices.iter().map(|&m| inputs[m].shallow_clone()).collect();
        Batch::new(own, labels)
    };
    let vs = nn::VarStore::new(Device::Cpu);
    let student = LinearStudent::new(&vs, &names);
    let batches: Vec<Batch> = (0..8).map(|i| batch(f64::from(i) * 77.7, 64)).collect();
    let mut optimizer = nn::Sgd::default().build(&vs, 0.1).unwrap();
    let mut reports = Vec::new();
    if let [_, _] = indices {
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
            let logits = fuse(&student, &[features], batch, true);
            optimizer.backward_step(&logits.cross_entropy_for_logits(batch.targets()));
        }
    }
    let held_out = evaluate(&student, [Ok(batch(5000.5, 600))]).unwrap();
    (held_out.accuracy().unwrap(), held_out.head_accuracy().unwrap(), reports)
}

/// The evidence of trained teachers and a joint run, and its diagnosis.
fn diagnosed(wrong: [f64; 2], size: [f64; 2]) -> (Evidence, Diagnosis) {
    let teachers = [0, 1].map(|m| train(&[m], 400, wrong, size).0);
    let (fused, heads, reports) = train(&[0, 1], 30, wrong, size);
    let names = Modality::list(["a", "b"]);
    let mut seen =
        Evidence::new(Metric::accuracy(4), &names).with_heads(&heads).with_reports(&reports);
    (seen.fused, seen.teachers) = (Some(fused), teachers.map(Some).to_vec());
    let found = diagnose(&seen);
    (seen, found)
}

#[test]
fn a_run_with_imbalance_gives_findings_about_the_suppressed_modality() {
    // a has large inputs that are wrong in a third of the samples; b has small ones, nearly always
    // right.
    let (seen, found) = diagnosed([0.35, 0.03], [1.0, 0.05]);
    assert_eq!(kinds_of(&found), [FindingKind::Suppressed, FindingKind::BelowTeacher], "{seen:?}");
    assert_eq!(found.findings[0].modality.name(), "b");
    let first = Modality::new("b");
    let advice = Advice::Prioritise { first, epochs: Some(15), unless_fixed: None };
    assert_eq!(found.findings[0].advice, advice);
}

#[test]
fn a_run_without_imbalance_is_kept() {
    let (seen, found) = diagnosed([0.25, 0.25], [1.0, 1.0]);
    assert_eq!(kinds_of(&found), [FindingKind::AboveTeachers], "{seen:?}");
    assert_eq!(seen.metric.better, Better::HighShare);
}
