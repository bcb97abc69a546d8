//! Learning rates against PyTorch, and settings in TOML.

use g2d::optim::{AdamWConfig, Algorithm, Anneal, Decay, LrSchedule};
use proptest::prelude::*;

#[test]
fn schedules_agree_with_pytorch() {
    // s = torch.optim.lr_scheduler.CosineAnnealingLR(torch.optim.SGD([p], lr=1.0), 10, eta_min=0.1)
    // [print(s.get_last_lr()[0]) or s.optimizer.step() or s.step() for _ in range(11)]
    const COSINE: [f64; 11] = [
        1.0,
        0.9779754323328191,
        0.9140576474687263,
        0.8145033635316129,
        0.6890576474687263,
        0.55,
        0.41094235253127376,
        0.2854966364683872,
        0.18594235253127372,
        0.12202456766718092,
        0.1,
    ];
    for (step, expected) in (0..).zip(COSINE) {
        assert!((LrSchedule::cosine(10, 0.1).factor(step) - expected).abs() < 1e-12);
        assert!((LrSchedule::cosine(10, 0.1).warmup(7).factor(step + 7) - expected).abs() < 1e-12);
    }
    assert_eq!(LrSchedule::cosine(10, 0.1).factor(99), 0.1);
    assert_eq!(LrSchedule::cosine(0, 0.5).factor(0), 0.5);
    let steps = LrSchedule::step(200, 0.1);
    assert_eq!(
        [0, 199, 200, 399, 400].map(|e| steps.factor(e)),
        [1.0, 1.0, 0.1, 0.1, 0.1f64.powf(2.0)]
    );
    let warm = LrSchedule::constant().warmup(4);
    assert_eq!([0, 1, 2, 3, 4, 9].map(|s| warm.factor(s)), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
}

/// By `torch.optim.lr_scheduler` of PyTorch 2.13, as above.
#[test]
fn one_cycle_and_polynomial_schedules_agree_with_pytorch() {
    // OneCycleLR(optimizer, 1.0, total_steps=10)
    const CYCLE: [f64; 10] = [
        0.040000000000000036,
        0.52,
        1.0,
        0.9504846320134737,
        0.8117456539497631,
        0.6112620219362893,
        0.38874197806371075,
        0.18825834605023697,
        0.049519367986526286,
        4e-06,
    ];
    // OneCycleLR(optimizer, 1.0, total_steps=10, pct_start=0.4, anneal_strategy="linear",
    //            div_factor=10.0, final_div_factor=100.0)
    const LINES: [f64; 10] = [
        0.1,
        0.4,
        0.7,
        1.0,
        0.8335,
        0.667,
        0.5005,
        0.3340000000000001,
        0.16749999999999998,
        0.0010000000000000009,
    ];
    // PolynomialLR(optimizer, 8, 2.0) and PolynomialLR(optimizer, 5)
    const SQUARE: [f64; 10] =
        [1.0, 0.765625, 0.5625, 0.390625, 0.25, 0.140625, 0.0625, 0.015625, 0.0, 0.0];
    const LINE: [f64; 7] = [1.0, 0.8, 0.6, 0.4, 0.2, 0.0, 0.0];
    let lines = Decay::OneCycle {
        steps: 10,
        pct_start: 0.4,
        div_factor: 10.0,
        final_div_factor: 100.0,
        anneal: Anneal::Linear,
    };
    for (schedule, expected) in [
        (LrSchedule::one_cycle(10), &CYCLE[..]),
        (LrSchedule { decay: lines, ..LrSchedule::constant() }, &LINES),
        (LrSchedule::polynomial(8, 2.0), &SQUARE),
        (LrSchedule::polynomial(5, 1.0), &LINE),
    ] {
        for (step, expected) in (0..).zip(expected) {
            let found = schedule.factor(step);
            assert!((found - expected).abs() < 1e-12, "{schedule:?}: {found} at {step}");
        }
    }
    // After its last step, where PyTorch has an error, the factor stays.
    assert_eq!(LrSchedule::one_cycle(10).factor(99), LrSchedule::one_cycle(10).factor(9));
    for steps in 0..4 {
        let factors: Vec<_> = (0..6).map(|t| LrSchedule::one_cycle(steps).factor(t)).collect();
        assert!(factors.iter().all(|f| (0.0..=1.0).contains(f)), "{steps}: {factors:?}");
    }
}

#[test]
fn schedules_and_algorithms_are_read_from_toml_and_misspelt_names_are_errors() {
    let text = "warmup = 3\n[decay]\ntype = \"cosine\"\nsteps = 10\nfloor = 0.0\n";
    let read: LrSchedule = toml::from_str(text).unwrap();
    assert_eq!(read, LrSchedule::cosine(10, 0.0).warmup(3));
    let cycle: LrSchedule = toml::from_str("[decay]\ntype = \"one_cycle\"\nsteps = 10\n").unwrap();
    assert_eq!(cycle, LrSchedule::one_cycle(10));
    let error = toml::from_str::<LrSchedule>(&text.replace("floor", "flor")).unwrap_err();
    assert!(error.to_string().contains("flor"));
    let algorithm: Algorithm = toml::from_str("type = \"adamw\"\nlr = 0.5").unwrap();
    assert_eq!(algorithm, AdamWConfig { lr: 0.5, ..Default::default() }.into());
    let error = toml::from_str::<Algorithm>("type = \"sgd\"\nmomentun = 0.9").unwrap_err();
    assert!(error.to_string().contains("momentun"));
}

proptest! {
    #[test]
    fn a_factor_is_finite_and_between_0_and_1(
        step in any::<u64>(), warmup in any::<u64>(), every in any::<u64>(), gamma in 0.0..1.0_f64,
    ) {
        for schedule in [
            LrSchedule::step(every, gamma),
            LrSchedule::cosine(every, gamma),
            LrSchedule::polynomial(every, gamma + 0.1),
            LrSchedule::one_cycle(every),
            LrSchedule::constant(),
        ] {
            let factor = schedule.warmup(warmup).factor(step);
            prop_assert!((0.0..=1.0).contains(&factor), "{factor}");
        }
    }
}
