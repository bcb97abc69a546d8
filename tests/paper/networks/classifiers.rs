//! Networks of the paper: shapes, names, formulas and refusals.

use g2d::{
    Batch, Modality, Student,
    paper::networks::{
        Backbone, ClassifierConfig, DistilledFeatures, FusionClassifier, FusionKind,
        Initialisation, UnimodalClassifier, UnimodalLogits,
    },
};
use tch::{Device, Kind, Tensor, nn::VarStore};

use crate::support::in_own_process;

const FUSIONS: [FusionKind; 5] =
    [FusionKind::Sum, FusionKind::Concat, FusionKind::Late, FusionKind::Film, FusionKind::Gated];

fn modalities(k: usize) -> Vec<(Modality, i64)> {
    let names = ["audio", "visual", "text", "depth"];
    names[..k].iter().map(|name| (Modality::new(name), 1)).collect()
}

fn features(k: usize, width: i64) -> Vec<Tensor> {
    (0..k).map(|_| Tensor::randn([5, width], (Kind::Float, Device::Cpu))).collect()
}

fn compact(k: usize, config: ClassifierConfig) -> g2d::Result<(VarStore, FusionClassifier)> {
    let vs = VarStore::new(Device::Cpu);
    let student = FusionClassifier::new(&vs, &modalities(k), 3, config)?;
    Ok((vs, student))
}

fn close(a: &Tensor, b: &Tensor) -> bool {
    a.size() == b.size() && a.allclose(b, 1e-5, 1e-6, false)
}

#[test]
fn parts_of_late_and_concat_add_up_for_any_number_of_modalities() {
    for k in 2..=4 {
        for fusion in [FusionKind::Late, FusionKind::Concat, FusionKind::Sum] {
            let (vs, student) =
                compact(k, ClassifierConfig { fusion, ..Default::default() }).unwrap();
            let features = features(k, Backbone::Compact.width());
            let parts = (0..k).map(|m| student.unimodal_logits(m, &features).unwrap());
            let sum: Tensor = parts.sum();
            let fused = student.fuse(&features, false).unwrap();
            match fusion {
                FusionKind::Late => assert!(close(&(sum / k as f64), &fused)),
                FusionKind::Concat => assert!(close(&sum, &fused)),
                _ => {
                    let biases = vs.variables().into_iter();
                    let bias: Tensor = biases
                        .filter(|(name, _)| {
                            name.starts_with("fusion_module") && name.ends_with("bias")
                        })
                        .map(|(_, bias)| bias)
                        .sum();
                    assert!(close(&(sum + bias * (1.0 - 1.0 / k as f64)), &fused));
                }
            }
        }
    }
}

#[test]
fn film_and_gated_take_two_modalities_and_have_no_logits_of_their_own() {
    for fusion in [FusionKind::Film, FusionKind::Gated] {
        let config = ClassifierConfig { fusion, ..Default::default() };
        let error = compact(3, config).unwrap_err().to_string();
        assert!(error.contains("exactly 2") && error.contains('3'), "{error}");

        let features = features(2, Backbone::Compact.width());
        let (_vs, student) = compact(2, config).unwrap();
        assert!(student.unimodal_logits(0, &features).is_none());
        let unimodal = UnimodalLogits::AuthorsFormula;
        let (_vs, student) = compact(2, ClassifierConfig { unimodal, ..config }).unwrap();
        assert_eq!(student.unimodal_logits(1, &features).unwrap().size(), [5, 3]);
    }
}

#[test]
fn gated_distils_projections_only_where_asked() {
    let features = features(2, Backbone::Compact.width());
    for (distilled, same) in
        [(DistilledFeatures::Encoder, true), (DistilledFeatures::GatedProjection, false)]
    {
        let config =
            ClassifierConfig { fusion: FusionKind::Gated, distilled, ..Default::default() };
        let (_vs, student) = compact(2, config).unwrap();
        let distilled = student.distilled_features(&features).unwrap();
        assert_eq!(close(&distilled[0], &features[0]), same);
        assert_eq!(distilled[1].size(), features[1].size());
    }
    let distilled = DistilledFeatures::GatedProjection;
    let error = compact(2, ClassifierConfig { distilled, ..Default::default() }).unwrap_err();
    assert!(error.to_string().contains("only FusionKind::Gated"), "{error}");
}

#[test]
fn parameters_have_the_authors_names() {
    let vs = VarStore::new(Device::Cpu);
    let names = [("audio", 1), ("visual", 3)].map(|(m, c)| (Modality::new(m), c));
    FusionClassifier::new(&vs, &names, 6, ClassifierConfig::authors(FusionKind::Gated)).unwrap();
    let variables = vs.variables();
    // 20 convolutions, 20 batch norms of 4 tensors, in each encoder; 3 linear layers.
    assert_eq!(variables.len(), 2 * (20 + 20 * 4) + 3 * 2);
    for (name, size) in [
        ("audio_net.conv1.weight", vec![64, 1, 7, 7]),
        ("visual_net.conv1.weight", vec![64, 3, 7, 7]),
        ("audio_net.bn1.running_var", vec![64]),
        ("visual_net.layer2.0.downsample.0.weight", vec![128, 64, 1, 1]),
        ("visual_net.layer2.0.downsample.1.running_mean", vec![128]),
        ("audio_net.layer4.1.conv2.weight", vec![512, 512, 3, 3]),
        ("fusion_module.fc_x.weight", vec![512, 512]),
        ("fusion_module.fc_out.bias", vec![6]),
    ] {
        assert_eq!(variables[name].size(), size, "{name}");
    }
    let vs = VarStore::new(Device::Cpu);
    UnimodalClassifier::new(&vs, 1, 6, Backbone::ResNet18, Initialisation::Authors).unwrap();
    assert!(vs.variables().contains_key("net.layer1.0.conv1.weight"));
    assert_eq!(vs.variables()["classifier.weight"].size(), [6, 512]);
}

