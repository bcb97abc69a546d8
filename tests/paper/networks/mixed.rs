//! Networks over images, tables and sequences.

use g2d::paper::data::Sequences;
use g2d::paper::networks::{
    EncoderConfig, ImageBackbone, ImageConfig, MixedConfig, MixedFusion, MixedNetwork, MlpConfig,
    MlpLayer, SequenceConfig, UnimodalNetwork,
};
use g2d::{Batch, Features, Student, Teacher, teacher::UnimodalModel, weights};
use tch::{
    Device, Kind, Reduction, Tensor,
    nn::{self, OptimizerConfig, VarStore},
    vision,
};

use crate::support::{assert_error, elements, fuse, in_own_process, unimodal_logits};

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// Encoders of an image (64 features), a table (16) and a sequence (12).
fn encoders() -> Vec<(g2d::Modality, EncoderConfig)> {
    vec![
        ("image".into(), EncoderConfig::Image(ImageConfig::default())),
        ("weather".into(), EncoderConfig::Table(MlpConfig::weather(8))),
        ("speech".into(), EncoderConfig::Sequence(SequenceConfig { input: 5, hidden: 12 })),
    ]
}

fn network(fusion: MixedFusion, outputs: i64) -> (VarStore, MixedNetwork) {
    let vs = VarStore::new(Device::Cpu);
    let config = MixedConfig { encoders: encoders(), fusion, outputs };
    let network = MixedNetwork::new(&vs, &config).unwrap();
    (vs, network)
}

fn batch(n: i64) -> Batch {
    let lengths = Tensor::randint(5, [n], (Kind::Int64, Device::Cpu));
    let speech = Sequences::pack(&Tensor::randn([n, 4, 5], FLOAT), &lengths).unwrap();
    let inputs = [Tensor::rand([n, 3, 32, 32], FLOAT), Tensor::randn([n, 8], FLOAT), speech];
    Batch::new(inputs, Tensor::randn([n], FLOAT))
}

fn features(network: &MixedNetwork, batch: &Batch, train: bool) -> Vec<Tensor> {
    (0..3).map(|m| network.encode(m, batch, train).unwrap()).collect()
}

#[test]
fn encoders_have_their_own_widths_and_the_fusion_has_the_configured_outputs() {
    for fusion in [MixedFusion::Late, MixedFusion::Concat] {
        let (vs, network) = network(fusion, 2);
        let batch = batch(3);
        let features = features(&network, &batch, true);
        let widths: Vec<_> = features.iter().map(|f| f.size()[1]).collect();
        assert_eq!(widths, [64, 16, 12]);
        assert_eq!(fuse(&network, &features, &batch, true).size(), [3, 2]);
        let own = network.encoder_params(&vs).unwrap();
        assert!((0..3).all(|m| !own.encoder(m).is_empty()));
        let swapped = [&features[1], &features[0], &features[2]].map(Tensor::shallow_clone);
        let swapped = Features::new(&swapped, &batch).unwrap();
        assert_error(network.fuse(&swapped, true), &["[B, 64], [B, 16], [B, 12]"]);
    }
}

#[test]
fn the_fused_prediction_is_the_mean_of_the_unimodal_ones() {
    for fusion in [MixedFusion::Late, MixedFusion::Concat] {
        let (_vs, network) = network(fusion, 2);
        let batch = batch(3);
        let features = features(&network, &batch, false);
        let unimodal = (0..3).map(|m| unimodal_logits(&network, m, &features, &batch));
        let mean: Tensor = unimodal.sum::<Tensor>() / 3.0;
        let fused = fuse(&network, &features, &batch, false);
        assert!((mean - fused).abs().max().double_value(&[]) < 1e-5, "{fusion:?}");
        // A unimodal prediction does not depend on other modalities.
        let others: Vec<_> = features.iter().map(|f| f + 1.0).collect();
        let mixed = [&features[0], &others[1], &others[2]].map(Tensor::shallow_clone);
        let before = unimodal_logits(&network, 0, &features, &batch);
        assert_eq!(before, unimodal_logits(&network, 0, &mixed, &batch));
    }
}

