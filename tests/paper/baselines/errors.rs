//! What is refused, and that it changes nothing.

use g2d::{
    Batch, Error, Student,
    algorithm::Algorithm,
    paper::baselines::{
        Agm, AgmClip, AgmConfig, BoostHead, Dgl, DglConfig, EpochWindow, GBlending,
        GBlendingConfig, InfoReg, InfoRegConfig, Lfm, LfmConfig, LfmWeight, Mla, MlaConfig,
        MlaFusion, MmPareto, MmParetoConfig, Opm, OpmConfig, Pmr, PmrConfig, ReconBoost,
        ReconBoostConfig, SharedHead, attributions,
    },
};
use tch::{Kind, Tensor};

use super::recorder::Recorder;
use crate::support::{
    CLASSES, LateFusion, Tiny, WIDTH, assert_config_error, assert_error, assert_same, values,
};

#[test]
fn methods_for_two_modalities_refuse_three() {
    let tiny = Tiny::conv(3);
    let words = ["number of modalities", "expected 2", "found 3"];
    assert_config_error(Pmr::new(&tiny, tiny.params(), PmrConfig::default()), &words);
    assert_config_error(InfoReg::new(&tiny, tiny.params(), InfoRegConfig::default()), &words);
    assert_config_error(Opm::new(&tiny, tiny.params(), OpmConfig::default()), &words);
}

#[test]
fn settings_out_of_range_are_refused() {
    let tiny = Tiny::conv(2);
    let params = || tiny.params();
    let nan = AgmConfig { alpha: f64::NAN, ..Default::default() };
    assert_config_error(Agm::new(&tiny, params(), nan), &["alpha of Agm"]);
    let parameters = vec!["head.wieght".to_owned()];
    let clip = Some(AgmClip { parameters, threshold: 1.0, norm: 1.0 });
    let clip = AgmConfig { clip, ..Default::default() };
    assert_config_error(Agm::new(&tiny, params(), clip), &["AgmClip", "head.wieght"]);
    let window =
        AgmConfig { window: Some(EpochWindow { first: 3, last: 1 }), ..Default::default() };
    assert_config_error(Agm::new(&tiny, params(), window), &["window of Agm", "3..=1"]);
    let momentum = PmrConfig { momentum: 1.5, ..Default::default() };
    assert_config_error(Pmr::new(&tiny, params(), momentum), &["momentum of Pmr", "1.5"]);
    let gamma = MmParetoConfig { gamma: 0.0 };
    assert_config_error(MmPareto::new(&tiny, params(), gamma), &["gamma of MmPareto"]);
    let clip = DglConfig { clip_norm: Some(-1.0), ..Default::default() };
    assert_config_error(Dgl::new(&tiny, params(), clip), &["clip_norm of Dgl", "-1"]);
    let traced = InfoRegConfig { traced: 2, ..Default::default() };
    assert_config_error(InfoReg::new(&tiny, params(), traced), &["traced of InfoReg"]);
    let weights = GBlendingConfig { joint: 1.0, unimodal: vec![1.0] };
    assert_config_error(GBlending::new(&tiny, params(), weights), &["weights of GBlending"]);
    let q = OpmConfig { q_base: 2.0, ..Default::default() };
    assert_config_error(Opm::new(&tiny, params(), q), &["q_base of Opm"]);
    let weight = LfmWeight::Learned {
        start: 2.0,
        lr: 1.0,
        parameter: "m0.conv.weight".to_owned(),
        train: true,
    };
    assert_config_error(Lfm::new(&tiny, params(), LfmConfig { weight }), &["start of Lfm"]);
    assert_config_error(
        attributions(&[Tensor::zeros([2, 2], tch::kind::DOUBLE_CPU), Tensor::new()]),
        &["2^k − 1"],
    );
}

