//! The audio-visual classifiers: fusions, backbones, names, invalid configurations.

use g2d::{
    Batch, Features, Modality, Student,
    paper::networks::{
        Backbone, ClassifierConfig, DistilledFeatures, FusionClassifier, FusionKind,
        Initialisation, UnimodalClassifier, UnimodalLogits,
    },
    teacher::UnimodalModel,
};
use tch::{Device, Kind, Tensor, nn::VarStore};

use crate::support::{assert_error, fuse, in_own_process, unimodal_logits};

const FUSIONS: [FusionKind; 5] =
    [FusionKind::Sum, FusionKind::Concat, FusionKind::Late, FusionKind::Film, FusionKind::Gated];

fn modalities(k: usize) -> Vec<(Modality, i64)> {
    let names = ["audio", "visual", "text", "depth"];
    names[..k].iter().map(|name| (Modality::new(name), 1)).collect()
}

fn features(k: usize, width: i64) -> Vec<Tensor> {
    (0..k).map(|_| Tensor::randn([5, width], (Kind::Float, Device::Cpu))).collect()
}

/// A batch whose inputs no fusion reads.
fn labels() -> Batch {
    Batch::new(Vec::<Tensor>::new(), Tensor::zeros([5], (Kind::Int64, Device::Cpu)))
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
fn unimodal_logits_of_late_concat_and_sum_add_up_for_any_number_of_modalities() {
    for k in 2..=4 {
        for fusion in [FusionKind::Late, FusionKind::Concat, FusionKind::Sum] {
            let (vs, student) =
                compact(k, ClassifierConfig { fusion, ..Default::default() }).unwrap();
            let features = features(k, Backbone::Compact.width());
            let logits = (0..k).map(|m| unimodal_logits(&student, m, &features, &labels()));
            let sum: Tensor = logits.sum();
            let fused = fuse(&student, &features, &labels(), false);
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
fn film_and_gated_need_two_modalities_and_have_unimodal_logits_by_the_authors_formula_alone() {
    for fusion in [FusionKind::Film, FusionKind::Gated] {
        let config = ClassifierConfig { fusion, ..Default::default() };
        assert_error(compact(3, config), &["exactly 2", "3"]);

        let (features, labels) = (features(2, Backbone::Compact.width()), labels());
        let features = Features::new(&features, &labels).unwrap();
        let (_vs, student) = compact(2, config).unwrap();
        assert!(student.unimodal_logits(0, &features).unwrap().is_none());
        let unimodal = UnimodalLogits::AuthorsFormula;
        let (_vs, student) = compact(2, ClassifierConfig { unimodal, ..config }).unwrap();
        assert_eq!(unimodal_logits(&student, 1, &features, &labels).size(), [5, 3]);
    }
}

#[test]
fn gated_distils_its_projections_only_if_configured() {
    let (features, labels) = (features(2, Backbone::Compact.width()), labels());
    let features = Features::new(&features, &labels).unwrap();
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
    let config = ClassifierConfig { distilled, ..Default::default() };
    assert_error(compact(2, config), &["only FusionKind::Gated"]);
}

#[test]
fn parameters_have_the_authors_names() {
    let vs = VarStore::new(Device::Cpu);
    let names = [("audio", 1), ("visual", 3)].map(|(m, c)| (Modality::new(m), c));
    FusionClassifier::new(&vs, &names, 6, ClassifierConfig::authors(FusionKind::Gated)).unwrap();
    let variables = vs.variables();
    // Each encoder has 20 convolutions and 20 batch norms of 4 tensors; the fusion has 3 linear
    // layers.
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
fn the_authors_initialisation_has_its_standard_deviations() {
    const NAME: &str =
        "networks::classifiers::the_authors_initialisation_has_its_standard_deviations";
    if !in_own_process(NAME) {
        return;
    }
    tch::manual_seed(3);
    let vs = VarStore::new(Device::Cpu);
    UnimodalClassifier::new(&vs, 3, 100, Backbone::ResNet18, Initialisation::Authors).unwrap();
    let variables = vs.variables();
    let std = |name: &str| variables[name].std(true).double_value(&[]);
    let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.05);
    near(std("net.conv1.weight"), (2.0_f64 / (64.0 * 49.0)).sqrt());
    near(std("net.layer3.0.conv1.weight"), (2.0_f64 / (256.0 * 9.0)).sqrt());
    near(std("classifier.weight"), (2.0_f64 / 612.0).sqrt());
    for (name, value) in [("classifier.bias", 0.0), ("net.bn1.weight", 1.0), ("net.bn1.bias", 0.0)]
    {
        assert!(bool::try_from(variables[name].eq(value).all()).unwrap(), "{name}");
    }
}

#[test]
fn the_features_of_a_video_are_the_mean_of_those_of_its_frames() {
    for backbone in [Backbone::Compact, Backbone::ResNet18] {
        let vs = VarStore::new(Device::Cpu);
        let net = UnimodalClassifier::new(&vs, 3, 4, backbone, Initialisation::Authors).unwrap();
        let video = Tensor::randn([2, 3, 4, 20, 24], (Kind::Float, Device::Cpu));
        let (features, logits) = net.forward(&video.shallow_clone().into(), false).unwrap();
        assert_eq!((features.size(), logits.size()), (vec![2, backbone.width()], vec![2, 4]));
        let frame = |t| net.forward(&video.select(2, t).into(), false).unwrap().0;
        let mean = (0..4).map(frame).sum::<Tensor>() / 4.0;
        assert!(close(&features, &mean));
    }
}

#[test]
fn invalid_inputs_and_configurations_are_errors() {
    let (_vs, student) = compact(2, ClassifierConfig::default()).unwrap();
    let labels = || Tensor::zeros([2], (Kind::Int64, Device::Cpu));
    let encode = |input: Tensor| {
        let batch = Batch::new([input.shallow_clone(), input], labels());
        student.encode(0, &batch, true)
    };
    for shape in [vec![2, 2, 28, 28], vec![2, 28], vec![2, 1, 3, 28], vec![2, 1, 0, 28, 28]] {
        let encoded = encode(Tensor::zeros(&shape, (Kind::Float, Device::Cpu)));
        assert_error(encoded, &["\"audio\"", &format!("{shape:?}")]);
    }
    let double = Tensor::zeros([2, 1, 28, 28], (Kind::Double, Device::Cpu));
    assert_error(encode(double), &["Float", "Double"]);
    let (narrow, batch) = (features(2, 63), self::labels());
    assert_error(student.fuse(&Features::new(&narrow, &batch).unwrap(), true), &["[B, 64]"]);

    let vs = VarStore::new(Device::Cpu);
    let config = ClassifierConfig::default();
    let assert_invalid = |modalities: &[(Modality, i64)], classes, word: &str| {
        assert_error(FusionClassifier::new(&vs, modalities, classes, config), &[word]);
    };
    assert_invalid(&modalities(1), 3, "at least 2");
    assert_invalid(&modalities(2), 0, "outputs");
    assert_invalid(&[("a".into(), 1), ("b".into(), 0)], 3, "channels");
    assert_invalid(&[("a".into(), 1), ("a".into(), 1)], 3, "twice");
    let init = Initialisation::Tch;
    UnimodalClassifier::new(&vs, 0, 3, Backbone::Compact, init).unwrap_err();
    UnimodalClassifier::new(&vs, 1, 0, Backbone::Compact, init).unwrap_err();
}

#[test]
fn every_parameter_has_a_gradient_under_every_fusion() {
    for fusion in FUSIONS {
        let (vs, student) = compact(2, ClassifierConfig { fusion, ..Default::default() }).unwrap();
        let input = || Tensor::randn([4, 1, 28, 28], (Kind::Float, Device::Cpu));
        let labels = Tensor::from_slice(&[0_i64, 1, 2, 0]);
        let batch = Batch::new([input(), input()], labels.shallow_clone());
        let features = [0, 1].map(|m| student.encode(m, &batch, true).unwrap());
        let logits = fuse(&student, &features, &batch, true);
        assert_eq!(logits.size(), [4, 3]);
        logits.cross_entropy_for_logits(&labels).backward();
        for (name, variable) in vs.variables() {
            assert!(!variable.requires_grad() || variable.grad().defined(), "{fusion:?} {name}");
        }
    }
}
