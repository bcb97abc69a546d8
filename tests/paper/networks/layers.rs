//! Folded batch norm and channels-last weights, which do not change results.

use g2d::{
    Batch, G2dTrainer, Modality,
    export::TorchScript,
    loss::Classification,
    optim::{AdamWConfig, Algorithm, Optimizer, SgdConfig},
    paper::networks::{
        Backbone, ClassifierConfig, FusionClassifier, FusionKind, Initialisation,
        UnimodalClassifier,
    },
    teacher::UnimodalModel,
};
use tch::{
    CModule, Device, Kind, Tensor,
    nn::{self, VarStore},
};

/// On the smaller inputs, some taps of ResNet-18's last kernels see only padding: in both dimensions, in one.
const BACKBONES: [(Backbone, [i64; 2]); 4] = [
    (Backbone::ResNet18, [65, 47]),
    (Backbone::ResNet18, [28, 28]),
    (Backbone::ResNet18, [17, 100]),
    (Backbone::Compact, [28, 28]),
];

fn batch(side: [i64; 2], kind: Kind) -> Batch {
    let input = |channels: i64| {
        let size = [4, channels, side[0], side[1]];
        Tensor::randn(size, (kind, Device::Cpu))
    };
    Batch::new([input(1), input(3)], Tensor::from_slice(&[0_i64, 1, 2, 1]))
}

/// Sets running statistics, scales and shifts to values as after a training, none of them 0 or 1.
fn set_statistics(vs: &VarStore) {
    let _no_grad = tch::no_grad_guard();
    for (name, mut tensor) in vs.variables() {
        if tensor.dim() == 1 {
            let noise = tensor.rand_like() * 0.5;
            let centre = if name.contains("var") || name.contains("weight") { 0.75 } else { -0.25 };
            tensor.copy_(&(noise + centre));
        }
    }
}

#[track_caller]
fn assert_close(a: &Tensor, b: &Tensor, tolerance: f64) {
    let error = (a - b).norm().double_value(&[]) / b.norm().double_value(&[]);
    assert!(error <= tolerance, "error {error:e}, tolerance {tolerance:e}");
}

/// The features of an encoder in evaluation, layer by layer.
fn features(backbone: Backbone, vs: &VarStore, input: &Tensor) -> Tensor {
    let variables = vs.variables();
    let layer = |x: &Tensor, conv: &str, norm: &str, stride: i64| {
        let weight = &variables[&format!("net.{conv}.weight")];
        let of = |name: &str| variables.get(&format!("net.{norm}.{name}"));
        let x = x.conv2d(weight, None::<Tensor>, stride, weight.size()[2] / 2, 1, 1);
        let (mean, var) = (of("running_mean"), of("running_var"));
        x.batch_norm(of("weight"), of("bias"), mean, var, false, 0.1, 1e-5, false)
    };
    let maps = match backbone {
        Backbone::Compact => {
            let first = layer(input, "conv1", "bn1", 1).relu().max_pool2d_default(2);
            let second = layer(&first, "conv2", "bn2", 1).relu().max_pool2d_default(2);
            layer(&second, "conv3", "bn3", 1).relu()
        }
        Backbone::ResNet18 => {
            let stem = layer(input, "conv1", "bn1", 2).relu();
            let mut x = stem.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
            for block in ["1.0", "1.1", "2.0", "2.1", "3.0", "3.1", "4.0", "4.1"] {
                let at = |name: &str| format!("layer{block}.{name}");
                let stride = if ["2.0", "3.0", "4.0"].contains(&block) { 2 } else { 1 };
                let inner = layer(&x, &at("conv1"), &at("bn1"), stride).relu();
                let inner = layer(&inner, &at("conv2"), &at("bn2"), 1);
                let shortcut = match stride {
                    1 => x,
                    _ => layer(&x, &at("downsample.0"), &at("downsample.1"), stride),
                };
                x = (inner + shortcut).relu();
            }
            x
        }
    };
    maps.mean_dim([2_i64, 3].as_slice(), false, None)
}

