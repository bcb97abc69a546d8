//! Optimizers against PyTorch's numbers, and their state through files.

use std::fs;

use g2d::{
    Classification, Error, Sequential,
    optim::{Adam, AdamW, LrSchedule, Optimizer, Rule, Sgd},
};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor, nn};

use crate::support::{Kappa, Tiny, assert_same, mismatch, refused, values};

/// The two parameters of tests/python/optimizers.py.
struct Small {
    vs: nn::VarStore,
    w: Tensor,
    b: Tensor,
}

impl Small {
    fn new(kind: Kind) -> Self {
        let mut vs = nn::VarStore::new(Device::Cpu);
        vs.set_kind(kind);
        let w = vs.root().var_copy("w", &tensor(&[-0.2, -0.1, 0.0, 0.1, 0.2, 0.3], &[3, 2], kind));
        let b = (vs.root() / "other").var_copy("b", &tensor(&[1.0, -1.0, 0.5], &[3], kind));
        Self { vs, w, b }
    }

    fn backward(&self, step: u64) {
        let kind = self.w.kind();
        let mut loss =
            (&self.w - 1.0).square().sum(kind) + self.w.pow_tensor_scalar(4).sum(kind) * 0.1;
        if step % 3 == 1 {
            loss += (&self.b + self.w.sum(kind)).square().sum(kind);
        }
        loss.backward();
    }

    fn run(&self, optimizer: &mut Optimizer, steps: std::ops::Range<u64>) {
        let schedule = LrSchedule::step(30, 0.5).warmup(5);
        for step in steps {
            optimizer.set_lr_factor(schedule.factor(step));
            optimizer.zero_grad().unwrap();
            self.backward(step);
            optimizer.step().unwrap();
        }
    }

    fn numbers(&self) -> Vec<f64> {
        let all = Tensor::cat(&[self.w.flatten(0, -1), self.b.shallow_clone()], 0);
        Vec::try_from(all.detach().to_kind(Kind::Double)).unwrap()
    }
}

fn tensor(values: &[f64], shape: &[i64], kind: Kind) -> Tensor {
    Tensor::from_slice(values).reshape(shape).to_kind(kind)
}

/// tests/python/optimizers.py prints the numbers; the rules in PyTorch stand above them.
fn expected() -> Vec<(Rule, [f64; 9])> {
    let momentum = Sgd { lr: 0.01, momentum: 0.9, weight_decay: 0.01, ..Default::default() };
    vec![
        // SGD(p, lr=0.05)
        (Sgd { lr: 0.05, ..Default::default() }.into(), SGD),
        // SGD(p, lr=0.01, momentum=0.9, weight_decay=0.01)
        (momentum.into(), MOMENTUM),
        // SGD(p, lr=0.01, momentum=0.9, weight_decay=0.01, nesterov=True)
        (Sgd { nesterov: true, ..momentum }.into(), NESTEROV),
        // SGD(p, lr=0.02, momentum=0.8, dampening=0.3)
        (Sgd { lr: 0.02, momentum: 0.8, dampening: 0.3, ..Default::default() }.into(), DAMPENING),
        // Adam(p, lr=0.02, weight_decay=0.1)
        (Adam { lr: 0.02, weight_decay: 0.1, ..Default::default() }.into(), ADAM),
        // Adam(p, lr=0.02, betas=(0.5, 0.9), eps=1e-6, amsgrad=True)
        (
            Adam { lr: 0.02, betas: [0.5, 0.9], eps: 1e-6, amsgrad: true, weight_decay: 0.0 }
                .into(),
            AMSGRAD,
        ),
        // AdamW(p, lr=0.02, weight_decay=0.1)
        (AdamW { lr: 0.02, weight_decay: 0.1, ..Default::default() }.into(), ADAMW),
    ]
}