#[test]
fn the_weather_mlp_has_the_layers_of_the_paper() {
    let vs = VarStore::new(Device::Cpu);
    let _net = UnimodalNetwork::new(&vs, &EncoderConfig::Table(MlpConfig::weather(8)), 1).unwrap();
    let variables = vs.variables();
    let shape = |i: usize| variables[&format!("net.linear_{i}.weight")].size();
    let shapes: Vec<_> = (0..5).map(shape).collect();
    assert_eq!(shapes, [[256, 8], [128, 256], [64, 128], [32, 64], [16, 32]]);
    let dropout: Vec<_> = MlpConfig::weather(8).layers.iter().map(|l| l.dropout).collect();
    assert_eq!(dropout, [0.3, 0.2, 0.1, 0.0, 0.0]);
    assert_eq!(MlpConfig::weather(4).input, 4);
}

#[test]
fn steps_beyond_the_length_of_a_sequence_do_not_change_its_features() {
    let (_vs, network) = network(MixedFusion::Late, 1);
    let encode = |steps: &Tensor, lengths: &[i64]| {
        let packed = Sequences::pack(steps, &Tensor::from_slice(lengths)).unwrap();
        let other = Tensor::zeros([lengths.len() as i64, 1], FLOAT);
        let batch = Batch::new([other.shallow_clone(), other.shallow_clone(), packed], other);
        network.encode(2, &batch, false).unwrap()
    };
    let steps = Tensor::randn([2, 4, 5], FLOAT);
    let long = Tensor::cat(&[&steps, &Tensor::randn([2, 3, 5], FLOAT)], 1);
    let (short, padded) = (encode(&steps, &[4, 2]), encode(&long, &[4, 2]));
    assert!((&short - padded).abs().max().double_value(&[]) < 1e-6);
    assert!((&short - encode(&steps, &[4, 3])).abs().max().double_value(&[]) > 1e-4);
    assert!(
        elements(&encode(&steps, &[0, 0])).iter().all(|&x| x == 0.0),
        "the features of an empty sequence are 0"
    );
}

#[test]
fn a_batch_of_one_sample_is_encoded_with_running_statistics() {
    let (_vs, network) = network(MixedFusion::Late, 1);
    let one = batch(1);
    for m in 0..3 {
        let (train, evaluate) = (network.encode(m, &one, true), network.encode(m, &one, false));
        assert_eq!(train.unwrap(), evaluate.unwrap());
    }
}

#[test]
fn backbones_have_their_widths_and_invalid_images_are_errors() {
    for backbone in [ImageBackbone::Compact, ImageBackbone::MobileNetV2, ImageBackbone::ResNet18] {
        let vs = VarStore::new(Device::Cpu);
        let encoder = EncoderConfig::Image(ImageConfig::imagenet(backbone));
        let net = UnimodalNetwork::new(&vs, &encoder, 1).unwrap();
        let (features, predictions) =
            net.forward(&Tensor::rand([2, 3, 32, 32], FLOAT).into(), true).unwrap();
        assert_eq!(features.size(), [2, backbone.width()]);
        assert_eq!(predictions.size(), [2, 1]);
        assert_error(net.forward(&Tensor::rand([2, 3, 2, 2], FLOAT).into(), true), &["at least"]);
        let bytes = Tensor::zeros([2, 3, 32, 32], (Kind::Uint8, Device::Cpu));
        assert_error(net.forward(&bytes.into(), true), &["Uint8"]);
    }
}

#[test]
fn imagenet_weights_are_loaded_into_every_image_encoder_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("resnet18.safetensors");
    let whole = VarStore::new(Device::Cpu);
    let published = vision::resnet::resnet18(&whole.root(), 1000);
    weights::save(&whole, &file).unwrap();

    let config = ImageConfig::imagenet(ImageBackbone::ResNet18);
    let image = |name: &str| (name.into(), EncoderConfig::Image(config.clone()));
    let table = ("table".into(), EncoderConfig::Table(MlpConfig::plain(4, &[8])));
    let vs = VarStore::new(Device::Cpu);
    let encoders = vec![image("front"), image("kitchen"), table];
    let config = MixedConfig { encoders, fusion: MixedFusion::Late, outputs: 1 };
    let network = MixedNetwork::new(&vs, &config).unwrap();
    let before = vs.variables()["table_net.linear_0.weight"].copy();
    network.load_image_weights(&vs, &file).unwrap();
    let variables = vs.variables();
    for (name, value) in whole.variables().iter().filter(|(name, _)| !name.starts_with("fc.")) {
        for m in ["front", "kitchen"] {
            assert_eq!(&variables[&format!("{m}_net.{name}")], value, "{m} {name}");
        }
    }
    assert_eq!(variables["table_net.linear_0.weight"], before);
    drop(published);

    // A file of another network is an error and changes nothing.
    let other = folder.path().join("mobilenet.safetensors");
    let mobile = VarStore::new(Device::Cpu);
    let _network = vision::mobilenet::v2(&mobile.root(), 1000);
    weights::save(&mobile, &other).unwrap();
    let before = vs.variables()["front_net.conv1.weight"].copy();
    assert_error(network.load_image_weights(&vs, &other), &["mobilenet.safetensors"]);
    assert_eq!(vs.variables()["front_net.conv1.weight"], before);

    let vs = VarStore::new(Device::Cpu);
    let encoder = EncoderConfig::Image(ImageConfig::imagenet(ImageBackbone::MobileNetV2));
    let mobile_net = UnimodalNetwork::new(&vs, &encoder, 1).unwrap();
    mobile_net.load_image_weights(&vs, &other).unwrap();
    let loaded = &vs.variables()["net.features.0.0.weight"];
    assert_eq!(loaded, &mobile.variables()["features.0.0.weight"]);
}

