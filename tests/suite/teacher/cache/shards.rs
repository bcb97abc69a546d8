//! Several caches as one teacher.

use g2d::{
    Batch, Teacher,
    teacher::{Cached, cache::Shards},
};
use tch::{Device, Kind, Tensor};

use super::{WithKind, batches, file};
use crate::support::{Tiny, WIDTH, assert_error};

#[test]
fn shards_return_the_outputs_of_one_cache() {
    let (student, folder) = (Tiny::linear(1), tempfile::tempdir().unwrap());
    let (live, _vs) = student.teacher(0, WIDTH);
    let whole = Cached::record(&live, 0, batches(&student)).unwrap();
    let mut parts = batches(&student).into_iter();
    let first = file(&folder.path().join("first.safetensors"));
    first.record(&live, 0, parts.next()).unwrap();
    let second = Cached::record(&live, 0, parts);
    let shards = Shards::new([first.open(Device::Cpu), second]).unwrap();
    assert_eq!((shards.len(), shards.modality()), (7, whole.modality()));
    let input = || Tensor::zeros([5, 5], (Kind::Double, Device::Cpu));
    let batch = |ids: &[i64]| {
        let labels = Tensor::zeros([5], (Kind::Int64, Device::Cpu));
        Batch::new([input()], labels).with_ids(ids.to_vec())
    };
    for ids in [[105, 100, 106, 103, 104], [103, 102, 101, 100, 102], [104, 105, 106, 106, 104]] {
        let [found, expected] = [&shards as &dyn Teacher, &whole].map(|teacher| {
            let output = teacher.output(0, &batch(&ids)).unwrap();
            let host = output.host.unwrap();
            [output.features, output.logits, host.logits, host.targets]
        });
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.equal(expected) && found.kind() == expected.kind(), "{ids:?}");
        }
    }
    let unknown = shards.output(0, &batch(&[100, 7, 106, 8, 104]));
    assert_error(unknown, &["ids among the 7 recorded", "2 unknown: 7, 8"]);
}

#[test]
fn shards_that_do_not_fit_are_refused() {
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let mut parts = batches(&student).into_iter();
    let first = Cached::record(&live, 0, parts.next()).unwrap();
    let record = |teacher: &dyn Teacher, m| {
        Cached::record(teacher, m, batches(&student).into_iter().skip(1))
    };
    assert_error(Shards::new([]), &["at least one", "none"]);
    let twice = Shards::new([Ok(first.share()), record(&live, 0), Ok(first.share())]);
    assert_error(twice, &["every sample once", "id 100 in the shards 0 and 2"]);
    let other = record(&student.teacher(1, WIDTH).0, 1);
    assert_error(Shards::new([Ok(first.share()), other]), &["m1", "shard 1", "m0", "shard 0"]);
    let narrow = record(&WithKind(student.teacher(0, WIDTH).0, Kind::Float), 0);
    assert_error(Shards::new([Ok(first.share()), narrow]), &["Float", "Double", "one modality"]);
    let wide = record(&student.teacher(0, WIDTH + 1).0, 0);
    assert_error(Shards::new([Ok(first.share()), wide]), &["[5] Double", "[4] Double"]);
}