/// On smaller inputs, batch norm of fewer layers is folded.
#[test]
fn evaluation_has_the_outputs_and_gradients_of_its_layers_one_by_one() {
    tch::manual_seed(1);
    for (backbone, side) in BACKBONES {
        for last in [false, true] {
            let make = |vs: &mut VarStore| {
                let net = UnimodalClassifier::new(vs, 3, 3, backbone, Initialisation::Authors);
                vs.set_kind(Kind::Double);
                net.unwrap()
            };
            let (mut vs, mut plain) = (VarStore::new(Device::Cpu), VarStore::new(Device::Cpu));
            let net = make(&mut vs);
            set_statistics(&vs);
            if last {
                g2d::weights::channels_last(&vs).unwrap();
            }
            make(&mut plain);
            plain.copy(&vs).unwrap();

            let batch = batch(side, Kind::Double);
            let input = batch.input(1).shallow_clone().into();
            let (found, _) = net.forward(&input, false).unwrap();
            let expected = features(backbone, &plain, batch.input(1));
            assert_close(&found, &expected, 1e-12);
            let frozen = tch::no_grad(|| net.forward(&input, false).unwrap().0);
            assert_close(&frozen, &expected, 1e-12);

            let weights = Tensor::randn(found.size(), (Kind::Double, Device::Cpu));
            (found * &weights).sum(None).backward();
            (expected * weights).sum(None).backward();
            let expected = plain.variables();
            for (name, found) in vs.variables().iter().filter(|(_, found)| found.requires_grad()) {
                if name.starts_with("net.") {
                    assert_close(&found.grad(), &expected[name].grad(), 1e-10);
                }
            }
        }
    }
}

/// The loss and the gradients of a step of a student with these weights. An empty store of weights
/// gets those of a new student.
fn step(
    backbone: Backbone,
    batch: &Batch,
    last: bool,
    weights: &mut VarStore,
) -> (f64, Vec<Tensor>) {
    let mut vs = VarStore::new(Device::Cpu);
    let names = [("audio", 1), ("visual", 3)].map(|(m, c)| (Modality::new(m), c));
    let config = ClassifierConfig { backbone, ..ClassifierConfig::authors(FusionKind::Late) };
    let student = FusionClassifier::new(&vs, &names, 3, config).unwrap();
    vs.set_kind(Kind::Double);
    if last {
        g2d::weights::channels_last(&vs).unwrap();
    }
    if weights.is_empty() {
        FusionClassifier::new(weights, &names, 3, config).unwrap();
        weights.set_kind(Kind::Double);
        weights.copy(&vs).unwrap();
    }
    vs.copy(weights).unwrap();
    let mut trainer = G2dTrainer::builder(Classification::default())
        .encoders(student.encoder_params(&vs).unwrap())
        .build(&student)
        .unwrap();
    let report = trainer.step(&student, batch).unwrap();
    let mut variables: Vec<_> = vs.variables().into_iter().collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    let gradients = variables.iter().map(|(_, tensor)| tensor.grad()).filter(Tensor::defined);
    for (name, tensor) in &variables {
        let size = tensor.size();
        if size.len() == 4 {
            let step = if last { 1 } else { size[2] * size[3] };
            assert_eq!(tensor.stride()[1], step, "{name}");
            assert_eq!(tensor.grad().stride(), tensor.stride(), "gradient of {name}");
        }
    }
    (report.terms.total.double_value(&[]), gradients.collect())
}

/// In `Double`, since in `Float` the rounding of another order of summation switches ReLUs, which
/// batch norm over four samples amplifies.
#[test]
fn channels_last_weights_have_the_same_loss_and_gradients() {
    for (backbone, side) in BACKBONES {
        let batch = batch(side, Kind::Double);
        let mut weights = VarStore::new(Device::Cpu);
        let plain = step(backbone, &batch, false, &mut weights);
        let last = step(backbone, &batch, true, &mut weights);
        approx::assert_relative_eq!(plain.0, last.0, max_relative = 1e-10);
        assert_eq!(plain.1.len(), last.1.len());
        plain.1.iter().zip(&last.1).for_each(|(plain, last)| assert_close(last, plain, 1e-9));
    }
}

/// Convolutions as matrix products read the number of samples, which the module does not fix.
#[test]
fn a_network_with_channels_last_weights_can_be_exported_for_any_batch_size() {
    let vs = VarStore::new(Device::Cpu);
    let names = [("audio", 1), ("visual", 3)].map(|(m, c)| (Modality::new(m), c));
    let config = ClassifierConfig {
        backbone: Backbone::ResNet18,
        ..ClassifierConfig::authors(FusionKind::Late)
    };
    let student = FusionClassifier::new(&vs, &names, 3, config).unwrap();
    g2d::weights::channels_last(&vs).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("student.pt");
    TorchScript::new(&student, &vs).save(&path, &batch([28, 28], Kind::Float)).unwrap();
    let module = CModule::load(&path).unwrap();
    let many = [1, 3].map(|channels| Tensor::zeros([7, channels, 28, 28], tch::kind::FLOAT_CPU));
    assert_eq!(module.forward_ts(&many).unwrap().size(), [7, 3]);
}

