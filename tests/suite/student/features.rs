//! What a fusion reads.

use g2d::{
    Batch, Features,
    batch::{Input, Rows},
};
use tch::{Device, IndexOp, Kind, Tensor};

use crate::support::{assert_config_error, labels, wave};

fn batch() -> Batch {
    let mask = Tensor::ones([4, 3], (Kind::Bool, Device::Cpu));
    let text = Input::new("ids", wave(0.0, &[4, 3])).with("mask", mask);
    Batch::new([text, wave(1.0, &[4, 2]).into()], labels(4)).with_extra("age", labels(4))
}

#[test]
fn an_input_has_zeros_where_a_sample_lacks_the_modality() {
    let features = [wave(0.0, &[4, 3, 5]), wave(0.0, &[4, 5])];
    let whole = batch();
    let all = Features::new(&features, &whole).unwrap();
    assert!(all.rows().iter().all(|rows| matches!(rows, Rows::All)));
    assert!(all.input(0, "mask").unwrap().equal(whole.tensor(0, "mask").unwrap()));
    assert!(all[1].equal(&features[1]) && all.len() == 2);

    let present = [true, false, false, true];
    let partial = batch().with_present(0, present);
    let some = Features::new(&features, &partial).unwrap();
    assert_eq!(some.rows()[0].count(4), 2);
    let (mask, ids) = (some.input(0, "mask").unwrap(), some.input(0, "ids").unwrap());
    assert_eq!(mask.kind(), Kind::Bool);
    for (row, present) in (0..).zip(present) {
        assert_eq!(Vec::<bool>::try_from(mask.i(row)).unwrap(), [present; 3]);
        let expected = partial.input(0).i(row) * f64::from(u8::from(present));
        assert!(ids.i(row).equal(&expected));
    }
    assert!(some.batch().extra("age").unwrap().equal(&labels(4)));
    let other = some.replaced(&features[1..]);
    assert_eq!((other.len(), other.rows()[0].count(4)), (1, 2));
    assert_config_error(some.input(1, "mask"), &["\"mask\"", "[\"values\"]"]);
}

#[test]
fn the_tokens_of_a_missing_modality_are_those_of_its_features() {
    let absent = batch().with_present(0, [false; 4]);
    let features = [Tensor::zeros([4, 1, 5], (Kind::Double, Device::Cpu)), wave(0.0, &[4, 5])];
    let none = Features::new(&features, &absent).unwrap();
    assert!(none.rows()[0].is_missing());
    let mask = none.input(0, "mask").unwrap();
    assert_eq!((mask.size(), mask.kind()), (vec![4, 1], Kind::Bool));
    assert!(!bool::try_from(mask.any()).unwrap());
    let vectors = [wave(0.0, &[4, 5]), wave(0.0, &[4, 5])];
    let vectors = Features::new(&vectors, &absent).unwrap();
    assert_eq!(vectors.input(0, "mask").unwrap().size(), [4, 3]);
}
