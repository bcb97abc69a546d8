//! The gradients of one step of every method, for two and three modalities, against a derivation in plain
//! tch: forward passes by hand, gradients by `run_backward` of one term at a time.
//!
//! - `agm.rs`: AGM.
//! - `gradients.rs`: methods that change gradients.
//! - `objectives.rs`: methods that change the loss or the features.
//! - `over_epochs.rs`: methods that keep a state from epoch to epoch.

mod agm;
mod gradients;
mod objectives;
mod over_epochs;

use g2d::{Batch, Features, Student};
use tch::{Kind, Tensor, nn::VarStore};

use crate::support::{Snapshot, values};

const K: [usize; 2] = [2, 3];

fn cross_entropy(z: &Tensor, batch: &Batch) -> Tensor {
    let log = z.log_softmax(1, None);
    -log.gather(1, &batch.targets().unsqueeze(1), false).mean(Kind::Double)
}

fn true_class(z: &Tensor, batch: &Batch) -> Tensor {
    z.softmax(1, None).gather(1, &batch.targets().unsqueeze(1), false).squeeze_dim(1)
}

/// The gradients of `loss` by all parameters of `vs`, zeros where it does not depend on one.
fn gradients_of(loss: &Tensor, vs: &VarStore) -> Snapshot {
    let named: Vec<_> =
        vs.variables().into_iter().filter(|(_, variable)| variable.requires_grad()).collect();
    let inputs: Vec<&Tensor> = named.iter().map(|(_, variable)| variable).collect();
    let found = Tensor::run_backward(&[loss], &inputs, true, false);
    let or_zeros = |((name, variable), found): (&(String, Tensor), Tensor)| {
        let gradient = if found.defined() { found } else { variable.zeros_like() };
        (name.clone(), gradient.detach())
    };
    named.iter().zip(found).map(or_zeros).collect()
}

fn fuse(student: &dyn Student, features: &[Tensor], batch: &Batch, train: bool) -> Tensor {
    student.fuse(&Features::new(features, batch).unwrap(), train).unwrap()
}

fn head(student: &dyn Student, m: usize, features: &[Tensor], batch: &Batch) -> Tensor {
    student.unimodal_logits(m, &Features::new(features, batch).unwrap()).unwrap().unwrap()
}

fn encode(student: &dyn Student, batch: &Batch, train: bool) -> Vec<Tensor> {
    let k = student.modalities().len();
    (0..k).map(|m| student.encode(m, batch, train).unwrap()).collect()
}

/// Runs `derive` with the buffers of `vs` restored after it, since forward passes in training mode move
/// running statistics.
fn derived<T>(vs: &VarStore, derive: impl FnOnce() -> T) -> T {
    let before = values(vs);
    let found = derive();
    let _no_grad = tch::no_grad_guard();
    for (name, mut variable) in vs.variables() {
        if !variable.requires_grad() {
            variable.copy_(&before[&name]);
        }
    }
    found
}

/// Asserts that an update's gradients are `expected`; an undefined one is zero.
#[track_caller]
fn assert_gradients(found: &Snapshot, expected: &Snapshot) {
    for (name, expected) in expected {
        match found.get(name) {
            Some(found) => assert!(
                found.allclose(expected, 1e-10, 1e-13, false),
                "{name}: {found:?} against {expected:?}"
            ),
            None => assert!(expected.abs().max().double_value(&[]) == 0.0, "{name}"),
        }
    }
}

fn scaled(gradients: &Snapshot, factor: f64) -> Snapshot {
    gradients.iter().map(|(name, gradient)| (name.clone(), gradient * factor)).collect()
}

fn norm(gradients: &Snapshot) -> f64 {
    gradients.values().map(|g| g.square().sum(Kind::Double).double_value(&[])).sum::<f64>().sqrt()
}

fn value(report: &g2d::StepReport, name: &str, m: impl Into<Option<usize>>) -> f64 {
    let modality = m.into().map(|m| format!("m{m}"));
    let own = report.details.iter().find(|detail| {
        detail.name == name && detail.modality.as_ref().map(|m| m.to_string()) == modality
    });
    own.unwrap_or_else(|| panic!("no {name:?}")).value.double_value(&[])
}
