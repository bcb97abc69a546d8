//! A hundred steps of every algorithm against PyTorch.

use g2d::optim::{AdamConfig, AdamWConfig, Algorithm, Optimizer, SgdConfig};
use tch::Kind;

use super::Small;

/// The numbers that tests/python/optimizers.py prints.
pub fn expected() -> Vec<(Algorithm, [f64; 9])> {
    let momentum = SgdConfig { lr: 0.01, momentum: 0.9, weight_decay: 0.01, ..Default::default() };
    vec![
        // SGD(p, lr=0.05)
        (SgdConfig { lr: 0.05, ..Default::default() }.into(), SGD),
        // SGD(p, lr=0.01, momentum=0.9, weight_decay=0.01)
        (momentum.into(), MOMENTUM),
        // SGD(p, lr=0.01, momentum=0.9, weight_decay=0.01, nesterov=True)
        (SgdConfig { nesterov: true, ..momentum }.into(), NESTEROV),
        // SGD(p, lr=0.02, momentum=0.8, dampening=0.3)
        (
            SgdConfig { lr: 0.02, momentum: 0.8, dampening: 0.3, ..Default::default() }.into(),
            DAMPENING,
        ),
        // Adam(p, lr=0.02, weight_decay=0.1)
        (AdamConfig { lr: 0.02, weight_decay: 0.1, ..Default::default() }.into(), ADAM),
        // Adam(p, lr=0.02, betas=(0.5, 0.9), eps=1e-6, amsgrad=True)
        (
            AdamConfig { lr: 0.02, betas: [0.5, 0.9], eps: 1e-6, amsgrad: true, weight_decay: 0.0 }
                .into(),
            AMSGRAD,
        ),
        // AdamW(p, lr=0.02, weight_decay=0.1)
        (AdamWConfig { lr: 0.02, weight_decay: 0.1, ..Default::default() }.into(), ADAMW),
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
fn a_hundred_steps_of_every_algorithm_agree_with_pytorch() {
    for (algorithm, numbers) in expected() {
        for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 1e-6)] {
            let small = Small::new(kind);
            let mut optimizer = Optimizer::builder(&small.vs, algorithm).build().unwrap();
            small.run(&mut optimizer, 0..100);
            for (found, expected) in small.numbers().into_iter().zip(numbers) {
                let close = (found - expected).abs() <= tolerance * expected.abs().max(1.0);
                assert!(close, "{algorithm:?} in {kind:?}: {found} against {expected}");
            }
        }
    }
}
