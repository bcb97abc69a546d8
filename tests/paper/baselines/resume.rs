//! A run that resumes has the same bits as one that was never interrupted.

use g2d::{
    Batch, Student,
    algorithm::Algorithm,
    checkpoint::{ResumableRun, RunParts, SnapshotFolder},
    optim::{Optimizer, SgdConfig},
    paper::baselines::{
        Agm, AgmConfig, BoostHead, Dgl, DglConfig, GBlending, GBlendingConfig, InfoReg,
        InfoRegConfig, Lfm, LfmConfig, LfmWeight, Mla, MlaConfig, MmPareto, MmParetoConfig, Opm,
        OpmConfig, Pmr, PmrConfig, ReconBoost, ReconBoostConfig, SharedHead,
    },
};

use crate::support::{CLASSES, Tiny, WIDTH, assert_same, fill, values};

const METHODS: [&str; 10] =
    ["agm", "pmr", "mmpareto", "mla", "recon_boost", "dgl", "info_reg", "lfm", "opm", "g_blending"];

/// A student with all heads, and a method for it.
fn method(name: &str) -> (Tiny, Box<dyn Algorithm>) {
    let mut tiny = Tiny::conv(2);
    let names = tiny.modalities().to_vec();
    let shared = SharedHead::new(tiny.vs.root() / "shared", WIDTH, CLASSES).unwrap();
    let boost = BoostHead::new(tiny.vs.root() / "boost", WIDTH, 5, CLASSES).unwrap();
    let boost = boost.with_initial(tiny.vs.root() / "boost", &names, WIDTH, CLASSES).unwrap();
    tiny.vs.double();
    fill(&tiny.vs, 0.3);
    let params = tiny.params();
    let learned = LfmWeight::Learned {
        start: 0.5,
        lr: 1.0,
        parameter: "m0.conv.weight".to_owned(),
        train: true,
    };
    let method: Box<dyn Algorithm> = match name {
        "agm" => Box::new(Agm::new(&tiny, params, AgmConfig::default()).unwrap()),
        "pmr" => {
            let config = PmrConfig { momentum: 0.5, ..Default::default() };
            Box::new(Pmr::new(&tiny, params, config).unwrap())
        }
        "mmpareto" => Box::new(MmPareto::new(&tiny, params, MmParetoConfig::default()).unwrap()),
        "mla" => {
            let config = MlaConfig { batches_per_epoch: Some(3), ..Default::default() };
            Box::new(Mla::new(&tiny, params, shared, config).unwrap())
        }
        "recon_boost" => {
            let config = ReconBoostConfig { phase_epochs: 1, ..Default::default() };
            Box::new(ReconBoost::new(&tiny, params, boost, config).unwrap())
        }
        "dgl" => Box::new(Dgl::new(&tiny, params, DglConfig::default()).unwrap()),
        "info_reg" => Box::new(InfoReg::new(&tiny, params, InfoRegConfig::default()).unwrap()),
        "lfm" => Box::new(Lfm::new(&tiny, params, LfmConfig { weight: learned }).unwrap()),
        "opm" => {
            let config = OpmConfig { first_epoch: 0, ..Default::default() };
            Box::new(Opm::new(&tiny, params, config).unwrap())
        }
        _ => {
            let config = GBlendingConfig { joint: 0.5, unimodal: vec![0.25; 2] };
            Box::new(GBlending::new(&tiny, params, config).unwrap())
        }
    };
    (tiny, method)
}

fn optimizer(tiny: &Tiny) -> Optimizer {
    let sgd = SgdConfig { lr: 0.05, momentum: 0.9, weight_decay: 1e-3, ..Default::default() };
    Optimizer::builder(&tiny.vs, sgd).build().unwrap()
}