#[test]
fn weights_from_a_file_keep_the_memory_format_of_the_variables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let make = |vs: &VarStore| {
        UnimodalClassifier::new(vs, 1, 3, Backbone::ResNet18, Initialisation::Authors).unwrap();
    };
    let (saved, mut vs) = (VarStore::new(Device::Cpu), VarStore::new(Device::Cpu));
    make(&saved);
    make(&vs);
    g2d::weights::channels_last(&saved).unwrap();
    g2d::weights::save(&saved, &path).unwrap();
    g2d::weights::channels_last(&vs).unwrap();
    g2d::weights::channels_last(&vs).unwrap();
    g2d::weights::load(&mut vs, &path).unwrap();
    let (saved, vs) = (saved.variables(), vs.variables());
    assert_eq!(vs["net.conv1.weight"].stride(), [49, 1, 7, 1]);
    assert_eq!(vs["net.layer1.0.conv1.weight"].stride(), [576, 1, 192, 64]);
    assert_eq!(vs["classifier.weight"].stride(), [512, 1]);
    for (name, tensor) in vs {
        assert!(tensor.equal(&saved[&name]), "{name}");
    }
}

/// A convolution with the weights of `like`, or with random ones.
fn convolution(like: Option<&VarStore>, last: bool) -> VarStore {
    let mut vs = VarStore::new(Device::Cpu);
    nn::conv2d(vs.root() / "conv", 3, 4, 3, Default::default());
    if last {
        g2d::weights::channels_last(&vs).unwrap();
    }
    if let Some(like) = like {
        vs.copy(like).unwrap();
    }
    vs
}

fn train(vs: &VarStore, optimizer: &mut Optimizer, steps: usize) {
    for _ in 0..steps {
        optimizer.zero_grad().unwrap();
        for weight in vs.trainable_variables() {
            let slope = Tensor::arange(weight.numel() as i64, (Kind::Float, Device::Cpu)).sin();
            (slope.view(&weight.size()[..]) * &weight * &weight).sum(Kind::Float).backward();
        }
        optimizer.step().unwrap();
    }
}

/// The fused kernels read weights, gradients and moments as contiguous memory.
#[test]
fn optimizers_update_channels_last_weights_alike_and_resume_from_a_file() {
    let sgd = SgdConfig { lr: 0.1, momentum: 0.9, ..Default::default() };
    for algorithm in [Algorithm::from(sgd), AdamWConfig { lr: 0.1, ..Default::default() }.into()] {
        let build = |vs: &VarStore| Optimizer::builder(vs, algorithm).build().unwrap();
        let plain = convolution(None, false);
        let last = convolution(Some(&plain), true);
        let (mut on_plain, mut on_last) = (build(&plain), build(&last));
        train(&plain, &mut on_plain, 2);
        train(&last, &mut on_last, 2);
        let weight = |vs: &VarStore| vs.variables()["conv.weight"].shallow_clone();
        assert_close(&weight(&last), &weight(&plain), 1e-6);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("optimizer.safetensors");
        on_last.save(&path).unwrap();
        let resumed = convolution(Some(&last), true);
        let mut on_resumed = build(&resumed);
        on_resumed.load(&path).unwrap();
        train(&last, &mut on_last, 1);
        train(&resumed, &mut on_resumed, 1);
        assert!(weight(&resumed).equal(&weight(&last)), "{algorithm:?}");
    }
}

#[test]
fn weights_whose_layout_changes_after_a_step_are_an_error() {
    let sgd = SgdConfig { momentum: 0.9, ..Default::default() };
    for algorithm in [Algorithm::from(sgd), AdamWConfig::default().into()] {
        let vs = convolution(None, false);
        let mut optimizer = Optimizer::builder(&vs, algorithm).build().unwrap();
        train(&vs, &mut optimizer, 1);
        g2d::weights::channels_last(&vs).unwrap();
        let before = vs.variables()["conv.weight"].copy();
        vs.variables()["conv.weight"].square().sum(Kind::Float).backward();
        let error = optimizer.step().unwrap_err().to_string();
        assert!(error.contains("call `weights::channels_last` before"), "{error}");
        assert!(vs.variables()["conv.weight"].equal(&before));
    }
}