#[test]
fn imagenet_weights_for_a_compact_backbone_or_a_table_are_an_error() {
    let assert_invalid = |encoder: EncoderConfig, word: &str| {
        let vs = VarStore::new(Device::Cpu);
        let net = UnimodalNetwork::new(&vs, &encoder, 1).unwrap();
        assert_error(net.load_image_weights(&vs, "none.safetensors"), &[word]);
    };
    assert_invalid(EncoderConfig::Image(ImageConfig::default()), "Compact");
    assert_invalid(EncoderConfig::Table(MlpConfig::weather(8)), "image modality");
}

#[test]
fn invalid_configurations_are_errors() {
    let assert_invalid = |encoder: EncoderConfig, outputs: i64, word: &str| {
        let vs = VarStore::new(Device::Cpu);
        assert_error(UnimodalNetwork::new(&vs, &encoder, outputs), &[word]);
    };
    let mlp = |input, layers| EncoderConfig::Table(MlpConfig { input, layers });
    let layer = |width, dropout| MlpLayer { width, dropout };
    assert_invalid(mlp(0, vec![layer(4, 0.0)]), 1, "1 column");
    assert_invalid(mlp(4, vec![]), 1, "1 layer");
    assert_invalid(mlp(4, vec![layer(4, 1.0)]), 1, "dropout");
    assert_invalid(mlp(4, vec![layer(4, 0.0)]), 0, "outputs");
    let constant = ImageConfig { std: [0.2, 0.0, 0.2], ..ImageConfig::default() };
    assert_invalid(EncoderConfig::Image(constant), 1, "above 0");
    let narrow = SequenceConfig { input: 0, hidden: 4 };
    assert_invalid(EncoderConfig::Sequence(narrow), 1, "widths");
    let (vs, single) = (VarStore::new(Device::Cpu), vec![encoders().remove(0)]);
    let config = MixedConfig { encoders: single, fusion: MixedFusion::Late, outputs: 1 };
    assert_error(MixedNetwork::new(&vs, &config), &["at least 2"]);
}

#[test]
fn a_network_learns_and_its_teacher_is_deterministic() {
    if !in_own_process("networks::mixed::a_network_learns_and_its_teacher_is_deterministic") {
        return;
    }
    tch::manual_seed(3);
    let mut vs = VarStore::new(Device::Cpu);
    let encoder = EncoderConfig::Table(MlpConfig::plain(3, &[32, 16]));
    let net = UnimodalNetwork::new(&vs, &encoder, 1).unwrap();
    let x = Tensor::randn([64, 3], FLOAT);
    let y = x.select(1, 0) * x.select(1, 1);
    let error = |train: bool| {
        let (_, predictions) = net.forward(&x.shallow_clone().into(), train).unwrap();
        predictions.view([-1]).mse_loss(&y, Reduction::Mean)
    };
    let before = error(false).double_value(&[]);
    let mut optimizer = nn::Sgd { momentum: 0.9, ..Default::default() }.build(&vs, 0.02).unwrap();
    for _ in 0..200 {
        optimizer.backward_step(&error(true));
    }
    let after = error(false).double_value(&[]);
    assert!(after < 0.2 * before, "{before} → {after}");

    let teacher = net.into_teacher("table", &mut vs);
    let batch = Batch::new([x], y);
    let (first, second) = (teacher.output(0, &batch).unwrap(), teacher.output(0, &batch).unwrap());
    assert_eq!(first.logits, second.logits);
    assert!(!first.logits.requires_grad());
}