#[test]
fn a_head_outside_the_parameters_is_refused() {
    let (tiny, other) = (Tiny::conv(2), Tiny::conv(2));
    let head = SharedHead::new(other.vs.root() / "shared", WIDTH, CLASSES).unwrap();
    let words = ["parameters of the shared head", "before the `ModalityParams`"];
    assert_config_error(Mla::new(&tiny, tiny.params(), head, MlaConfig::default()), &words);
    let params = tiny.params();
    let head = BoostHead::new(tiny.vs.root() / "boost", WIDTH, 5, CLASSES).unwrap();
    assert_config_error(ReconBoost::new(&tiny, params, head, ReconBoostConfig::default()), &words);
    let head = SharedHead::with_hidden(tiny.vs.root() / "deep", WIDTH, 5, CLASSES).unwrap();
    let found = Mla::new(&tiny, tiny.params(), head, MlaConfig::default());
    assert_config_error(found, &["shared head of Mla", "one linear layer"]);
    let head = SharedHead::new(tiny.vs.root() / "shared", WIDTH, CLASSES).unwrap();
    let config = MlaConfig { fusion: MlaFusion::Fixed(vec![1.0; 3]), ..Default::default() };
    assert_config_error(Mla::new(&tiny, tiny.params(), head, config), &["weights of MlaFusion"]);
    let head = SharedHead::new(tiny.vs.root() / "again", WIDTH, CLASSES).unwrap();
    let found = Mla::new(&tiny, tiny.params(), head, MlaConfig::default());
    assert_config_error(found, &["batches_per_epoch of Mla", "None"]);
    assert!(SharedHead::new(tiny.vs.root() / "none", 0, CLASSES).is_err());
}

/// The methods that need no head.
fn methods(
    student: &dyn Student,
    params: impl Fn() -> g2d::ModalityParams,
) -> Vec<Box<dyn Algorithm>> {
    vec![
        Box::new(Agm::new(student, params(), AgmConfig::default()).unwrap()),
        Box::new(MmPareto::new(student, params(), MmParetoConfig::default()).unwrap()),
        Box::new(Dgl::new(student, params(), DglConfig::default()).unwrap()),
        Box::new(InfoReg::new(student, params(), InfoRegConfig::default()).unwrap()),
        Box::new(Lfm::new(student, params(), LfmConfig::default()).unwrap()),
        Box::new(Opm::new(student, params(), OpmConfig::default()).unwrap()),
    ]
}

#[test]
fn a_failed_step_changes_nothing_and_does_not_count() {
    let tiny = Tiny::conv(2);
    let before = values(&tiny.vs);
    let good = || tiny.batch(6, 0.1);
    let inputs = || (0..2).map(|m| good().input(m).shallow_clone()).collect::<Vec<_>>();
    let nan = || {
        let mut inputs = inputs();
        inputs[1] = &inputs[1] * f64::NAN;
        Batch::new(inputs, good().targets().shallow_clone())
    };
    let batches: Vec<(Batch, &[&str])> = vec![
        (nan(), &["epoch 0, step 0"]),
        (Batch::new(inputs(), Tensor::from_slice(&[0_i64, 1, 2, 0, 1, 7])), &["target"]),
        (
            Batch::new(inputs(), Tensor::zeros([6], (Kind::Double, tch::Device::Cpu))),
            &["one class label per sample"],
        ),
        (
            good().with_present(1, vec![true, true, false, true, true, true]),
            &["that lacks it", "missing modalities"],
        ),
    ];
    for mut method in methods(&tiny, || tiny.params()) {
        let mut optimizer = Recorder::new(&tiny.vs, 0.1);
        for (batch, words) in &batches {
            assert_error(method.step(&tiny, batch, &mut optimizer), words);
            assert_same(&values(&tiny.vs), &before);
            assert_eq!(method.progress().total_steps, 0);
            assert!(optimizer.updates.is_empty());
            assert!(tiny.vs.trainable_variables().iter().all(|v| !v.grad().defined()));
        }
    }
}

