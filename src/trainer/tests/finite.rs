//! The guard against values that are not finite.

use tch::{Device, Kind, Tensor};

use super::{Pair, WHOLE, batch};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::schedule::Progress;
use crate::step::{NonFiniteSource, Observation, SkipCause};
use crate::trainer::NonFinite;
use crate::trainer::buffers::WatchedBuffers;
use crate::trainer::finite::{Checked, FiniteGuard};

/// A batch whose input of modality `b` holds NaN.
fn nan_batch() -> Batch {
    let whole = batch(0.0);
    let nan = Tensor::full([2, 3], f64::NAN, (Kind::Float, Device::Cpu));
    Batch::new([whole.input(0).shallow_clone(), nan], whole.targets().shallow_clone())
}

fn source() -> NonFiniteSource {
    NonFiniteSource::Input("b".into())
}

fn new_guard(policy: NonFinite) -> Result<FiniteGuard> {
    FiniteGuard::new(policy, WatchedBuffers::default())
}

#[test]
fn a_finite_loss_passes_under_every_policy() {
    for policy in [NonFinite::Error, NonFinite::Skip, NonFinite::StopAfter(1)] {
        let mut guard = new_guard(policy).unwrap();
        let checked = |step: &Observation<'_>| guard.check_loss(step).unwrap();
        assert_eq!(Pair::new().observe(&batch(0.0), [1.0, 1.0], WHOLE, checked), None);
    }
}

#[test]
fn a_loss_that_is_not_finite_is_an_error_or_the_cause_of_a_skipped_step() {
    let student = Pair::new();
    let mut guard = new_guard(NonFinite::Error).unwrap();
    let checked = |step: &Observation<'_>| guard.check_loss(step);
    let error = student.observe(&nan_batch(), [1.0, 1.0], WHOLE, checked).unwrap_err();
    assert!(
        matches!(&error, Error::NonFinite(_)) && error.to_string().contains("input of modality")
    );
    let mut guard = new_guard(NonFinite::Skip).unwrap();
    let checked = |step: &Observation<'_>| guard.check_loss(step).unwrap();
    assert_eq!(student.observe(&nan_batch(), [1.0, 1.0], WHOLE, checked), Some(source()));
}

#[test]
fn gradients_are_judged_by_their_flag() {
    let mut guard = new_guard(NonFinite::Skip).unwrap();
    let mut check =
        |flag: Option<f64>| guard.check_gradients(None, flag.map(Tensor::from)).unwrap();
    assert!(matches!(check(None), Checked::Finite));
    assert!(matches!(check(Some(0.0)), Checked::Finite));
    assert!(matches!(check(Some(1.0)), Checked::Gradients));
}

#[test]
fn the_cause_names_the_parameter_and_its_modality() {
    let student = Pair::new();
    (&student.encoders[1].ws * f64::NAN).sum(Kind::Float).backward();
    let cause =
        |policy| new_guard(policy).unwrap().gradient_cause(Progress::default(), &student.params());
    assert!(matches!(cause(NonFinite::Error), Err(Error::NonFinite(_))));
    let parameter = "b.weight".to_owned();
    let source = NonFiniteSource::Gradient { parameter, modality: Some("b".into()) };
    assert_eq!(cause(NonFinite::Skip).unwrap(), SkipCause::NonFinite(source));
}

#[test]
fn too_many_skipped_steps_in_a_row_are_an_error() {
    let mut guard = new_guard(NonFinite::StopAfter(2)).unwrap();
    let mut skip = |cause| guard.count_skipped(Progress::default(), &cause);
    skip(SkipCause::NonFinite(source())).unwrap();
    skip(SkipCause::Overflow { scale: 2.0 }).unwrap();
    assert!(skip(SkipCause::NonFinite(source())).is_err());
    guard.count_completed();
    guard.count_skipped(Progress::default(), &SkipCause::NonFinite(source())).unwrap();
    assert_eq!(guard.skipped_in_a_row(), 1);
    assert!(new_guard(NonFinite::StopAfter(0)).is_err());
}
