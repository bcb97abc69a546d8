//! The parameters of each modality's encoder.
//!
//! - `stores.rs`: models of several `VarStore`s.

mod stores;

use g2d::{G2dTrainer, Modality, ModalityParams, loss::Classification};
use tch::{Device, Kind, nn};

use crate::support::{Tiny, assert_config_error, names};

/// The names of the parameters of modality `m`.
fn owned(params: &ModalityParams, m: usize) -> Vec<&str> {
    params.encoder(m).iter().map(|(name, _)| name.as_str()).collect()
}

/// A tower whose layers alternate between modalities, so that no prefix distinguishes them.
fn tower() -> nn::VarStore {
    let vs = nn::VarStore::new(Device::Cpu);
    for block in 0..2 {
        for owner in ["text", "image", "both"] {
            let path = vs.root() / "tower" / format!("{block}_{owner}");
            nn::linear(path, 2, 2, nn::LinearConfig { bias: false, ..Default::default() });
        }
    }
    vs
}

/// The modality of a parameter of the [`tower`].
fn owner(name: &str) -> Option<Modality> {
    let modality = name.strip_prefix("tower.")?.split(['_', '.']).nth(1)?;
    (modality != "both").then(|| modality.into())
}

#[test]
fn a_function_assigns_parameters_where_no_prefix_can() {
    let vs = tower();
    let modalities = Modality::list(["text", "image"]);
    let params = ModalityParams::by_function(&vs, &modalities, owner).unwrap();
    assert!(params.modalities().eq(&modalities));
    assert_eq!(owned(&params, 0), ["tower.0_text.weight", "tower.1_text.weight"]);
    assert_eq!(owned(&params, 1), ["tower.0_image.weight", "tower.1_image.weight"]);
}

#[test]
fn a_function_of_the_first_path_component_equals_by_name() {
    for student in [Tiny::linear(3), Tiny::conv(2)] {
        let modalities: Vec<_> = student.params().modalities().cloned().collect();
        let first = |name: &str| name.split('.').next().filter(|n| *n != "head").map(Modality::new);
        let params = ModalityParams::by_function(&student.vs, &modalities, first).unwrap();
        for m in 0..modalities.len() {
            assert_eq!(owned(&params, m), owned(&student.params(), m));
        }
    }
}

#[test]
fn a_function_that_returns_an_unknown_modality_is_an_error_with_the_parameter() {
    let words = ["\"tower.0_both.weight\"", "[\"text\", \"image\"]", "\"video\"", "None"];
    let owner = |name: &str| Some(owner(name).unwrap_or("video".into()));
    assert_config_error(
        ModalityParams::by_function(&tower(), &Modality::list(["text", "image"]), owner),
        &words,
    );
}

#[test]
fn a_modality_without_parameters_is_an_error() {
    let modalities = Modality::list(["text", "image", "audio"]);
    let words = ["parameters of modality \"audio\"", "by the function", "[\"tower\"]"];
    assert_config_error(ModalityParams::by_function(&tower(), &modalities, owner), &words);
    let mut frozen = tower();
    frozen.freeze();
    let words = ["parameters of modality \"text\"", "trainable"];
    assert_config_error(ModalityParams::by_function(&frozen, &modalities[..2], owner), &words);
}

/// Tied weights are one storage with two names.
#[test]
fn tied_weights_of_two_owners_are_an_error() {
    let student = Tiny::linear(2);
    let tie = |name: &str| {
        let shared = student.vs.variables()["m0.a.weight"].shallow_clone();
        let variables = student.vs.variables_.clone();
        variables.lock().unwrap().named_variables.insert(name.to_owned(), shared);
    };
    let by_name = || ModalityParams::by_name(&student.vs, &names(2));
    tie("m0.b.again"); // both in m0
    assert_eq!(by_name().unwrap().encoder(0).len(), 5);
    tie("other.tied");
    let words = ["\"other.tied\" of no modality", "\"m0.", "modality \"m0\"", "shared layer"];
    assert_config_error(by_name(), &words);
    tie("m1.tied");
    let words = ["\"m1.tied\" of modality \"m1\"", "modality \"m0\"", "shared layer"];
    assert_config_error(by_name(), &words);
    let tied = ["m0.a.weight", "m0.b.again", "other.tied", "m1.tied"];
    let untied = |name: &str| {
        let first = name.split('.').next().filter(|first| first.starts_with('m'));
        first.filter(|_| !tied.contains(&name)).map(Modality::new)
    };
    let params = ModalityParams::by_function(&student.vs, &names(2), untied).unwrap();
    assert_eq!(owned(&params, 0), ["m0.a.bias", "m0.b.bias", "m0.b.weight"]);
    assert_eq!(params.encoder(1).len(), 4);
}

#[test]
fn prefixes_match_whole_path_components() {
    let vs = nn::VarStore::new(Device::Cpu);
    let make = |path: &str| {
        let path = path.split('.').fold(vs.root(), |p, part| p / part);
        nn::linear(path, 2, 2, Default::default())
    };
    for path in ["net", "net2", "net.inner", "a.b", "a.bc"] {
        make(path);
    }
    let owned = |a: &str, b: &str| {
        let params = ModalityParams::by_prefix(&vs, [("x", a), ("y", b)])?;
        let names = |m| params.encoder(m).iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        Ok([names(0), names(1)])
    };
    let [net, b] = owned("net", "a.b").unwrap();
    assert_eq!(net, ["net.bias", "net.inner.bias", "net.inner.weight", "net.weight"]);
    assert_eq!(b, ["a.b.bias", "a.b.weight"]);
    for [a, b] in [["net", "net"], ["net", "net.inner"], ["a.b", "a"]] {
        assert_config_error(owned(a, b), &["prefixes", "\"x\"", "\"y\"", "disjoint", a, b]);
    }
    for empty in ["", "ne", "a.", ".net", "net.inner.weights", "nothing"] {
        assert_config_error(
            owned(empty, "net2"),
            &["\"x\"", "trainable", &format!("{empty:?}"), "net2", "prefix"],
        );
    }
}

#[test]
fn buffers_and_frozen_variables_are_not_parameters_of_an_encoder() {
    let student = Tiny::conv(2);
    let own: Vec<_> = student.params().encoder(0).iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(own, ["m0.bn.bias", "m0.bn.weight", "m0.conv.bias", "m0.conv.weight"]);
    let mut frozen = Tiny::linear(2);
    frozen.vs.freeze();
    assert_config_error(ModalityParams::by_name(&frozen.vs, &names(2)), &["\"m0\"", "trainable"]);
}

#[test]
fn parameters_follow_a_change_of_dtype_of_their_store() {
    let mut student = Tiny::linear(2);
    let params = student.params();
    student.vs.float();
    assert!(params.encoder(0).iter().all(|(_, tensor)| tensor.kind() == Kind::Float));
    assert_eq!(params.device(), Device::Cpu);
}

#[test]
fn the_trainer_clears_the_gradients_of_all_stores() {
    let student = Tiny::linear(2);
    let other = nn::VarStore::new(Device::Cpu);
    let weight = other.root().ones("weight", &[1]);
    let params = student.params().with_store("other", &other);
    let builder = G2dTrainer::builder(Classification::default()).encoders(params).accumulate(2);
    let mut trainer = builder.build(&student).unwrap();
    trainer.step(&student, &student.batch(3, 0.0)).unwrap();
    weight.square().sum(Kind::Float).backward();
    assert_eq!(trainer.end_epoch().unwrap().unfinished, 1);
    assert!(!weight.grad().defined());
}
