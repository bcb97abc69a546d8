//! The exponential moving average of weights.

use g2d::{
    G2dTrainer,
    checkpoint::{RunParts, SnapshotFolder},
    loss::Classification,
    optim::{Optimizer, SgdConfig},
    weights::{self, Ema, EmaBuffers},
};
use tch::{Device, Kind, Tensor, nn, nn::VarStore};

use super::{read, store};
use crate::support::{Tiny, assert_config_error, assert_same, count_synchronisations, values};

/// The four changes of a batch norm whose averages PyTorch has computed.
fn change(vs: &VarStore, t: f64) {
    let _no_grad = tch::no_grad_guard();
    let mut all = vs.variables();
    let mut apply = |name: &str, action: &dyn Fn(&Tensor) -> Tensor| {
        let tensor = all.get_mut(name).unwrap();
        let next = action(tensor);
        tensor.copy_(&next);
    };
    apply("weight", &|w| w + 0.5 * (t + 1.0));
    apply("bias", &|b| b * 1.5);
    apply("running_mean", &|mean| mean + (t + 1.0));
    apply("running_var", &|var| var * 2.0);
}

fn norm() -> VarStore {
    let vs = VarStore::new(Device::Cpu);
    let norm = nn::batch_norm1d(vs.root(), 2, Default::default());
    let _no_grad = tch::no_grad_guard();
    norm.ws.unwrap().copy_(&Tensor::from_slice(&[1.0_f32, 2.0]));
    norm.bs.unwrap().copy_(&Tensor::from_slice(&[-1.0_f32, 0.5]));
    vs
}

/// By `AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=…)` of PyTorch 2.13.
#[test]
fn averages_agree_with_pytorch() {
    for (buffers, mean, variance) in [
        (EmaBuffers::Copy, 10.0, 16.0),
        (EmaBuffers::Average, 2.51200008392334, 4.1020002365112305),
    ] {
        let vs = norm();
        let mut ema = Ema::new(&vs, 0.9).unwrap().with_buffers(buffers);
        for t in 0..4 {
            change(&vs, f64::from(t));
            ema.update().unwrap();
        }
        let found = ema.store().variables();
        for (name, expected) in [
            ("module.weight", [2.25600004196167, 3.255999803543091]),
            ("module.bias", [-2.085750102996826, 1.042875051498413]),
            ("module.running_mean", [mean; 2]),
            ("module.running_var", [variance; 2]),
        ] {
            let difference = &found[name] - Tensor::from_slice(&expected).to_kind(Kind::Float);
            assert!(difference.abs().max().double_value(&[]) < 1e-6, "{name}: {}", found[name]);
        }
        assert_eq!((ema.updates(), found["n_averaged"].int64_value(&[])), (4, 4));
    }
}

#[test]
fn a_warmup_follows_the_model_faster_at_first() {
    let vs = VarStore::new(Device::Cpu);
    let mut w = vs.root().zeros("w", &[1]);
    let mut ema = Ema::new(&vs, 0.5).unwrap().with_warmup();
    ema.update().unwrap();
    let mut expected = 0.0;
    for t in 1..20 {
        let _ = tch::no_grad(|| w.fill_(f64::from(t)));
        ema.update().unwrap();
        let decay = f64::min(0.5, f64::from(1 + t) / f64::from(10 + t));
        expected = decay * expected + (1.0 - decay) * f64::from(t);
        let found = ema.store().variables()["module.w"].double_value(&[0]);
        assert!((found - expected).abs() < 1e-5, "{t}: {found} against {expected}");
    }
}

#[test]
fn the_model_has_the_averages_until_its_own_weights_are_restored() {
    let vs = store();
    let mut ema = Ema::new(&vs, 0.9).unwrap();
    ema.update().unwrap();
    let averages = values(&vs);
    let _ =
        tch::no_grad(|| vs.variables()["fc.weight"].shallow_clone().f_add_(&Tensor::from(1_f32)));
    let own = values(&vs);
    let averaged = ema.swap_in().unwrap();
    assert_same(&values(&vs), &averages);
    drop(averaged);
    assert_same(&values(&vs), &own);
    ema.swap_in().unwrap().restore().unwrap();
    assert_same(&values(&vs), &own);
    let ((), synchronisations) = count_synchronisations(|| ema.update().unwrap());
    assert_eq!(synchronisations, 0);
}