/// Trains from the position of `method` to step `end` of a run with three steps in an epoch.
fn train(tiny: &Tiny, method: &mut dyn Algorithm, optimizer: &mut Optimizer, end: u64) {
    let batch = |t: u64| -> Batch { tiny.batch(6, 0.1 * t as f64) };
    while method.progress().total_steps < end {
        let at = method.progress();
        if at.step == 0 {
            method.begin_epoch(tiny, &mut [Ok(batch(100 + at.epoch))].into_iter()).unwrap();
        }
        method.step(tiny, &batch(at.total_steps), optimizer).unwrap();
        if method.progress().step == 3 {
            method.end_epoch().unwrap();
        }
    }
}

#[test]
fn a_resumed_run_has_the_same_bits() {
    for name in METHODS {
        // Inside an epoch, and between two.
        for stop in [4, 6] {
            let (tiny, mut whole) = method(name);
            let mut optimizer_of_whole = optimizer(&tiny);
            train(&tiny, &mut *whole, &mut optimizer_of_whole, 11);
            let expected = values(&tiny.vs);

            let folder = tempfile::tempdir().unwrap();
            let mut snapshots = SnapshotFolder::open(folder.path()).unwrap();
            let (tiny, mut first) = method(name);
            let mut own = optimizer(&tiny);
            train(&tiny, &mut *first, &mut own, stop);
            let mut parts =
                RunParts::new(&mut *first).weights("student", &tiny.vs).optimizer("main", &mut own);
            snapshots.save(&mut parts, &(), None).unwrap();

            let (tiny, mut second) = method(name);
            let mut own = optimizer(&tiny);
            let mut parts = RunParts::new(&mut *second)
                .weights("student", &tiny.vs)
                .optimizer("main", &mut own);
            let found: Option<()> = snapshots.resume(&mut parts).unwrap();
            assert!(found.is_some());
            assert_eq!(second.progress().total_steps, stop);
            train(&tiny, &mut *second, &mut own, 11);
            assert_same(&values(&tiny.vs), &expected);
            let [a, b] = [&mut whole, &mut second]
                .map(|method| serde_json::to_value(method.state().unwrap()).unwrap());
            assert_eq!(a, b, "{name}");
        }
    }
}

#[test]
fn a_state_of_another_method_is_refused_and_changes_nothing() {
    for name in METHODS {
        let (tiny, mut own) = method(name);
        train(&tiny, &mut *own, &mut optimizer(&tiny), 2);
        let before = serde_json::to_value(own.state().unwrap()).unwrap();
        for other in METHODS.into_iter().filter(|other| *other != name) {
            let (_, mut other) = method(other);
            let error = own.restore(&other.state().unwrap()).unwrap_err();
            assert!(error.to_string().contains("resume with the configuration"), "{error}");
        }
        let after = serde_json::to_value(own.state().unwrap()).unwrap();
        assert_eq!(before, after, "{name}");
    }
}

#[test]
fn a_trainer_and_a_method_refuse_the_state_of_the_other() {
    let (tiny, mut dgl) = method("dgl");
    let loss = g2d::loss::Classification::default();
    let mut trainer = tiny.builder(loss).build(&tiny).unwrap();
    let error = trainer.restore(&dgl.state().unwrap()).unwrap_err();
    assert!(error.to_string().contains("algorithm of the restored trainer"), "{error}");
    assert!(dgl.restore(&trainer.state().unwrap()).is_err());
}

#[test]
fn a_resumable_run_holds_any_algorithm() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let (tiny, method) = method("info_reg");
        let run = ResumableRun::builder(folder.path(), method, optimizer(&tiny));
        let run = run.weights("student", &tiny.vs).resume(0_u64).unwrap();
        (tiny, run)
    };
    let (tiny, mut run) = start();
    let batch = tiny.batch(6, 0.1);
    run.trainer.begin_epoch(&tiny, &mut std::iter::empty()).unwrap();
    run.trainer.step(&tiny, &batch, &mut run.optimizer).unwrap();
    run.state = 7;
    run.save(None).unwrap();
    let (_, run) = start();
    assert_eq!((run.state, run.batches_done()), (7, 1));
}
