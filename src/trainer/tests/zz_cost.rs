use crate::modality::Modality;
use crate::paper::networks::{ClassifierConfig, FusionClassifier, FusionKind};
use crate::trainer::buffers::WatchedBuffers;
use std::time::Instant;
#[test]
fn cost() {
    let vs = tch::nn::VarStore::new(tch::Device::Cpu);
    let modalities = [("audio", 1), ("visual", 3)].map(|(m, c)| (Modality::new(m), c));
    let student =
        FusionClassifier::new(&vs, &modalities, 6, ClassifierConfig::authors(FusionKind::Late))
            .unwrap();
    let params = student.encoder_params(&vs).unwrap();
    let watched = WatchedBuffers::of_student(&params).unwrap();
    println!("buffers {}", params.variables().buffers().count());
    let mut copies = None;
    for round in 0..3 {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..500 {
            let t = Instant::now();
            params.variables().copy_buffers(&mut copies).unwrap();
            a.push(t.elapsed().as_secs_f64() * 1e6);
            let t = Instant::now();
            let _ = watched.flag().unwrap().map(|f| f.double_value(&[]));
            b.push(t.elapsed().as_secs_f64() * 1e6);
        }
        a.sort_by(f64::total_cmp);
        b.sort_by(f64::total_cmp);
        println!("round {round}: copy median {:.1} us, flag median {:.1} us", a[250], b[250]);
    }
}
