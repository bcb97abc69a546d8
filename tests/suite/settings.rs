//! Settings in TOML and JSON: read, written, and errors that name the wrong field.

use std::fmt::Debug;

use g2d::{
    data::{BatchOrder, LastBatch, LoaderOptions},
    loss::{
        Classification, Confidence, ConfidenceConfig, Distillation, EnsembleTerm, ExponentialError,
        FeatureReduction, HeadTarget, HeadTerm, InverseError, Labels, Regression,
        TrueClassProbability,
    },
    schedule::{Joint, Partial, Progress, Ranking, SchedulerConfig, Sequential},
    trainer::{GradientScope, Suppression},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tch::Tensor;

use crate::support::{Tiny, assert_mismatch, names, wave};

/// The settings of a user's program.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    epochs: u64,
    #[serde(default)]
    loss: Classification,
    #[serde(default)]
    schedule: SchedulerConfig,
    #[serde(default)]
    suppression: Suppression,
    confidence: Option<ConfidenceConfig>,
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

/// Asserts that reading `text` is an error with `words`.
#[track_caller]
fn assert_invalid<T: DeserializeOwned + Debug>(text: &str, words: &[&str]) {
    let message = read::<T>(text).expect_err(text);
    for word in words {
        assert!(message.contains(word), "{word:?} is missing in: {message}");
    }
}

/// The value after a round trip through TOML.
fn round_trip<T: Serialize + DeserializeOwned>(value: &T) -> T {
    read(&toml::to_string(value).unwrap()).unwrap()
}

#[test]
fn settings_from_a_file_configure_a_trainer() {
    let settings: Settings = read(
        r#"
        epochs = 2
        suppression = { zero_gradient = "four_dimensional" }
        confidence = { true_class_probability = { labels = "single" } }
        [loss]
        labels = "single"
        [loss.distillation]
        alpha = 0.5
        temperature = [2.0, 1.0]
        feature_reduction = "squared_norm"
        [schedule]
        type = "sequential"
        stages = [1]
        ranking = { fixed = ["m1", "m0"] }
        "#,
    )
    .unwrap();
    let distillation = Distillation {
        alpha: 0.5,
        temperature: [2.0, 1.0].into(),
        feature_reduction: FeatureReduction::SquaredNorm,
        ..Distillation::default()
    };
    assert_eq!(settings.loss, Classification::new(distillation));
    assert_eq!(settings.suppression, Suppression::ZeroGradient(GradientScope::FourDimensional));
    let student = Tiny::linear(2);
    let mut trainer = student
        .builder_with_teachers(settings.loss)
        .scheduler(settings.schedule)
        .confidence(settings.confidence.unwrap())
        .suppression(Suppression::default())
        .build(&student)
        .unwrap();
    let batch = student.batch(4, 0.0);
    assert_eq!(trainer.step(&student, &batch).unwrap().kappa(), [0.0, 1.0]);
    trainer.end_epoch().unwrap();
    assert_eq!(trainer.step(&student, &batch).unwrap().kappa(), [1.0, 1.0]);
}

#[test]
fn every_scheduler_is_read_and_written() {
    let previous = Ranking::PreviousEpoch;
    let cases = [
        ("type = 'joint'", SchedulerConfig::Joint(Joint::default())),
        (
            "type = 'sequential'\nstages = [3, 2]",
            SchedulerConfig::Sequential(Sequential::new([3, 2])),
        ),
        (
            "type = 'sequential'\nstages = [1]\nranking = 'previous_epoch'",
            SchedulerConfig::Sequential(Sequential::new([1]).ranking(previous.clone())),
        ),
        (
            "type = 'sequential'\nstages = [2]\nstart = 5",
            SchedulerConfig::Sequential(Sequential::new([2]).starting_at(5)),
        ),
        (
            "type = 'per_batch'\nwindow = { first = 1, last = 4 }",
            SchedulerConfig::Sequential(Sequential::new([4]).starting_at(1)),
        ),
        (
            "type = 'partial'\nalpha = 0.5\nepochs = { start = 0, end = 7 }\nranking = 'previous_epoch'",
            SchedulerConfig::Partial(Partial::new(0.5, 0..7).ranking(previous)),
        ),
    ];
    for (text, expected) in cases {
        let schedule: SchedulerConfig = read(text).unwrap();
        let expected = format!("{expected:?}");
        assert_eq!(format!("{schedule:?}"), expected);
        assert_eq!(format!("{:?}", round_trip(&schedule)), expected);
        let json = serde_json::to_string(&schedule).unwrap();
        assert_eq!(
            format!("{:?}", serde_json::from_str::<SchedulerConfig>(&json).unwrap()),
            expected
        );
    }
}

#[test]
fn the_settings_of_a_used_scheduler_are_those_of_a_new_one() {
    use g2d::{SmpScheduler, schedule::Candidates};
    let fresh = Sequential::new([5]).ranking(Ranking::PreviousEpoch);
    let mut used = fresh.clone();
    used.bind(&names(2)).unwrap();
    used.plan(Progress::default(), &Candidates::from_confidence([0.1, 0.2])).unwrap();
    used.end_epoch(0, &[Some(0.1), Some(0.2)]).unwrap();
    assert_eq!(toml::to_string(&used).unwrap(), toml::to_string(&fresh).unwrap());
    assert_eq!(format!("{:?}", round_trip(&used)), format!("{fresh:?}"));
}

#[test]
fn misspelt_names_are_errors_with_the_names_that_are_known() {
    assert_invalid::<Settings>("epochs = 2\n[schedul]\ntype = 'joint'", &["schedul", "schedule"]);
    for (text, words) in [
        ("type = 'sequental'\nstages = [1]", &["sequental", "sequential", "per_batch"][..]),
        ("type = 'sequential'\nstage = [1]", &["`stage`", "`stages`"]),
        ("type = 'sequential'", &["stages", "missing"]),
        ("stages = [1]", &["type", "missing"]),
        ("type = 'joint'\nstages = [1]", &["stages"]),
        (
            "type = 'sequential'\nstages = [1]\nranking = 'previous'",
            &["previous", "previous_epoch"],
        ),
        ("type = 'per_batch'\nwindow = { first = 0, end = 3 }", &["`end`", "`first` or `last`"]),
        ("type = 'per_batch'\nwindow = { first = 0, last = 3 }\nranking = 'batch'", &["ranking"]),
        ("type = 'partial'\nalpha = 1.0\nepochs = { start = 0, last = 3 }", &["`last`", "`end`"]),
        ("type = 'partial'\nalhpa = 1.0\nepochs = { start = 0, end = 3 }", &["alhpa", "alpha"]),
    ] {
        assert_invalid::<SchedulerConfig>(text, words);
    }
    assert_invalid::<Distillation>("alhpa = 1.0", &["alhpa", "alpha"]);
    assert_invalid::<Regression>("[distilation]", &["distilation", "distillation"]);
    assert_invalid::<Settings>("epochs = 1\nsuppression = 'skip'", &["skip", "skip_backward"]);
    assert_invalid::<Settings>("epochs = 1\nconfidence = 'inverse'", &["inverse", "inverse_error"]);
}

#[test]
fn values_of_a_wrong_type_are_errors_with_their_field() {
    assert_invalid::<Distillation>("beta = 'high'", &["beta", "high", "expected"]);
    assert_invalid::<Distillation>(
        "temperature = 'hot'",
        &["temperature", "one value for all modalities, or a list with one for each"],
    );
    assert_invalid::<SchedulerConfig>("type = 'sequential'\nstages = [-1]", &["-1", "u64"]);
    assert_invalid::<SchedulerConfig>("type = 'sequential'\nstages = 150", &["150", "sequence"]);
    assert_invalid::<SchedulerConfig>(
        "type = 'per_batch'\nwindow = { first = 3, last = 2 }",
        &["window of per_batch", "3..=2", "joint"],
    );
}

#[test]
fn values_out_of_range_are_errors_of_build() {
    let student = Tiny::linear(2);
    let built = |text: &str| {
        let schedule: SchedulerConfig = read(text).unwrap();
        let builder = student.builder_with_teachers(Classification::default());
        builder.scheduler(schedule).build(&student)
    };
    assert_mismatch(
        built("type = 'sequential'\nstages = [1, 1, 1]"),
        &["stages of Sequential", "3"],
    );
    assert_mismatch(
        built("type = 'partial'\nalpha = -1.0\nepochs = { start = 0, end = 3 }"),
        &["alpha"],
    );
    let cold: Classification = read("[distillation]\ntemperature = 0.0").unwrap();
    assert_mismatch(student.builder_with_teachers(cold).build(&student), &["temperature", "> 0"]);
}

#[test]
fn settings_of_balanced_training_are_read_and_written() {
    let text = r#"
        suppression = "fused_loss"
        [distillation]
        beta = 0.0
        head = { weight = [1.0, 0.5], temperature = 2.0, target = "labels" }
        ensemble = { weight = 0.5, teacher_temperature = [1.5, 0.25] }
        [schedule]
        type = "sequential"
        stages = [1]
        ranking = { held_out = [["m1", 0.75], ["m0", 0.5]] }
    "#;
    #[derive(Serialize, Deserialize)]
    struct Balanced {
        suppression: Suppression,
        distillation: Distillation,
        schedule: SchedulerConfig,
    }
    let found: Balanced = read(text).unwrap();
    let (weight, target) = ([1.0, 0.5].into(), HeadTarget::Labels);
    let ensemble =
        EnsembleTerm { weight: 0.5, temperature: 4.0, teacher_temperature: [1.5, 0.25].into() };
    let expected = Distillation {
        head: Some(HeadTerm { weight, temperature: 2.0.into(), target }),
        ensemble: Some(ensemble),
        ..Distillation::features_only()
    };
    assert_eq!(found.distillation, expected);
    assert_eq!(found.suppression, Suppression::FusedLoss);
    let held_out = Ranking::HeldOut(vec![("m1".into(), 0.75), ("m0".into(), 0.5)]);
    let schedule = SchedulerConfig::Sequential(Sequential::new([1]).ranking(held_out));
    assert_eq!(format!("{:?}", found.schedule), format!("{schedule:?}"));
    assert_eq!(round_trip(&found).distillation, expected);
    assert_eq!(format!("{:?}", round_trip(&found.schedule)), format!("{schedule:?}"));

    let read = |text| read::<Distillation>(text).unwrap();
    assert_eq!(read("beta = 0.0\nhead = {}"), Distillation::balanced());
    let plain = toml::to_string(&Distillation::default()).unwrap();
    assert!(!plain.contains("head") && !plain.contains("ensemble"), "{plain}");
    assert_invalid::<Distillation>("head = { weigth = 1.0 }", &["weigth", "weight"]);
    assert_invalid::<Distillation>("head = { target = 'fused' }", &["fused", "teacher", "labels"]);
    assert_invalid::<Distillation>("ensemble = { tau = 1.0 }", &["tau", "teacher_temperature"]);
}

#[test]
fn losses_suppressions_and_confidences_are_written_and_read() {
    let distillation = Distillation {
        task_weight: 0.1,
        feature_weight: [0.3, 1.0 / 3.0].into(),
        ..Distillation::none()
    };
    let loss = Classification::multi_label(distillation.clone());
    assert_eq!(round_trip(&loss), loss);
    assert_eq!(round_trip(&Regression::new(distillation.clone())), Regression::new(distillation));

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Choices {
        suppression: Vec<Suppression>,
        confidence: Vec<ConfidenceConfig>,
    }
    let choices = Choices {
        suppression: vec![
            Suppression::SkipBackward,
            Suppression::ZeroGradient(GradientScope::All),
            Suppression::ZeroGradient(GradientScope::FourDimensional),
            Suppression::FusedLoss,
        ],
        confidence: vec![
            ConfidenceConfig::ExponentialError,
            ConfidenceConfig::InverseError,
            ConfidenceConfig::TrueClassProbability(TrueClassProbability {
                labels: Labels::Multi,
                ignore_index: None,
            }),
        ],
    };
    assert_eq!(round_trip(&choices), choices);
}

#[test]
fn a_confidence_config_computes_what_its_confidence_does() {
    let (predictions, targets) = (wave(0.0, &[5, 1]), wave(0.3, &[5]));
    let same = |config: ConfidenceConfig, expected: &dyn Confidence, l: &Tensor, y: &Tensor| {
        assert!(config.rho(l, y).unwrap().equal(&expected.rho(l, y).unwrap()), "{config:?}");
    };
    same(ConfidenceConfig::ExponentialError, &ExponentialError, &predictions, &targets);
    same(ConfidenceConfig::InverseError, &InverseError, &predictions, &targets);
    let (logits, labels) = (wave(0.0, &[3, 4]), Tensor::from_slice(&[0_i64, 3, 1]));
    let probability = TrueClassProbability::default();
    same(ConfidenceConfig::TrueClassProbability(probability), &probability, &logits, &labels);
}

#[cfg(feature = "paper")]
#[test]
fn misspelt_names_in_settings_of_the_paper_are_errors() {
    use g2d::paper::{baselines::Ogm, networks::ClassifierConfig};
    let ogm: Ogm = read("alpha = 0.5\nwindow = { first = 0, last = 9 }\nnoise_seed = 7").unwrap();
    assert_eq!(format!("{ogm:?}"), format!("{:?}", Ogm::new(0.5, 0..=9).with_noise(7)));
    assert_eq!(format!("{:?}", round_trip(&ogm)), format!("{ogm:?}"));
    let plain = Ogm::new(1.0, 2..=3).scope(GradientScope::All);
    assert_eq!(format!("{:?}", round_trip(&plain)), format!("{plain:?}"));
    assert_invalid::<Ogm>(
        "alpha = 1.0\nwindow = { first = 0, last = 9 }\nnoise = 7",
        &["noise_seed"],
    );
    assert_invalid::<ClassifierConfig>("backbone = 'resnet'", &["resnet", "compact"]);
    assert_invalid::<ClassifierConfig>("bakbone = 'compact'", &["bakbone", "backbone"]);
}

#[test]
fn an_order_of_batches_and_the_options_of_a_loader_are_read() {
    let order: BatchOrder = read("batch_size = 16\nshuffle = true\nlast = 'drop_single'").unwrap();
    let expected = BatchOrder { last: LastBatch::DropSingle, ..BatchOrder::shuffled(16, 0) };
    assert_eq!(order, expected);
    assert_eq!(round_trip(&order), expected);
    assert_invalid::<BatchOrder>("batchsize = 16", &["batchsize", "batch_size"]);
    assert_invalid::<BatchOrder>("last = 'skip'", &["skip", "drop_single"]);
    assert_eq!(read::<LoaderOptions>("workers = 3").unwrap().workers, 3);
    assert_invalid::<LoaderOptions>("worker = 3", &["worker", "workers"]);
}

#[test]
fn unknown_names_in_json_are_errors() {
    let read = serde_json::from_str::<Classification>;
    let found =
        read(r#"{"labels": "multi", "distillation": {"alpha": 0.5, "temperature": [1, 2]}}"#);
    let expected =
        Distillation { alpha: 0.5, temperature: [1.0, 2.0].into(), ..Distillation::default() };
    assert_eq!(found.unwrap(), Classification::multi_label(expected));
    let error = read(r#"{"distillation": {"alhpa": 0.5}}"#).unwrap_err().to_string();
    assert!(error.contains("alhpa") && error.contains("alpha"), "{error}");
}