const SGD: [f64; 9] = [
    0.31252706461054625,
    0.312784339550003,
    0.3130416610660951,
    0.3132972773784425,
    0.31354948464386295,
    0.31379667836474157,
    -1.1888461210814374,
    -1.4654053442938275,
    -1.2579859268845348,
];
const MOMENTUM: [f64; 9] = [
    0.37566403906412854,
    0.3754735441974032,
    0.37529121041074925,
    0.3751096219265216,
    0.37492146797301024,
    0.37471963657673335,
    -1.7969250029938446,
    -1.5351812499646,
    -1.7314890647365337,
];
const NESTEROV: [f64; 9] = [
    0.38660138861836585,
    0.38656029658633834,
    0.38652349336038017,
    0.38648693382332805,
    0.3864466249905033,
    0.3863986860557046,
    -1.8698081392501003,
    -1.6588532341207187,
    -1.8170694129677551,
];
const DAMPENING: [f64; 9] = [
    0.35228756797293553,
    0.3523021788440265,
    0.3523167761810818,
    0.3523315284240451,
    0.35234659793729767,
    0.35236213529814026,
    -1.5274427573847584,
    -1.5170384675296746,
    -1.5248416849209876,
];
const ADAM: [f64; 9] = [
    0.055003543073753575,
    0.09055376679732607,
    0.12389154130625185,
    0.155292705148795,
    0.18509248555746405,
    0.21371267487998183,
    0.6198649203452461,
    -0.7596779195143635,
    0.1206944559816035,
];
const AMSGRAD: [f64; 9] = [
    0.043510606151014285,
    0.08393566980688263,
    0.12281354285775971,
    0.16040956464650075,
    0.19694242576615625,
    0.23273949801037924,
    0.6172557892456659,
    -0.8356983812157547,
    0.11657975206372591,
];
const ADAMW: [f64; 9] = [
    0.06119495235755849,
    0.09404743523017565,
    0.12498560608616295,
    0.15420318231676686,
    0.1819396254660979,
    0.20850393138582723,
    0.5896892013538066,
    -0.7593096267856426,
    0.10884917505848288,
];

#[test]
fn a_hundred_steps_are_pytorch_s() {
    for (rule, numbers) in expected() {
        for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 1e-6)] {
            let small = Small::new(kind);
            let mut optimizer = Optimizer::of(&small.vs, rule).build().unwrap();
            small.run(&mut optimizer, 0..100);
            for (found, expected) in small.numbers().into_iter().zip(numbers) {
                let right = (found - expected).abs() <= tolerance * expected.abs().max(1.0);
                assert!(right, "{rule:?} in {kind:?}: {found} against {expected}");
            }
        }
    }
}

#[test]
fn a_state_goes_on_bit_by_bit_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    for (i, (rule, _)) in expected().into_iter().enumerate() {
        let path = folder.path().join(format!("{i}.safetensors"));
        let whole = Small::new(Kind::Float);
        let mut optimizer = Optimizer::of(&whole.vs, rule).build().unwrap();
        whole.run(&mut optimizer, 0..1); // `other.b` was never stepped
        optimizer.save(&path).unwrap();

        let mut resumed = Small::new(Kind::Float);
        resumed.vs.copy(&whole.vs).unwrap();
        let mut second = Optimizer::of(&resumed.vs, rule).build().unwrap();
        second.load(&path).unwrap();
        assert!(optimizer.lr().eq(second.lr()), "the factor is part of it");
        whole.run(&mut optimizer, 1..50);
        resumed.run(&mut second, 1..50);
        assert_same(&values(&whole.vs), &values(&resumed.vs));
        optimizer.save(&path).unwrap();
        second.load(&path).unwrap();
        whole.run(&mut optimizer, 50..80);
        resumed.run(&mut second, 50..80);
        assert_same(&values(&whole.vs), &values(&resumed.vs));
    }
}

