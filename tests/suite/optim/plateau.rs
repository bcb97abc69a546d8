//! The learning rate that falls on a plateau of the score.

use g2d::optim::{Plateau, PlateauConfig};

use crate::support::{assert_config_error, assert_mismatch};

const LOSSES: [f64; 20] = [
    1.0, 0.9, 0.9, 0.89999, 0.9, 0.95, 0.8, 0.85, 0.84, 0.83, 0.82, 0.81, 0.81, 0.81, 0.81, 0.7,
    0.7, 0.7, 0.7, 0.7,
];

/// By `ReduceLROnPlateau` of PyTorch 2.13 with a learning rate of 1.
#[test]
fn a_plateau_agrees_with_pytorch() {
    // mode="min", factor=0.5, patience=2, threshold=1e-3, cooldown=1, min_lr=0.1
    let min = PlateauConfig {
        higher_is_better: false,
        gamma: 0.5,
        patience: 2,
        threshold: 1e-3,
        cooldown: 1,
        floor: 0.1,
        ..PlateauConfig::default()
    };
    // mode="max", factor=0.1, patience=1, threshold=0.05, threshold_mode="abs", of 1 − loss
    let absolute = PlateauConfig {
        patience: 1,
        threshold: 0.05,
        absolute_threshold: true,
        ..PlateauConfig::default()
    };
    // mode="max", factor=0.1, patience=1, threshold=0.05, min_lr=1e-3, of 2 − loss
    let relative =
        PlateauConfig { patience: 1, threshold: 0.05, floor: 1e-3, ..PlateauConfig::default() };
    type Score = fn(f64) -> f64;
    let cases: [(PlateauConfig, Score, [f64; 20]); 3] = [
        (
            min,
            |loss| loss,
            [
                1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125,
                0.125, 0.125, 0.125, 0.1, 0.1,
            ],
        ),
        (
            absolute,
            |loss| 1.0 - loss,
            [
                1.0, 1.0, 1.0, 1e-1, 1e-1, 1e-2, 1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5,
                1e-6, 1e-6, 1e-6, 1e-7, 1e-7, 1e-8,
            ],
        ),
        (
            relative,
            |loss| 2.0 - loss,
            [
                1.0, 1.0, 1.0, 1e-1, 1e-1, 1e-2, 1e-2, 1e-2, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3,
                1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3,
            ],
        ),
    ];
    for (config, score, expected) in cases {
        let mut plateau = Plateau::new(config).unwrap();
        for (i, (loss, expected)) in LOSSES.into_iter().zip(expected).enumerate() {
            let found = plateau.observe(score(loss)).unwrap();
            assert!((found - expected).abs() <= 1e-12 * expected, "{config:?}: {found} at {i}");
            assert_eq!(plateau.factor(), found);
            // The state survives a snapshot.
            let text = serde_json::to_string(&plateau).unwrap();
            plateau = serde_json::from_str(&text).unwrap();
        }
    }
}

#[test]
fn an_invalid_configuration_or_score_is_an_error() {
    for (config, word) in [
        (PlateauConfig { gamma: 1.0, ..Default::default() }, "gamma"),
        (PlateauConfig { threshold: f64::NAN, ..Default::default() }, "threshold"),
        (PlateauConfig { floor: -1.0, ..Default::default() }, "floor"),
    ] {
        assert_config_error(Plateau::new(config), &[word, "plateau"]);
    }
    let mut plateau = Plateau::new(PlateauConfig::default()).unwrap();
    let before = plateau.clone();
    assert_mismatch(plateau.observe(f64::NAN), &["score", "NaN"]);
    assert_eq!(plateau, before);
}