#[test]
fn a_saved_average_loads_into_the_model_and_into_an_average() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ema.safetensors");
    let mut vs = store();
    let mut ema = Ema::new(&vs, 0.9).unwrap();
    ema.update().unwrap();
    let averages = values(&vs);
    weights::save(ema.store(), &path).unwrap();
    assert!(read(&path).contains_key("module.bn.num_batches_tracked"), "as AveragedModel has it");
    let _ = tch::no_grad(|| vs.variables()["fc.weight"].shallow_clone().fill_(7.0));
    let mut other = Ema::new(&vs, 0.9).unwrap();
    weights::load(&mut vs, &path).unwrap();
    assert_same(&values(&vs), &averages);
    weights::load(other.store_mut(), &path).unwrap();
    assert_eq!(other.updates(), 1);
    assert_same(&values(other.store()), &values(ema.store()));
}

/// Trains for `steps` steps from the position of the trainer.
fn train(
    student: &Tiny,
    trainer: &mut G2dTrainer,
    optimizer: &mut Optimizer,
    ema: &mut Ema,
    steps: u64,
) {
    for _ in 0..steps {
        let batch = student.batch(4, trainer.progress().total_steps as f64);
        trainer.step(student, &batch).unwrap();
        trainer.update(optimizer).unwrap();
        ema.update().unwrap();
    }
}

#[test]
fn a_run_resumes_with_its_average_from_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let sgd = SgdConfig { lr: 0.1, momentum: 0.9, ..Default::default() };
    let start = || {
        let student = Tiny::conv(2);
        let trainer = student.builder(Classification::default()).build(&student).unwrap();
        let optimizer = Optimizer::builder(&student.params(), sgd).build().unwrap();
        let ema = Ema::new(&student.vs, 0.8).unwrap().with_warmup();
        (student, trainer, optimizer, ema)
    };
    let (student, mut trainer, mut optimizer, mut ema) = start();
    train(&student, &mut trainer, &mut optimizer, &mut ema, 6);
    let whole = (values(&student.vs), values(ema.store()));

    let mut snapshots = SnapshotFolder::open(folder.path()).unwrap();
    let (student, mut trainer, mut optimizer, mut ema) = start();
    train(&student, &mut trainer, &mut optimizer, &mut ema, 4);
    let mut parts = RunParts::new(&mut trainer)
        .weights("student", &student.vs)
        .weights("ema", ema.store())
        .optimizer("sgd", &mut optimizer);
    snapshots.save(&mut parts, &(), None).unwrap();
    let (student, mut trainer, mut optimizer, mut ema) = start();
    let mut parts = RunParts::new(&mut trainer)
        .weights("student", &student.vs)
        .weights("ema", ema.store())
        .optimizer("sgd", &mut optimizer);
    snapshots.resume::<()>(&mut parts).unwrap().unwrap();
    assert_eq!((trainer.progress().updates, ema.updates()), (4, 4));
    train(&student, &mut trainer, &mut optimizer, &mut ema, 2);
    assert_same(&values(&student.vs), &whole.0);
    assert_same(&values(ema.store()), &whole.1);
}

#[test]
fn several_stores_are_averaged_under_their_names_and_invalid_averages_are_errors() {
    let (a, b) = (store(), store());
    let ema = Ema::new([("a", &a), ("b", &b)], 0.9).unwrap();
    let names = ema.store().variables();
    assert!(names.contains_key("module.a.fc.weight") && names.contains_key("module.b.bn.bias"));
    assert_eq!(names.len(), 13);
    for decay in [-0.1, 1.1, f64::NAN] {
        assert_config_error(Ema::new(&a, decay), &["decay", "[0, 1]"]);
    }
    let same = Ema::new([("", &a), ("", &b)], 0.9);
    assert_config_error(same, &["average of \"bn.bias\"", "two", "name of its own"]);
    let empty = VarStore::new(Device::Cpu);
    assert_config_error(Ema::new(&empty, 0.9), &["average of weights", "none"]);
}
