//! The contract of `Teacher`.

use g2d::{
    Batch, Teacher,
    batch::Input,
    teacher::{
        Cached, ScriptOutput, TorchScript,
        cache::{self, Digest, Storage},
    },
};
use tch::{Device, Kind, Tensor};

use crate::{
    support::{Tiny, WIDTH, assert_mismatch, assert_same, gradients, select_rows, values},
    teacher::torchscript,
};

const ROWS: i64 = 6;

fn contract(teacher: &dyn Teacher, m: usize, batch: &Batch) {
    assert_eq!(teacher.modality().name(), format!("m{m}"));
    let output = teacher.output(m, batch).unwrap();
    assert_eq!(output.features.size()[0], ROWS);
    assert_eq!(output.logits.size()[0], ROWS);
    let second = teacher.output(m, batch).unwrap();
    let partial = teacher.output(m, &select_rows(batch, &[4, 0, 4])).unwrap();
    let both = [
        (&output.features, &second.features, &partial.features),
        (&output.logits, &second.logits, &partial.logits),
    ];
    for (tensor, second, partial) in both {
        assert!(!tensor.requires_grad(), "an output carries no gradient");
        assert!(bool::try_from(tensor.isfinite().all()).unwrap());
        assert!(tensor.equal(second), "the same batch gives the same output");
        let expected = tensor.index_select(0, &Tensor::from_slice(&[4_i64, 0, 4]));
        assert!(
            partial.allclose(&expected, 1e-12, 1e-12, false),
            "a row's output depends on that row alone"
        );
    }

    let other_input: Vec<_> = batch
        .inputs()
        .iter()
        .map(Input::first)
        .enumerate()
        .map(|(j, input)| if j == m { input.shallow_clone() } else { input * f64::NAN })
        .collect();
    let other = Batch::new(other_input, batch.targets().copy()).with_ids(batch.ids().unwrap());
    let other = teacher.output(m, &other).unwrap();
    assert!(other.logits.equal(&output.logits), "a teacher reads only its own input");

    assert_mismatch(
        teacher.output(0, &Batch::new(Vec::<Tensor>::new(), batch.targets().copy())),
        &[],
    );

    let weight = Tensor::ones([2], (Kind::Double, tch::Device::Cpu)).set_requires_grad(true);
    assert!((&weight * 2.0).requires_grad(), "gradients are enabled after an output");

    if let Some(host) = output.host {
        assert!(host.logits.equal(&output.logits.to_device(tch::Device::Cpu)));
        assert!(host.targets.equal(&batch.targets().to_device(tch::Device::Cpu)));
    }
}

#[test]
fn frozen_models_keep_the_contract_and_never_change() {
    let student = Tiny::linear(2);
    for m in 0..2 {
        let (teacher, vs) = student.teacher(m, WIDTH);
        assert!(vs.trainable_variables().iter().all(|t| !t.requires_grad()), "not frozen");
        let before = values(&vs);
        contract(&teacher, m, &student.batch(ROWS, 0.4));
        assert_same(&before, &values(&vs));
        assert!(gradients(&vs).is_empty());
    }
}

#[test]
fn outputs_cached_in_memory_keep_the_contract() {
    let student = Tiny::linear(2);
    for m in 0..2 {
        let (live, _vs) = student.teacher(m, WIDTH);
        let batch = student.batch(ROWS, 0.4);
        let parts = [vec![3, 1], vec![0, 2, 5], vec![4]];
        let cached =
            Cached::record(&live, m, parts.iter().map(|p| Ok(select_rows(&batch, p)))).unwrap();
        assert_eq!((cached.len(), cached.is_empty()), (ROWS as usize, false));
        contract(&cached, m, &batch);
        contract(&cached.share(), m, &batch);
        let (a, b) = (live.output(m, &batch).unwrap(), cached.output(m, &batch).unwrap());
        assert!(a.features.allclose(&b.features, 1e-12, 1e-12, false));
        assert!(a.logits.allclose(&b.logits, 1e-12, 1e-12, false));
    }
}

#[test]
fn outputs_cached_in_a_file_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let student = Tiny::linear(2);
    for (m, storage) in [(0, Storage::Full), (1, Storage::Half), (0, Storage::BFloat16)] {
        let (live, vs) = student.teacher(m, WIDTH);
        let weights = Digest::from_weights(&vs).unwrap();
        let identity =
            cache::Identity::new(format!("m{m}"), weights, Digest::from_parts(["batch"]));
        let path = folder.path().join(format!("{m}-{storage:?}"));
        let file = cache::OutputFile::new(path, identity).storage(storage);
        let batch = student.batch(ROWS, 0.4);
        let parts = [vec![3, 1], vec![0, 2, 5], vec![4]];
        file.record(&live, m, parts.iter().map(|p| Ok(select_rows(&batch, p)))).unwrap();
        let cached = file.open(Device::Cpu).unwrap();
        contract(&cached, m, &batch);
        contract(&cached.share(), m, &batch);
    }
}

#[test]
fn torchscript_teachers_keep_the_contract() {
    let Some(files) = torchscript::files() else { return };
    let student = Tiny::linear(2);
    let method = || ScriptOutput::Method("features".into());
    for (name, form) in [
        ("pair", ScriptOutput::Automatic),
        ("traced", ScriptOutput::Automatic),
        ("frozen", ScriptOutput::Automatic),
        ("named", ScriptOutput::Automatic),
        ("method", method()),
    ] {
        for m in 0..2 {
            let path = files.join(name).with_extension("pt");
            let teacher = TorchScript::load(format!("m{m}"), path, Device::Cpu).unwrap();
            contract(&teacher.output_form(form.clone()), m, &student.batch(ROWS, 0.4));
        }
    }
}
