//! Exported students: equal to the student for any batch size, or refused.

use std::{fs, path::Path};

use g2d::{
    Batch, Error, Features, Result, Student,
    batch::Input,
    calibration::{
        FusionWeights, Mixture, Prediction, Robust, RobustHead, Temperature, late_fusion,
    },
    evaluate,
    export::TorchScript,
    student::Closures,
};
use tch::{
    CModule, Device, IValue, Kind, Tensor,
    nn::{self, ModuleT, VarStore},
};

use crate::support::{assert_error, assert_mismatch, python, script, stdout};

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);
const LENGTH: i64 = 4;

/// A model that reads sizes in Rust, makes tensors from numbers, and behaves differently in training.
struct Net {
    vs: VarStore,
    audio: nn::SequentialT,
    words: nn::Embedding,
    attention: nn::Linear,
    heads: Vec<nn::Linear>,
    weights: Tensor,
}

fn net() -> Net {
    tch::manual_seed(4);
    let vs = VarStore::new(Device::Cpu);
    let root = vs.root();
    let linear = |path: nn::Path<'_>, from, to| nn::linear(path, from, to, Default::default());
    let norm = nn::batch_norm1d(&root / "audio" / "1", 6, Default::default());
    let audio = nn::seq_t()
        .add(linear(&root / "audio" / "0", 5, 6))
        .add(norm)
        .add_fn_t(|x, train| x.relu().dropout(0.5, train));
    let words = nn::embedding(&root / "text" / "words", 9, 6, Default::default());
    let attention = linear(&root / "text" / "attention", 6, 6);
    let heads = ["audio_head", "text_head"].map(|name| linear(&root / name, 6, 3)).into();
    let weights = FusionWeights::new([0.3, 0.7]).unwrap().register(&root);
    let net = Net { vs, audio, words, attention, heads, weights };
    let _ = net.audio.forward_t(&inputs(40).0, true); // sets the running statistics
    net
}

fn inputs(size: i64) -> (Tensor, Tensor, Tensor) {
    let count = Tensor::arange(size * LENGTH, (Kind::Int64, Device::Cpu)).view([size, LENGTH]);
    let audio = Tensor::arange(size * 5, FLOAT).view([size, 5]).sin();
    let mask = count.remainder(LENGTH).le_tensor(&count.select(1, 0).remainder(3).unsqueeze(1));
    ((audio), count.remainder(9), mask.logical_or(&count.remainder(LENGTH).eq(0)))
}

fn batch(size: i64) -> Batch {
    let (audio, ids, mask) = inputs(size);
    let text = Input::new("ids", ids).with("mask", mask);
    Batch::new(
        [Input::from(audio), text],
        Tensor::arange(size, FLOAT).remainder(3.0).to_kind(Kind::Int64),
    )
}

/// Attention over the tokens, with the usual reshapes.
fn encode_text(net: &Net, input: &Input) -> Result<Tensor> {
    let x = net.words.forward_t(input, false);
    let (b, t, _) = x.size3()?;
    let mask = input.tensor("mask")?;
    let split = |x: &Tensor| x.view([b, t, 2, 3]).transpose(1, 2).contiguous().view([b * 2, t, 3]);
    let (keys, values) = (split(&x.apply(&net.attention)), split(&x));
    let scores = keys.matmul(&keys.transpose(1, 2)) * &Tensor::from(0.5_f32);
    let hidden =
        mask.logical_not().view([b, 1, 1, t]).expand([b, 2, 1, t], true).reshape([b * 2, 1, t]);
    let scores = scores.masked_fill(&hidden, -1e9).softmax(-1, None);
    let mixed = scores.matmul(&values).view([b, 2, t, 3]).transpose(1, 2).reshape([b, t, 6]);
    let bias = Tensor::from_slice(&[0.1_f32, 0.2, 0.3, -0.1, -0.2, -0.3]);
    let zeros = Tensor::zeros([b, 6], (x.kind(), x.device()));
    Ok(zeros + mixed.select(1, 0) + bias)
}

fn student(net: &Net) -> Closures<'_> {
    Closures::builder()
        .encoder("audio", |input, train| Ok(net.audio.forward_t(input, train)))
        .encoder("text", |input, _train| encode_text(net, input))
        .head("audio", |own, _all| Ok(own.apply(&net.heads[0])))
        .head("text", |own, _all| Ok(own.apply(&net.heads[1])))
        .fusion(|features, _train| {
            let heads = features.iter().zip(&net.heads).map(|(f, head)| f.apply(head));
            late_fusion(&net.weights, &heads.collect::<Vec<_>>(), features.rows())
        })
        .build()
        .unwrap()
}