#[test]
fn a_state_of_another_optimizer_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sgd.safetensors");
    let small = Small::new(Kind::Float);
    let sgd = Sgd { lr: 0.1, momentum: 0.9, ..Default::default() };
    let mut optimizer = Optimizer::of(&small.vs, sgd).build().unwrap();
    small.run(&mut optimizer, 0..5);
    optimizer.save(&path).unwrap();

    let load = |builder: g2d::optim::OptimizerBuilder, words: &[&str]| {
        let mut other = builder.build().unwrap();
        let before = format!("{other:?}");
        mismatch(other.load(&path), words);
        assert_eq!(format!("{other:?}"), before);
    };
    let of = |rule: Rule| Optimizer::of(&small.vs, rule);
    load(of(Adam::default().into()), &["groups", "adam", "sgd"]);
    load(of(Sgd::default().into()), &["groups", "momentum_buffer"]);
    load(of(sgd.into()).group("other", sgd), &["groups", "other"]);
    load(Optimizer::of(&Small::new(Kind::Double).vs, sgd), &["momentum_buffer", "Double", "Float"]);
    let renamed = nn::VarStore::new(Device::Cpu);
    let _ = renamed.root().zeros("w", &[3, 2]);
    let _ = renamed.root().zeros("c", &[3]);
    load(Optimizer::of(&renamed, sgd), &["2 parameters", "\"c\"", "other.b"]);

    let whole = fs::read(&path).unwrap();
    let mut refuse = |bytes: &[u8], words: &[&str]| {
        fs::write(&path, bytes).unwrap();
        let error = refused(optimizer.load(&path), words);
        assert!(matches!(error, Error::Data { .. }));
    };
    refuse(&whole[..whole.len() - 1], &["sgd.safetensors", "safetensors"]);
    refuse(&whole[..20], &["header"]);
    refuse(b"", &["header"]);
    let text = String::from_utf8_lossy(&whole).into_owned();
    let at = text.find("version").unwrap();
    let mut newer = whole.clone();
    let digit = newer[at..].iter().position(u8::is_ascii_digit).unwrap();
    newer[at + digit] = b'9';
    refuse(&newer, &["at most 1", "newer"]);
    crate::support::refused(optimizer.load(folder.path().join("none")), &["none", "read"]);
}

#[test]
fn groups_have_their_own_rules() {
    let small = Small::new(Kind::Double);
    let rule = Sgd { lr: 0.5, ..Default::default() };
    let mut optimizer =
        Optimizer::of(&small.vs, rule).group("other", Sgd { lr: 0.0, ..rule }).build().unwrap();
    let before = small.numbers();
    optimizer.set_lr_factor(0.5);
    assert_eq!(optimizer.lr().collect::<Vec<_>>(), [("", 0.25), ("other", 0.0)]);
    small.backward(1);
    let gradient = Vec::<f64>::try_from(small.w.grad().flatten(0, -1)).unwrap();
    optimizer.step().unwrap();
    let after = small.numbers();
    for i in 0..6 {
        assert_eq!(after[i], before[i] - 0.25 * gradient[i]);
    }
    assert_eq!(after[6..], before[6..]);

    let of = || Optimizer::of(&small.vs, rule);
    mismatch(of().group("othe", rule).build(), &["\"othe\"", "whole components"]);
    mismatch(of().group("other", rule).group("other.b", rule).build(), &["other.b", "one group"]);
    mismatch(Optimizer::of(&nn::VarStore::new(Device::Cpu), rule).build(), &["parameters", "none"]);
    for (wrong, word) in [
        (Rule::from(Sgd { lr: f64::NAN, ..rule }), "lr"),
        (Sgd { momentum: -0.1, ..rule }.into(), "momentum"),
        (Sgd { nesterov: true, ..rule }.into(), "nesterov"),
        (Adam { betas: [1.0, 0.9], ..Default::default() }.into(), "β₁"),
        (AdamW { weight_decay: f64::INFINITY, ..Default::default() }.into(), "weight_decay"),
    ] {
        mismatch(Optimizer::of(&small.vs, wrong).build(), &[word]);
    }
}

/// A frozen parameter with an old gradient is stepped by tch, not here.
#[test]
fn what_is_frozen_or_has_no_gradient_stays() {
    for rule in [
        Rule::from(Sgd { lr: 0.1, momentum: 0.9, weight_decay: 0.1, ..Default::default() }),
        AdamW::default().into(),
    ] {
        let small = Small::new(Kind::Float);
        let mut optimizer = Optimizer::of(&small.vs, rule).build().unwrap();
        small.run(&mut optimizer, 1..2);
        let before = values(&small.vs);
        let _ = small.w.set_requires_grad(false);
        let _ = small.b.set_requires_grad(false);
        optimizer.step().unwrap();
        assert_same(&values(&small.vs), &before);
        let _ = small.w.set_requires_grad(true);
        optimizer.zero_grad().unwrap();
        optimizer.step().unwrap();
        assert_same(&values(&small.vs), &before);
        small.backward(0);
        optimizer.step().unwrap();
        assert!(!values(&small.vs)["w"].equal(&before["w"]), "unfrozen, it learns again");
    }
}

