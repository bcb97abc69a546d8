//! Loss, ρ, plan, cache lookup and fusion, with the sizes of a CREMA-D step.

use std::hint::black_box;

use criterion::Criterion;
use g2d::{
    Batch, Features, G2dLoss, Modality, SmpScheduler, Student, Teacher, TeacherOutput,
    batch::{Extras, Rows},
    loss::{self, Classification, Confidence, TrueClassProbability},
    paper::networks::{ClassifierConfig, FusionClassifier, FusionKind},
    schedule::{Candidates, Progress, Sequential},
    teacher::{Cached, FrozenModel},
};
use tch::{Device, Kind, Tensor, nn, nn::Module};

const ROWS: i64 = 16;
const WIDTH: i64 = 512;
const CLASSES: i64 = 6;
const SAMPLES: i64 = 6_698;

fn noise(columns: i64) -> Tensor {
    Tensor::randn([ROWS, columns], (Kind::Float, Device::Cpu))
}

fn labels() -> Tensor {
    Tensor::arange(ROWS, (Kind::Int64, Device::Cpu)).remainder(CLASSES)
}

pub fn loss(c: &mut Criterion) {
    let loss = Classification::default();
    let names = Modality::list(["audio", "visual"]);
    let output =
        |_| Some(TeacherOutput { features: noise(WIDTH), logits: noise(CLASSES), host: None });
    let teachers: Vec<_> = (0..2).map(output).collect();
    let logits = noise(CLASSES).set_requires_grad(true);
    let features = [0, 1].map(|_| noise(WIDTH).set_requires_grad(true));
    let (rows, targets) = ([Rows::All, Rows::All], labels());
    let input = loss::Input {
        modalities: &names,
        logits: &logits,
        features: &features,
        teachers: &teachers,
        unimodal: &[],
        rows: &rows,
        targets: &targets,
        extras: &Extras::default(),
    };
    c.bench_function("loss/terms", |b| b.iter(|| loss.terms(black_box(&input)).unwrap()));
    c.bench_function("loss/terms and backward", |b| {
        b.iter(|| loss.terms(black_box(&input)).unwrap().total.backward());
    });
}

pub fn confidence(c: &mut Criterion) {
    let (logits, labels) = (noise(CLASSES), labels());
    let rho = TrueClassProbability::default();
    c.bench_function("confidence", |b| b.iter(|| rho.rho(black_box(&logits), &labels).unwrap()));
}

pub fn plan(c: &mut Criterion) {
    for k in [2, 8] {
        let mut scheduler = Sequential::new([1]);
        scheduler.bind(&Modality::list((0..k).map(|m| format!("m{m}")))).unwrap();
        let rho: Vec<f64> = (0..k).map(|m| f64::from(m) / f64::from(k)).collect();
        c.bench_function(&format!("plan/{k} modalities"), |b| {
            b.iter(|| {
                let candidates = Candidates::from_confidence(black_box(&rho).clone());
                scheduler.plan(Progress::default(), &candidates).unwrap()
            });
        });
    }
}

/// Lookup of one batch among the samples of CREMA-D's training set.
pub fn cache(c: &mut Criterion) {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let head = nn::linear(vs.root(), WIDTH, CLASSES, Default::default());
    let live = FrozenModel::new("audio", &mut vs, move |input, _| {
        (input.first().shallow_clone(), head.forward(input))
    });
    let batch = |ids: Vec<i64>| {
        let rows = ids.len() as i64;
        let input = Tensor::randn([rows, WIDTH], (Kind::Float, Device::Cpu));
        Batch::new([input], Tensor::zeros([rows], (Kind::Int64, Device::Cpu))).with_ids(ids)
    };
    let cached = Cached::record(&live, 0, [Ok(batch((0..SAMPLES).collect()))]).unwrap();
    let wanted = batch((0..ROWS).map(|i| i * 397 % SAMPLES).collect());
    c.bench_function("cache/lookup", |b| b.iter(|| cached.output(0, black_box(&wanted)).unwrap()));
}

pub fn fusion(c: &mut Criterion) {
    for kind in
        [FusionKind::Sum, FusionKind::Concat, FusionKind::Late, FusionKind::Film, FusionKind::Gated]
    {
        let vs = nn::VarStore::new(Device::Cpu);
        let modalities = [("audio", 1), ("visual", 3)].map(|(m, c)| (Modality::new(m), c));
        let config = ClassifierConfig::authors(kind);
        let student = FusionClassifier::new(&vs, &modalities, CLASSES, config).unwrap();
        let features = [noise(WIDTH), noise(WIDTH)];
        let batch =
            Batch::new(Vec::<Tensor>::new(), Tensor::zeros([ROWS], (Kind::Int64, Device::Cpu)));
        let features = Features::new(&features, &batch).unwrap();
        c.bench_function(&format!("fusion/{kind:?}"), |b| {
            b.iter(|| student.fuse(black_box(&features), true).unwrap());
        });
    }
}