#[test]
fn another_student_is_refused() {
    let (tiny, three) = (Tiny::conv(2), Tiny::conv(3));
    let mut dgl = Dgl::new(&tiny, tiny.params(), DglConfig::default()).unwrap();
    let mut optimizer = Recorder::new(&tiny.vs, 0.1);
    let found = dgl.step(&three, &three.batch(6, 0.1), &mut optimizer);
    assert_config_error(found, &["student given to dgl"]);
    assert_config_error(
        Dgl::new(&three, tiny.params(), DglConfig::default()),
        &["parameters of dgl"],
    );
    // A student whose parameters are not those of the method.
    let other = Tiny::conv(2);
    let found = dgl.step(&other, &tiny.batch(6, 0.1), &mut optimizer);
    assert_config_error(found, &["nothing can learn"]);
}

#[test]
fn a_student_without_unimodal_logits_is_refused_where_they_are_needed() {
    let late = LateFusion::new(&[0.5, 0.5], Kind::Double);
    struct Mute<'a>(&'a LateFusion);
    impl Student for Mute<'_> {
        fn modalities(&self) -> &[g2d::Modality] {
            self.0.modalities()
        }
        fn encode(&self, m: usize, batch: &Batch, train: bool) -> g2d::Result<Tensor> {
            self.0.encode(m, batch, train)
        }
        fn fuse(&self, features: &g2d::Features<'_>, train: bool) -> g2d::Result<Tensor> {
            self.0.fuse(features, train)
        }
    }
    let student = Mute(&late);
    let mut method = MmPareto::new(&student, late.params(), MmParetoConfig::default()).unwrap();
    let batch = Tiny::linear(2).batch(6, 0.1);
    let found = method.step(&student, &batch, &mut Recorder::new(&late.vs, 0.1));
    assert_config_error(found, &["unimodal logits of modality", "heads::WithHeads"]);
}

#[test]
fn recon_boost_refuses_an_optimizer_that_cannot_restart() {
    let mut tiny = Tiny::conv(2);
    let head = BoostHead::new(tiny.vs.root() / "boost", WIDTH, 5, CLASSES).unwrap();
    tiny.vs.double();
    let mut method =
        ReconBoost::new(&tiny, tiny.params(), head, ReconBoostConfig::default()).unwrap();
    let before = values(&tiny.vs);
    let found = method.step(&tiny, &tiny.batch(6, 0.1), &mut tiny.optimizer());
    assert_config_error(found, &["optimizer", "g2d::optim::Optimizer"]);
    assert_same(&values(&tiny.vs), &before);
}

#[test]
fn pmr_needs_prototypes_before_a_step_and_batches_for_them() {
    let tiny = Tiny::conv(2);
    let mut pmr = Pmr::new(&tiny, tiny.params(), PmrConfig::default()).unwrap();
    let mut optimizer = Recorder::new(&tiny.vs, 0.1);
    let found = pmr.step(&tiny, &tiny.batch(6, 0.1), &mut optimizer);
    assert_config_error(found, &["step of Pmr", "begin_epoch"]);
    let found = pmr.begin_epoch(&tiny, &mut std::iter::empty());
    assert_config_error(found, &["prototypes", "at least one batch"]);
    let found = pmr.end_epoch();
    assert!(matches!(found, Err(Error::Config(_))));
}

#[test]
fn settings_are_read_with_the_authors_defaults_and_unknown_ones_are_refused() {
    let read = |text: &str| serde_json::from_str::<AgmConfig>(text);
    assert_eq!(read("{}").unwrap(), AgmConfig::default());
    assert_eq!(read(r#"{"alpha": 2.5, "cap": null}"#).unwrap().cap, None);
    assert!(read(r#"{"alpa": 2.5}"#).is_err());
    let mla: MlaConfig =
        serde_json::from_str(r#"{"projection": "as_run", "fusion": {"fixed": [0.5, 0.5]}}"#)
            .unwrap();
    assert_eq!(mla.fusion, MlaFusion::Fixed(vec![0.5; 2]));
    let text = serde_json::to_string(&ReconBoostConfig::default()).unwrap();
    let back: ReconBoostConfig = serde_json::from_str(&text).unwrap();
    assert_eq!(back, ReconBoostConfig::default());
}