fn predictions() -> Vec<Prediction> {
    let robust = |epsilon| Robust {
        heads: vec![
            RobustHead { temperature: 1.5, epsilon },
            RobustHead { temperature: 0.6, epsilon: 0.2 },
        ],
        nll: 1.0,
    };
    let mixture =
        Mixture { alpha: 0.4, fused_temperature: 0.7, head_temperatures: vec![1.5, 0.6], nll: 1.0 };
    vec![
        Prediction::Fused(Temperature { value: 0.7, nll: 1.0 }),
        Prediction::Mixture(mixture),
        Prediction::Robust(robust(0.0)),
        Prediction::Robust(robust(0.1)),
    ]
}

fn assert_near(found: &Tensor, expected: &Tensor, name: &str) {
    assert_eq!((found.size(), found.kind()), (expected.size(), expected.kind()), "{name}");
    let difference = (found - expected).abs().max().to_kind(Kind::Double).double_value(&[]);
    assert!(difference <= 1e-6, "{name}: {difference}");
}

/// Runs a method of the module at `path` on a batch.
fn run(path: &Path, method: &str, batch: &Batch) -> Vec<Tensor> {
    let tensors = batch.inputs().iter().flat_map(Input::tensors);
    let inputs: Vec<_> = tensors.map(|(_, t)| IValue::Tensor(t.shallow_clone())).collect();
    let module = CModule::load(path).unwrap();
    match module.method_is(method, &inputs).unwrap() {
        IValue::Tensor(tensor) => vec![tensor],
        IValue::Tuple(parts) => parts.into_iter().map(|part| part.try_into().unwrap()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_written_module_equals_the_student_for_any_batch_size() {
    let folder = tempfile::tempdir().unwrap();
    let (net, path) = (net(), folder.path().join("student.pt"));
    let student = student(&net);
    TorchScript::new(&student, &net.vs).save(&path, &batch(8)).unwrap();
    for size in [1, 3, 8, 20] {
        let expected = evaluate(&student, [Ok(batch(size))]).unwrap();
        let found = |method| run(&path, method, &batch(size));
        assert_near(&found("forward")[0], &expected.logits, "logits");
        for (m, head) in found("unimodal_logits").iter().enumerate() {
            assert_near(head, &expected.heads[m].1, "unimodal logits");
        }
        for (m, own) in found("features").iter().enumerate() {
            assert_near(own, &student.encode(m, &batch(size), false).unwrap().detach(), "features");
        }
    }
    // Parameters and buffers keep their names and values.
    let own: std::collections::BTreeMap<_, _> =
        CModule::load(&path).unwrap().named_parameters().unwrap().into_iter().collect();
    assert_eq!(own.len(), net.vs.trainable_variables().len());
    assert_eq!(own["text.attention.weight"], net.attention.ws);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
}

#[test]
fn a_prediction_is_part_of_the_written_module() {
    let folder = tempfile::tempdir().unwrap();
    let (net, path) = (net(), folder.path().join("student.pt"));
    let student = student(&net);
    for prediction in predictions() {
        TorchScript::new(&student, &net.vs).prediction(&prediction).save(&path, &batch(4)).unwrap();
        for size in [1, 3, 4, 9] {
            let expected = evaluate(&student, [Ok(batch(size))]).unwrap();
            let calibrated = prediction.logits(&expected).unwrap();
            let found = &run(&path, "forward", &batch(size))[0];
            assert_near(found, &calibrated.to_kind(Kind::Float), prediction.name());

            let heads: Vec<_> = expected.heads.iter().map(|(_, z)| z.shallow_clone()).collect();
            let combined = prediction.combine(&expected.logits, &heads).unwrap();
            assert!((combined - calibrated).abs().max().double_value(&[]) <= 1e-12);
        }
    }
    let (mixture, batch) = (&predictions()[1], batch(4));
    let headless = Closures::builder()
        .encoder("audio", |input, train| Ok(net.audio.forward_t(input, train)))
        .encoder("text", |input, _train| encode_text(&net, input))
        .fusion(|features, _train| Ok(features[0].apply(&net.heads[0])))
        .build()
        .unwrap();
    let outcome = TorchScript::new(&headless, &net.vs).prediction(mixture).save(&path, &batch);
    assert_mismatch(outcome, &["unimodal head of modality \"audio\"", "found none"]);
    let logits = Tensor::zeros([2, 3], FLOAT);
    let outcome = mixture.combine(&logits, &[logits.shallow_clone()]);
    assert_mismatch(outcome, &["unimodal heads", "expected 2", "found 1"]);
}

#[test]
fn pytorch_computes_what_the_student_computes() {
    let Some(mut python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (net, path) = (net(), folder.path().join("student.pt"));
    let (student, prediction) = (student(&net), &predictions()[3]);
    TorchScript::new(&student, &net.vs).prediction(prediction).save(&path, &batch(8)).unwrap();
    let (audio, ids, mask) = inputs(8);
    let named = [("audio", audio), ("text_ids", ids), ("text_mask", mask)];
    let read = |name: &str| -> std::collections::HashMap<String, Tensor> {
        Tensor::read_safetensors(folder.path().join(name)).unwrap().into_iter().collect()
    };
    Tensor::write_safetensors(&named, folder.path().join("inputs.safetensors")).unwrap();
    stdout(python.arg(script("exported.py")).arg(folder.path()));
    let (outputs, state) = (read("outputs.safetensors"), read("state.safetensors"));
    for size in [1, 3, 8] {
        let expected = evaluate(&student, [Ok(batch(size))]).unwrap();
        let calibrated = prediction.logits(&expected).unwrap().to_kind(Kind::Float);
        assert_near(&outputs[&format!("forward{size}")], &calibrated, "logits");
        for (m, (_, logits)) in expected.heads.iter().enumerate() {
            assert_near(&outputs[&format!("unimodal_logits{size}.{m}")], logits, "unimodal logits");
            let own = student.encode(m, &batch(size), false).unwrap().detach();
            assert_near(&outputs[&format!("features{size}.{m}")], &own, "features");
        }
    }
    let variables = net.vs.variables();
    assert!(
        state.len() == variables.len() && state.keys().all(|name| variables.contains_key(name))
    );
}

/// What `save` returns for a student whose second modality is not used.
fn outcome(
    vs: &VarStore,
    path: &Path,
    example: &Batch,
    encode: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<()> {
    let student = Closures::builder()
        .encoder("audio", |input, _train| encode(input))
        .encoder("unused", |input, _train| Ok(input.first().shallow_clone()))
        .fusion(|features: &Features<'_>, _train| Ok(features[0].shallow_clone()))
        .build()?;
    TorchScript::new(&student, vs).save(path, example)
}

#[test]
fn a_student_that_cannot_be_recorded_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("student.pt");
    fs::write(&path, "before").unwrap();
    let vs = VarStore::new(Device::Cpu);
    let layer = nn::linear(vs.root() / "layer", 5, 3, Default::default());
    let example = || {
        let labels = Tensor::arange(8, (Kind::Int64, Device::Cpu));
        Batch::new([inputs(8).0, inputs(8).0], labels)
    };
    let export =
        |encode: &dyn Fn(&Tensor) -> Result<Tensor>| outcome(&vs, &path, &example(), encode);

    let words = ["the same operations for every batch size", "3 and 5 samples", "\"forward\""];
    let branch =
        export(&|x| Ok(if x.size()[0] > 4 { x.apply(&layer).relu() } else { x.apply(&layer) }));
    assert_mismatch(branch, &words);
    let number = export(&|x| Ok(x.apply(&layer) / (x.size()[0] as f64)));
    assert_mismatch(number, &[&words[..], &["the number 3", "and 5"]].concat());
    let constant = export(&|x| {
        Ok(x.apply(&layer) + Tensor::from_slice(&vec![1.0_f32; x.size()[0] as usize]).unsqueeze(1))
    });
    assert_mismatch(constant, &[&words[..], &["tensors [3] and [5]"]].concat());

    // The same operations in both recordings.
    let words = ["method \"forward\" of the exported module", "the student's output"];
    let large =
        export(&|x| Ok(if x.size()[0] > 10 { x.apply(&layer) * 2.0 } else { x.apply(&layer) }));
    assert_mismatch(
        large,
        &[&words[..], &["for 11 samples", "a difference of", "batch size"]].concat(),
    );
    let value = export(&|x| {
        let sign = if x.double_value(&[0, 1]) > 0.0 { 1.0 } else { -1.0 };
        Ok(x.apply(&layer) * sign)
    });
    assert_mismatch(
        value,
        &[&words[..], &["for 3 samples", "reads a number from a tensor"]].concat(),
    );
    let random = export(&|x| Ok(x.apply(&layer) + x.rand_like().narrow(1, 0, 3)));
    assert_mismatch(
        random,
        &[&words[..], &["different outputs for the same samples", "`train`"]].concat(),
    );

    let other = VarStore::new(Device::Cpu);
    let layer_of_another = nn::linear(other.root(), 3, 3, Default::default());
    let unknown = export(&|x| Ok(x.apply(&layer).apply(&layer_of_another)));
    assert_mismatch(unknown, &["trainable tensors of the given stores alone", "all parts"]);
    let failed = export(&|x| Ok(x.narrow(1, 0, 4).apply(&layer)));
    assert!(matches!(
        assert_error(failed, &["encoder of modality \"audio\""]),
        Error::Panic { .. }
    ));
    let nan = export(&|x| Ok(x.apply(&layer).log()));
    assert!(matches!(nan, Err(Error::NonFinite(_))));
    let mut broken = layer.ws.shallow_clone();
    let _ = tch::no_grad(|| broken.fill_(f64::NAN));
    let nan = export(&|x| Ok(x.apply(&layer)));
    assert_mismatch(nan, &["parameter \"layer.weight\" of the model to export"]);
    let _ = tch::no_grad(|| broken.fill_(0.5));

    let none = example().with_present(0, [false; 8]);
    let none = outcome(&vs, &path, &none, |x| Ok(x.apply(&layer)));
    assert_mismatch(none, &["example batch", "a sample that has every modality"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "before");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
    export(&|x| Ok(x.apply(&layer))).unwrap();
}

#[test]
fn names_of_stores_and_modalities_become_names_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("student.pt");
    let samples = [inputs(8).0, inputs(8).0.narrow(1, 0, 3)];
    let labels = Tensor::zeros([8], (Kind::Int64, Device::Cpu));
    let example = Batch::new(samples.each_ref().map(Tensor::shallow_clone), labels);
    let export = |of_head: &str| {
        let [a, b] = [(), ()].map(|()| VarStore::new(Device::Cpu));
        let encoder = nn::linear(a.root(), 5, 4, Default::default());
        let head = nn::linear(b.root() / of_head, 4, 3, Default::default());
        let student = Closures::builder()
            .encoder("lambda", |input, _train| Ok(input.first().apply(&encoder)))
            .encoder("2nd", |input, _train| Ok(input.first().shallow_clone()))
            .fusion(|features: &Features<'_>, _train| Ok(features[0].apply(&head) + &features[1]))
            .build()?;
        TorchScript::new(&student, [("encoder", &a), ("head", &b)]).save(&path, &example)
    };
    let words = ["variable \"head.in.bias\" to export", "without keywords of Python", "\"in\""];
    assert_mismatch(export("in"), &words);
    assert!(!path.exists());

    export("out").unwrap();
    let module = CModule::load(&path).unwrap();
    let mut names: Vec<_> = module.named_parameters().unwrap().into_iter().map(|p| p.0).collect();
    names.sort();
    assert_eq!(names, ["encoder.bias", "encoder.weight", "head.out.bias", "head.out.weight"]);
    assert_eq!(module.forward_ts(&samples).unwrap().size(), [8, 3]);
}

/// The recorded operations of a TorchScript student are those of its methods.
#[test]
fn a_torchscript_student_can_be_exported() {
    let Some(mut python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    stdout(python.arg(script("student.py")).arg("write").arg(folder.path()));
    let vs = VarStore::new(Device::Cpu);
    let model = g2d::torchscript::Module::load(folder.path().join("model.pt"), vs.root()).unwrap();
    let method = |name: &str| model.method(name).unwrap();
    let student = g2d::student::TorchScript::builder()
        .encoder("audio", method("encode_audio"))
        .encoder("text", method("encode_text"))
        .fusion(method("fuse"))
        .build()
        .unwrap();
    let batch = |size: i64| {
        let (audio, ids, mask) = inputs(size);
        let text = Input::new("ids", ids.remainder(7)).with("mask", mask.to_kind(Kind::Double));
        let labels = Tensor::zeros([size], (Kind::Int64, Device::Cpu));
        Batch::new([Input::from(audio.to_kind(Kind::Double)), text], labels)
    };
    let path = folder.path().join("student.pt");
    TorchScript::new(&student, &vs).save(&path, &batch(6)).unwrap();
    for size in [1, 7] {
        let expected = evaluate(&student, [Ok(batch(size))]).unwrap().logits;
        assert_near(&run(&path, "forward", &batch(size))[0], &expected, "logits");
    }
}
