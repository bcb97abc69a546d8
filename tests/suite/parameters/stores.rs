//! Models of several `VarStore`s, and layers without paths.

use g2d::{
    Batch, Features, G2dTrainer, Modality, ModalityParams, Result, Student,
    loss::Classification,
    optim::{Optimizer, SgdConfig},
    parameters::Stores,
    trainer::NonFinite,
};
use tch::{
    Device, Kind, Tensor,
    nn::{self, ModuleT, VarStore},
};

use super::owned;
use crate::support::{
    CLASSES, INPUT, assert_config_error, assert_same, labels, values, wave, with_nan_input,
};

/// A student whose encoders and head are in a store each; those of the encoders have batch norm.
struct Split {
    names: Vec<Modality>,
    stores: [VarStore; 2],
    fusion: VarStore,
    encoders: Vec<nn::SequentialT>,
    head: nn::Linear,
}

impl Split {
    fn new() -> Self {
        let stores = [(); 2].map(|()| VarStore::new(Device::Cpu));
        let encoder = |vs: &VarStore| {
            nn::seq_t()
                .add(nn::linear(vs.root() / "fc", INPUT, 4, Default::default()))
                .add(nn::batch_norm1d(vs.root() / "bn", 4, Default::default()))
        };
        let encoders = stores.iter().map(encoder).collect();
        let fusion = VarStore::new(Device::Cpu);
        let head = nn::linear(fusion.root(), 8, CLASSES, Default::default());
        Self { names: Modality::list(["audio", "text"]), stores, fusion, encoders, head }
    }

    fn params(&self) -> ModalityParams {
        let [audio, text] = &self.stores;
        let params = ModalityParams::by_store([("audio", audio), ("text", text)]).unwrap();
        params.with_store("fusion", &self.fusion)
    }

    fn all(&self) -> [&VarStore; 3] {
        [&self.stores[0], &self.stores[1], &self.fusion]
    }
}

impl Student for Split {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        Ok(self.encoders[m].forward_t(batch.input(m), train))
    }

    fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
        Ok(Tensor::f_cat(features, 1)?.apply(&self.head))
    }
}

fn batch(seed: f64) -> Batch {
    let input = |m: f64| wave(seed + 10.0 * m, &[6, INPUT]).to_kind(Kind::Float);
    Batch::new([input(0.0), input(1.0)], labels(6))
}

#[test]
fn a_store_per_modality_groups_under_the_name_of_the_modality() {
    let student = Split::new();
    let params = student.params();
    assert!(params.modalities().eq(&student.names));
    let own = ["text.bn.bias", "text.bn.weight", "text.fc.bias", "text.fc.weight"];
    assert_eq!(owned(&params, 1), own);
}

#[test]
fn the_trainer_and_the_optimizer_have_the_variables_of_all_stores() {
    let student = Split::new();
    let params = student.params();
    let mut optimizer = Optimizer::builder(&params, SgdConfig { lr: 0.1, ..Default::default() })
        .group_where("text", |p| p.is_of("text"), SgdConfig { lr: 0.0, ..Default::default() })
        .build()
        .unwrap();
    let builder = G2dTrainer::builder(Classification::default()).encoders(params);
    let mut trainer = builder.non_finite(NonFinite::Skip).build(&student).unwrap();
    let before = student.all().map(values);
    trainer.step(&student, &batch(0.0)).unwrap();
    trainer.update(&mut optimizer).unwrap().unwrap();
    for (i, vs) in student.all().into_iter().enumerate() {
        for (name, tensor) in values(vs) {
            // A bias before batch norm has a gradient of 0.
            let learns = i != 1 && name != "fc.bias" || name.contains("running");
            let is_same = tensor.equal(&before[i][&name]);
            assert!(is_same != learns || name == "fc.bias", "{i}: {name}");
        }
    }
    // The buffers of all encoders are restored after a step that is skipped.
    let before = student.all().map(values);
    let report = trainer.step(&student, &with_nan_input(&batch(1.0), 1)).unwrap();
    assert!(report.outcome.skipped().is_some());
    for (vs, before) in student.all().into_iter().zip(&before) {
        assert_same(&values(vs), before);
    }
}