#[test]
fn clipping_is_pytorch_s() {
    let small = Small::new(Kind::Double);
    let optimizer = Optimizer::of(&small.vs, Sgd::default()).build().unwrap();
    assert!(optimizer.clip_grad_norm(1.0).unwrap().is_none(), "no gradient yet");
    small.backward(1);
    let square = |t: &Tensor| t.grad().square().sum(Kind::Double).double_value(&[]);
    let norm = (square(&small.w) + square(&small.b)).sqrt();
    assert!(norm > 2.0);
    for (limit, after) in [(1e9, norm), (2.0, 2.0)] {
        let told = optimizer.clip_grad_norm(limit).unwrap().unwrap().double_value(&[]);
        assert!((told - norm).abs() < 1e-12);
        let found = (square(&small.w) + square(&small.b)).sqrt();
        assert!((found - after).abs() < 1e-5 * after, "{found} against {after}");
    }
    mismatch(optimizer.clip_grad_norm(0.0), &["max_norm"]);
}

/// The trainer's own contract through our optimizer: a waiting encoder stands still, bit by bit.
#[test]
fn a_suppressed_encoder_is_not_moved_and_tch_s_optimizer_agrees() {
    let run = |ours: bool| {
        let student = Tiny::conv(2);
        let builder = student.taught(Classification::default());
        let mut trainer = builder.scheduler(Sequential::stages([1])).build(&student).unwrap();
        let rule = Sgd { lr: 0.05, momentum: 0.9, weight_decay: 1e-3, ..Default::default() };
        let mut own = Optimizer::of(&student.vs, rule).build().unwrap();
        let mut tch =
            nn::OptimizerConfig::build(nn::sgd(0.9, 0.0, 1e-3, false), &student.vs, 0.05).unwrap();
        for epoch in 0..3 {
            for step in 0..3 {
                student.vs.trainable_variables().iter_mut().for_each(Tensor::zero_grad);
                own.zero_grad().unwrap();
                let batch = student.batch(4, (epoch * 3 + step) as f64);
                trainer.step(&student, &batch).unwrap();
                if ours { own.step().unwrap() } else { tch.step() }
            }
            trainer.end_epoch().unwrap();
        }
        values(&student.vs)
    };
    let (ours, theirs) = (run(true), run(false));
    for (name, tensor) in &ours {
        assert!(tensor.allclose(&theirs[name], 1e-5, 1e-7, false), "{name}");
    }
    let student = Tiny::conv(2);
    let builder = student.taught(Classification::default());
    let mut trainer = builder.scheduler(Kappa(vec![0.0, 1.0])).build(&student).unwrap();
    let rule = AdamW { lr: 0.1, weight_decay: 0.1, ..Default::default() };
    let mut optimizer = Optimizer::of(&student.vs, rule).build().unwrap();
    let parameters = |prefix: &str| {
        let all = student.vs.variables().into_iter();
        let own = all.filter(|(n, t)| n.starts_with(prefix) && t.requires_grad());
        own.map(|(n, t)| (n, t.detach().copy())).collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = [parameters("m0."), parameters("m1.")];
    trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    optimizer.step().unwrap();
    assert_same(&parameters("m0."), &before[0]);
    assert!(parameters("m1.").iter().all(|(name, t)| !t.equal(&before[1][name])));
}

#[test]
fn schedules_are_pytorch_s() {
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
    let text = "warmup = 3\n[decay]\ntype = \"cosine\"\nsteps = 10\nfloor = 0.0\n";
    let read: LrSchedule = toml::from_str(text).unwrap();
    assert_eq!(read, LrSchedule::cosine(10, 0.0).warmup(3));
    let wrong = toml::from_str::<LrSchedule>(&text.replace("floor", "flor")).unwrap_err();
    assert!(wrong.to_string().contains("flor"));
    let rule: Rule = toml::from_str("type = \"adamw\"\nlr = 0.5").unwrap();
    assert_eq!(rule, AdamW { lr: 0.5, ..Default::default() }.into());
    let wrong = toml::from_str::<Rule>("type = \"sgd\"\nmomentun = 0.9").unwrap_err();
    assert!(wrong.to_string().contains("momentun"));
}

proptest! {
    #[test]
    fn a_factor_is_finite_and_never_above_one(
        step in any::<u64>(), warmup in any::<u64>(), every in any::<u64>(), gamma in 0.0..1.0_f64,
    ) {
        for schedule in [
            LrSchedule::step(every, gamma),
            LrSchedule::cosine(every, gamma),
            LrSchedule::constant(),
        ] {
            let factor = schedule.warmup(warmup).factor(step);
            prop_assert!((0.0..=1.0).contains(&factor), "{factor}");
        }
    }
}