#[test]
fn the_authors_initialisation_has_its_spreads() {
    if !in_own_process("networks::classifiers::the_authors_initialisation_has_its_spreads") {
        return;
    }
    tch::manual_seed(3);
    let vs = VarStore::new(Device::Cpu);
    UnimodalClassifier::new(&vs, 3, 100, Backbone::ResNet18, Initialisation::Authors).unwrap();
    let variables = vs.variables();
    let spread = |name: &str| variables[name].std(true).double_value(&[]);
    let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.05);
    near(spread("net.conv1.weight"), (2.0_f64 / (64.0 * 49.0)).sqrt());
    near(spread("net.layer3.0.conv1.weight"), (2.0_f64 / (256.0 * 9.0)).sqrt());
    near(spread("classifier.weight"), (2.0_f64 / 612.0).sqrt());
    for (name, value) in [("classifier.bias", 0.0), ("net.bn1.weight", 1.0), ("net.bn1.bias", 0.0)]
    {
        assert!(bool::try_from(variables[name].eq(value).all()).unwrap(), "{name}");
    }
}

#[test]
fn video_features_are_the_mean_of_their_frames() {
    for backbone in [Backbone::Compact, Backbone::ResNet18] {
        let vs = VarStore::new(Device::Cpu);
        let net = UnimodalClassifier::new(&vs, 3, 4, backbone, Initialisation::Authors).unwrap();
        let video = Tensor::randn([2, 3, 4, 20, 24], (Kind::Float, Device::Cpu));
        let (features, logits) = net.forward(&video, false).unwrap();
        assert_eq!((features.size(), logits.size()), (vec![2, backbone.width()], vec![2, 4]));
        let frame = |t| net.forward(&video.select(2, t), false).unwrap().0;
        let mean = (0..4).map(frame).sum::<Tensor>() / 4.0;
        assert!(close(&features, &mean));
    }
}

#[test]
fn inputs_and_configurations_that_do_not_fit_are_errors() {
    let (_vs, student) = compact(2, ClassifierConfig::default()).unwrap();
    let labels = || Tensor::zeros([2], (Kind::Int64, Device::Cpu));
    let encode = |input: Tensor| {
        let batch = Batch::new([input.shallow_clone(), input], labels());
        student.encode(0, &batch, true).unwrap_err().to_string()
    };
    for shape in [vec![2, 2, 28, 28], vec![2, 28], vec![2, 1, 3, 28], vec![2, 1, 0, 28, 28]] {
        let error = encode(Tensor::zeros(&shape, (Kind::Float, Device::Cpu)));
        assert!(error.contains("\"audio\"") && error.contains(&format!("{shape:?}")), "{error}");
    }
    let error = encode(Tensor::zeros([2, 1, 28, 28], (Kind::Double, Device::Cpu)));
    assert!(error.contains("Float") && error.contains("Double"), "{error}");
    let error = student.fuse(&features(2, 63), true).unwrap_err().to_string();
    assert!(error.contains("[B, 64]"), "{error}");

    let vs = VarStore::new(Device::Cpu);
    let config = ClassifierConfig::default();
    let refused = |modalities: &[(Modality, i64)], classes| {
        FusionClassifier::new(&vs, modalities, classes, config).unwrap_err().to_string()
    };
    assert!(refused(&modalities(1), 3).contains("at least 2"));
    assert!(refused(&modalities(2), 0).contains("0 classes"));
    assert!(refused(&[(Modality::new("a"), 1), (Modality::new("b"), 0)], 3).contains("channels"));
    assert!(refused(&[(Modality::new("a"), 1), (Modality::new("a"), 1)], 3).contains("twice"));
    let init = Initialisation::Tch;
    UnimodalClassifier::new(&vs, 0, 3, Backbone::Compact, init).unwrap_err();
    UnimodalClassifier::new(&vs, 1, 0, Backbone::Compact, init).unwrap_err();
}

#[test]
fn every_fusion_trains_every_parameter() {
    for fusion in FUSIONS {
        let (vs, student) = compact(2, ClassifierConfig { fusion, ..Default::default() }).unwrap();
        let input = || Tensor::randn([4, 1, 28, 28], (Kind::Float, Device::Cpu));
        let labels = Tensor::from_slice(&[0_i64, 1, 2, 0]);
        let batch = Batch::new([input(), input()], labels.shallow_clone());
        let features = [0, 1].map(|m| student.encode(m, &batch, true).unwrap());
        let logits = student.fuse(&features, true).unwrap();
        assert_eq!(logits.size(), [4, 3]);
        logits.cross_entropy_for_logits(&labels).backward();
        for (name, variable) in vs.variables() {
            assert!(!variable.requires_grad() || variable.grad().defined(), "{fusion:?} {name}");
        }
    }
}