#[test]
fn a_gradient_that_is_not_finite_is_found_in_every_store() {
    let student = Split::new();
    let builder = G2dTrainer::builder(Classification::default()).encoders(student.params());
    let mut trainer = builder.non_finite(NonFinite::Skip).build(&student).unwrap();
    let weight = student.head.ws.shallow_clone();
    let infinite = weight.full_like(f64::INFINITY);
    (&weight * infinite).sum(Kind::Float).backward();
    let report = trainer.step(&student, &batch(0.0)).unwrap();
    let cause = format!("{:?}", report.outcome);
    assert!(cause.contains("fusion.weight"), "{cause}");
    assert!(!weight.grad().defined());
}

#[test]
fn names_and_functions_refer_to_full_names() {
    let student = Split::new();
    let [audio, text, fusion] = student.all();
    let stores = || [("audio", audio), ("text", text), ("head", fusion)];
    for params in [
        ModalityParams::by_name(stores(), &student.names).unwrap(),
        ModalityParams::by_prefix(stores(), [("audio", "audio"), ("text", "text.fc")]).unwrap(),
        ModalityParams::by_function(stores(), &student.names, |name| {
            let store = name.split('.').next()?;
            (store != "head").then(|| store.into())
        })
        .unwrap(),
    ] {
        assert_eq!(owned(&params, 0).len(), 4);
        assert!(owned(&params, 1).contains(&"text.fc.weight"));
        assert_eq!(
            Optimizer::builder(&params, SgdConfig::default()).build().unwrap().lr().count(),
            1
        );
    }
}

#[test]
fn the_error_of_a_modality_without_parameters_tells_how_several_stores_are_given() {
    let student = Split::new();
    let [audio, text, _] = student.all();
    let words = ["parameters of modality \"text\"", "[\"bn\", \"fc\"]", "ModalityParams::by_store"];
    let params = ModalityParams::by_prefix(audio, [("audio", "fc"), ("text", "text")]);
    assert_config_error(params, &words);
    let words = ["variable \"bn.bias\"", "two", "name of its own"];
    let params = ModalityParams::by_prefix([("", audio), ("", text)], [("audio", "fc")]);
    assert_config_error(params, &words);
}

#[test]
fn tensors_are_grouped_by_identity() {
    let student = Split::new();
    let [audio, text, fusion] = student.all();
    let of = |vs: &VarStore| -> Vec<Tensor> {
        vs.variables().into_values().filter(Tensor::requires_grad).collect()
    };
    // The fusion's store is known, those of the encoders are not.
    let lists = || [("audio", of(audio)), ("text", of(text))];
    let params = ModalityParams::by_tensors(fusion, lists()).unwrap();
    assert_eq!(owned(&params, 1), ["text.0", "text.1", "text.2", "text.3"]);
    let mut optimizer = Optimizer::builder(&params, SgdConfig::default()).build().unwrap();
    let builder = G2dTrainer::builder(Classification::default()).encoders(params);
    let mut trainer = builder.build(&student).unwrap();
    let before = student.all().map(values);
    trainer.step(&student, &batch(0.0)).unwrap();
    trainer.update(&mut optimizer).unwrap();
    for (vs, before) in student.all().into_iter().zip(&before) {
        let changed =
            values(vs).iter().any(|(name, t)| name.ends_with("weight") && *t != before[name]);
        assert!(changed);
    }
    // Tensors of a known store keep their names.
    let params = ModalityParams::by_tensors([("a", audio)], lists()).unwrap();
    assert_eq!(owned(&params, 0)[0], "a.bn.bias");
    let params = ModalityParams::by_tensors(Stores::default(), lists()).unwrap();
    assert_eq!(params.encoder(0).len(), 4);

    let weight = &student.head.ws;
    for (list, words) in [
        (vec![weight * 2.0], ["tensor 0 of modality \"text\"", "the result of an operation"]),
        (of(audio), ["of modality \"text\"", "one of \"audio\", too"]),
        (vec![], ["parameters of modality \"text\"", "list of tensors"]),
    ] {
        let lists = [("audio", of(audio)), ("text", list)];
        assert_config_error(ModalityParams::by_tensors(fusion, lists), &words);
    }
}
