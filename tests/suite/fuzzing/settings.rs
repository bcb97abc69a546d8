//! Settings and reports in TOML and JSON with random changes.

use std::fmt::Debug;

use g2d::{
    EpochReport,
    calibration::{Calibration, FusionWeights, Prediction},
    data::{BatchOrder, LoaderOptions},
    diagnosis::Thresholds,
    loss::{Classification, ConfidenceConfig, Distillation, Regression},
    schedule::SchedulerConfig,
    step::StepValues,
    trainer::{
        Builder, GradientScope, LossScale, LossScaling, NonFinite, Precision, SuppressedMode,
        Suppression,
    },
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::mutation::{mutated, mutations};
use crate::support::{Tiny, fuzz_config};

/// All settings of a trainer that have a form in files.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    window: u64,
    suppression: Suppression,
    mode: SuppressedMode,
    precision: Precision,
    non_finite: NonFinite,
    scope: GradientScope,
    scaling: LossScaling,
    loss: Classification,
    schedule: SchedulerConfig,
    confidence: Option<ConfidenceConfig>,
}

/// Valid settings: TOML first, then JSON.
const SETTINGS: [&str; 10] = [
    r#"
window = 2
suppression = "skip_backward"
mode = "evaluation"
precision = "fp16"
non_finite = { stop_after = 3 }
confidence = { true_class_probability = { labels = "single" } }
[scaling]
initial = 1024.0
growth = 2.0
backoff = 0.5
interval = 7
[loss]
labels = "multi"
[loss.distillation]
task_weight = 1.0
alpha = 0.5
beta = 2
temperature = [2.0, 1.0]
feature_weight = 1.0
logit_weight = [0.25, 4.0]
feature_reduction = "squared_norm"
[schedule]
type = "sequential"
stages = [3, 2]
ranking = { fixed = ["m1", "m0"] }
"#,
    "suppression = { zero_gradient = \"four_dimensional\" }\nconfidence = \"inverse_error\"\n\
     [schedule]\ntype = \"per_batch\"\nwindow = { first = 0, last = 150 }\n",
    "non_finite = \"skip\"\nprecision = \"bf16\"\n[schedule]\ntype = \"partial\"\nalpha = 0.5\n\
     epochs = { start = 0, end = 150 }\nranking = \"previous_epoch\"\n",
    "window = 1\n[schedule]\ntype = \"joint\"\n",
    r#"
suppression = "fused_loss"
[loss.distillation]
beta = 0.0
[loss.distillation.head]
weight = [1.0, 0.5]
temperature = 4.0
target = "teacher"
[loss.distillation.ensemble]
weight = 0.5
temperature = 4
teacher_temperature = [1.5, 0.25]
[schedule]
type = "sequential"
stages = [1]
ranking = { held_out = [["m1", 0.75], ["m0", 0.5]] }
"#,
    r#"{"loss": {"distillation": {"head": {"target": "labels"}}}, "suppression": "fused_loss"}"#,
    r#"{"loss": {"distillation": {"head": {}, "ensemble": {}}}}"#,
    r#"{"window": 3, "mode": "train", "schedule": {"type": "sequential", "stages": [1], "ranking": "batch"}}"#,
    r#"{"loss": {"labels": "single", "distillation": {"alpha": 1e-3, "temperature": 4}}, "scope": "all"}"#,
    r#"{"scaling": {"initial": 65536, "growth": 2, "backoff": 0.5, "interval": 2000}, "non_finite": {"stop_after": 1}}"#,
];

const REPORTS: [&str; 4] = [
    r#"{"at":{"epoch":0,"step":2,"total_steps":2},"outcome":{"skipped":{"non_finite":{"gradient":{"parameter":"m1.a.bias","modality":"m1"}}}},"kappa":[1.0,0.0],"total":"NaN","task":0.5,"feature":[null,0.25],"logit":[0.1,"inf"],"confidence":[0.5,null]}"#,
    r#"{"at":{"epoch":9,"step":0,"total_steps":90},"outcome":{"skipped":{"overflow":{"scale":65536.0}}},"kappa":[0.5],"total":1.5,"task":0.5,"feature":[],"logit":[],"confidence":[]}"#,
    r#"{"epoch":1,"steps":3,"skipped":1,"unfinished":1,"modalities":["m0","m1"],"total":1.25,"task":0.75,"feature":[0.5,null],"logit":[null,"-inf"],"confidence":[0.75,0.125],"kappa":[1.0,0.0],"measurements":[{"metric":"gradient_norm","modality":"m0","value":3.5},{"metric":"fused_accuracy","modality":null,"value":"NaN"}]}"#,
    r#"{"epoch":0,"steps":3,"skipped":0,"unfinished":0,"modalities":["m0","m1"],"total":1.25,"task":0.75,"feature":[0.5,null],"logit":[null,null],"head":["inf",0.25],"ensemble":"NaN","confidence":[0.75,0.125],"kappa":[1.0,0.0],"measurements":[]}"#,
];

/// What calibration writes.
const CALIBRATIONS: [&str; 4] = [
    r#"[{"modality":"m0","temperature":{"value":1.5,"nll":0.86},"accuracy":0.625,"confidence":0.48,"information":0.21},{"modality":"m1","temperature":{"value":0.001,"nll":0.0},"accuracy":1.0,"confidence":1.0,"information":1.0}]"#,
    r#"{"mixture":{"alpha":0.5,"fused_temperature":1.5,"head_temperatures":[1.0,6.1],"nll":0.64}}"#,
    r#"{"robust":{"heads":[{"temperature":0.14,"epsilon":0.225}],"nll":0.5}}"#,
    r#"[0.25,0.7499999999999999]"#,
];

