//! The contract of `Teacher`.

use g2d::{
    Batch, Teacher,
    teacher::{
        Cached, ScriptOutput, TorchScript,
        cache::{self, Digest, Storage},
    },
};
use tch::{Device, Kind, Tensor};

use crate::{
    support::{INPUT, Tiny, WIDTH, assert_same, gradients, mismatch, values, wave},
    teacher::torchscript,
};

const ROWS: i64 = 6;

/// The rows of `batch` in another order, or a part of them.
fn rows(batch: &Batch, order: &[i64]) -> Batch {
    let pick = |from: &Tensor| from.index_select(0, &Tensor::from_slice(order));
    let ids: Vec<i64> = order.iter().map(|&row| batch.ids().unwrap()[row as usize]).collect();
    let inputs: Vec<_> = batch.inputs().iter().map(pick).collect();
    Batch::new(inputs, pick(batch.targets())).with_ids(ids)
}

fn contract(teacher: &dyn Teacher, m: usize, batch: &Batch) {
    assert_eq!(teacher.modality().name(), format!("m{m}"));
    let said = teacher.output(m, batch).unwrap();
    assert_eq!(said.features.size()[0], ROWS);
    assert_eq!(said.logits.size()[0], ROWS);
    let again = teacher.output(m, batch).unwrap();
    let part = teacher.output(m, &rows(batch, &[4, 0, 4])).unwrap();
    let both = [
        (&said.features, &again.features, &part.features),
        (&said.logits, &again.logits, &part.logits),
    ];
    for (tensor, again, part) in both {
        assert!(!tensor.requires_grad(), "a teacher's answer carries no gradient");
        assert!(bool::try_from(tensor.isfinite().all()).unwrap());
        assert!(tensor.equal(again), "evaluation says the same every time");
        let expected = tensor.index_select(0, &Tensor::from_slice(&[4_i64, 0, 4]));
        assert!(part.allclose(&expected, 1e-12, 1e-12, false), "rows follow the batch, each alone");
    }

    let other_input: Vec<_> = batch
        .inputs()
        .iter()
        .enumerate()
        .map(|(j, input)| if j == m { input.shallow_clone() } else { input * f64::NAN })
        .collect();
    let other = Batch::new(other_input, batch.targets().copy()).with_ids(batch.ids().unwrap());
    assert!(teacher.output(m, &other).unwrap().logits.equal(&said.logits), "reads only its own");

    mismatch(teacher.output(0, &Batch::new([], batch.targets().copy())), &[]);

    let weight = Tensor::ones([2], (Kind::Double, tch::Device::Cpu)).set_requires_grad(true);
    assert!((&weight * 2.0).requires_grad(), "gradients are on after a teacher spoke");

    if let Some(host) = said.host {
        assert!(host.logits.equal(&said.logits.to_device(tch::Device::Cpu)));
        assert!(host.targets.equal(&batch.targets().to_device(tch::Device::Cpu)));
    }
}

#[test]
fn module_teacher() {
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

/// Even where the caller asks for gradients with respect to the input.
#[test]
fn module_teacher_cuts_the_graph_of_its_input() {
    let student = Tiny::linear(2);
    let input = || wave(0.2, &[ROWS, INPUT]).set_requires_grad(true);
    let batch = Batch::new([input(), input()], student.batch(ROWS, 0.0).targets().copy());
    let said = student.teacher(0, WIDTH).0.output(0, &batch).unwrap();
    assert!(!said.features.requires_grad() && !said.logits.requires_grad());
}

#[test]
fn cached_teacher() {
    let student = Tiny::linear(2);
    for m in 0..2 {
        let (live, _vs) = student.teacher(m, WIDTH);
        let batch = student.batch(ROWS, 0.4);
        let parts = [vec![3, 1], vec![0, 2, 5], vec![4]];
        let cached = Cached::record(&live, m, parts.iter().map(|p| Ok(rows(&batch, p)))).unwrap();
        assert_eq!((cached.len(), cached.is_empty()), (ROWS as usize, false));
        contract(&cached, m, &batch);
        contract(&cached.share(), m, &batch);
        let (a, b) = (live.output(m, &batch).unwrap(), cached.output(m, &batch).unwrap());
        assert!(a.features.allclose(&b.features, 1e-12, 1e-12, false));
        assert!(a.logits.allclose(&b.logits, 1e-12, 1e-12, false));
    }
}

#[test]
fn cached_teacher_from_a_file() {
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
        file.record(&live, m, parts.iter().map(|p| Ok(rows(&batch, p)))).unwrap();
        let cached = file.open(Device::Cpu).unwrap();
        contract(&cached, m, &batch);
        contract(&cached.share(), m, &batch);
    }
}

#[test]
fn torchscript_teacher() {
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