/// Reads `bytes` as `T` from TOML and JSON; asserts that a value survives writing and reading.
fn read<T: Serialize + DeserializeOwned + Debug>(bytes: &[u8]) -> Option<T> {
    let text = String::from_utf8_lossy(bytes);
    let toml = toml::from_str::<T>(&text).ok();
    if let Some(value) = &toml {
        // TOML has no number above 2⁶³ − 1, which JSON has.
        if let Ok(written) = toml::to_string(value) {
            let restored: T = toml::from_str(&written).expect("written TOML is readable");
            assert_eq!(format!("{restored:?}"), format!("{value:?}"));
        }
    }
    let json = serde_json::from_slice::<T>(bytes).ok();
    if let Some(value) = &json {
        let written = serde_json::to_string(value).expect("a value is writable");
        let restored = serde_json::from_str::<T>(&written);
        let restored = restored.unwrap_or_else(|error| panic!("{error}: {written}"));
        assert_eq!(format!("{restored:?}"), format!("{value:?}"));
    }
    toml.or(json)
}

/// Builds a trainer with these settings and, if they are valid, trains for a few epochs.
fn train(student: &Tiny, settings: Settings) {
    let builder = |loss| -> Builder {
        let builder = student.builder_with_teachers(loss).accumulate(settings.window);
        let builder = builder.suppression(settings.suppression).suppressed_mode(settings.mode);
        let builder = builder.precision(settings.precision).loss_scaling(settings.scaling);
        let builder = match settings.confidence {
            Some(confidence) => builder.confidence(confidence),
            None => builder,
        };
        builder.non_finite(settings.non_finite).scheduler(settings.schedule)
    };
    let Ok(mut trainer) = builder(settings.loss).build(student) else { return };
    for step in 0..3 {
        // A confidence that does not fit the targets is an error.
        let _ = trainer.step(student, &student.batch(3, f64::from(step)));
        let _ = trainer.end_epoch();
    }
}

proptest! {
    #![proptest_config(fuzz_config(2_000))]

    #[test]
    fn mutated_settings_are_read_and_used_without_panic(
        which in 0..SETTINGS.len(), mutations in mutations(),
    ) {
        let bytes = mutated(SETTINGS[which].as_bytes(), &mutations);
        if let Some(settings) = read::<Settings>(&bytes) {
            thread_local!(static STUDENT: Tiny = Tiny::linear(2));
            STUDENT.with(|student| train(student, settings));
        }
        // The settings of one part are invalid settings of another.
        read::<SchedulerConfig>(&bytes);
        read::<Distillation>(&bytes);
        read::<Regression>(&bytes);
        read::<LossScaling>(&bytes);
        read::<LossScale>(&bytes);
        read::<ConfidenceConfig>(&bytes);
        read::<Thresholds>(&bytes);
    }

    #[test]
    fn mutated_reports_are_read_without_panic(
        which in 0..REPORTS.len(), mutations in mutations(),
    ) {
        let bytes = mutated(REPORTS[which].as_bytes(), &mutations);
        read::<StepValues>(&bytes);
        read::<EpochReport>(&bytes);
    }

    #[test]
    fn mutated_calibrations_are_read_without_panic(
        which in 0..CALIBRATIONS.len(), mutations in mutations(),
    ) {
        let bytes = mutated(CALIBRATIONS[which].as_bytes(), &mutations);
        if let Some(calibration) = read::<Calibration>(&bytes) {
            let _ = (calibration.fusion_weights(), calibration.fusion_weights_by_accuracy());
            let _ = (calibration.information_weights(), calibration.ranking());
        }
        read::<Prediction>(&bytes);
        read::<FusionWeights>(&bytes);
    }

    #[test]
    fn random_text_is_read_without_panic(text in "\\PC{0,80}") {
        read::<Settings>(text.as_bytes());
        read::<EpochReport>(text.as_bytes());
    }

    #[test]
    fn mutated_settings_of_a_loader_are_read_without_panic(mutations in mutations()) {
        let order = "batch_size = 16\nshuffle = true\nseed = 3\nlast = \"drop_single\"\n";
        let bytes = mutated(order.as_bytes(), &mutations);
        if let Some(order) = read::<BatchOrder>(&bytes) {
            let _ = order.batches(40, 1);
        }
        let options = "workers = 2\nahead = 3\noverlap_epochs = true\n";
        read::<LoaderOptions>(&mutated(options.as_bytes(), &mutations));
    }
}

#[cfg(feature = "paper")]
mod paper {
    use g2d::paper::{
        baselines::Ogm,
        data::{ClipTransform, Standardisation},
        networks::{ClassifierConfig, MixedConfig},
    };
    use proptest::prelude::*;

    use super::{fuzz_config, mutated, mutations, read};

    const TEXTS: [&str; 4] = [
        "alpha = 0.5\nwindow = { first = 0, last = 9 }\nnoise_seed = 7\nscope = \"all\"\n",
        "backbone = \"compact\"\nfusion = \"late\"\n",
        "alpha = 0.5\nwindow = { first = 3, last = 9 }\n",
        "{}",
    ];

    proptest! {
        #![proptest_config(fuzz_config(1_000))]

        #[test]
        fn mutated_settings_of_the_paper_are_read_without_panic(
            which in 0..TEXTS.len(), mutations in mutations(),
        ) {
            let bytes = mutated(TEXTS[which].as_bytes(), &mutations);
            read::<Ogm>(&bytes);
            read::<ClassifierConfig>(&bytes);
            read::<MixedConfig>(&bytes);
            read::<ClipTransform>(&bytes);
            read::<Standardisation>(&bytes);
        }
    }
}
