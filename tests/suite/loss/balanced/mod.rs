//! The terms of balanced training against formulas written in elementary operations, in float64 to 1e-12.
//!
//! - `values.rs`: values and gradients; `settings.rs`: terms that are not computed, and errors.

mod settings;
mod values;

use g2d::{
    G2dLoss, Modality, TeacherOutput,
    batch::{Extras, Rows},
    loss::{
        self, Classification, Distillation, EnsembleTerm, HeadTarget, HeadTerm, Input, Regression,
    },
};
use tch::{Kind, Tensor};

use crate::support::{names, rows_having, wave};

const B: i64 = 5;
const C: i64 = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Task {
    Single,
    Multi,
    Regression,
}

const TASKS: [Task; 3] = [Task::Single, Task::Multi, Task::Regression];

fn sum(x: Tensor) -> Tensor {
    x.sum(Kind::Double)
}

impl Task {
    fn loss(self, distillation: Distillation) -> Box<dyn G2dLoss> {
        match self {
            Self::Single => Box::new(Classification::new(distillation)),
            Self::Multi => Box::new(Classification::multi_label(distillation)),
            Self::Regression => Box::new(Regression::new(distillation)),
        }
    }

    fn targets(self) -> Tensor {
        let classes = Tensor::from_slice(&[2_i64, 0, 3, 1, 2]);
        match self {
            Self::Single => classes,
            Self::Multi => classes.one_hot(C).to_kind(Kind::Double),
            Self::Regression => wave(0.8, &[B, C]),
        }
    }

    /// L_S.
    fn task(self, z: &Tensor, y: &Tensor) -> Tensor {
        let n = z.size()[0] as f64;
        match self {
            Self::Single => {
                -sum((softmax(z) * y.one_hot(C)).sum_dim_intlist(1, false, None).log()) / n
            }
            Self::Multi => {
                let log_p: Tensor = y * sigmoid(z).log() + (1.0 - y) * sigmoid(&-z).log();
                -log_p.mean(None)
            }
            Self::Regression => (z - y).square().mean(None),
        }
    }

    /// T² KL(σ(t / T) ‖ σ(s / T)), or the squared error.
    fn divergence(self, t: &Tensor, s: &Tensor, temperature: f64) -> Tensor {
        let scale = temperature * temperature / s.size()[0] as f64;
        let kl = |p: &Tensor, q: &Tensor| sum(p * (p / q).log()) * scale;
        let (t, s) = (t / temperature, s / temperature);
        match self {
            Self::Single => kl(&softmax(&t), &softmax(&s)),
            Self::Multi => kl(&sigmoid(&t), &sigmoid(&s)) + kl(&sigmoid(&-t), &sigmoid(&-s)),
            Self::Regression => (s - t).square().mean(None) * temperature * temperature,
        }
    }
}

fn softmax(x: &Tensor) -> Tensor {
    x.exp() / x.exp().sum_dim_intlist(1, true, None)
}

fn sigmoid(x: &Tensor) -> Tensor {
    1.0 / (1.0 + (-x).exp())
}

/// A student and teachers of three modalities; `present[m]` are the rows that have m.
struct Case {
    modalities: Vec<Modality>,
    present: [Vec<bool>; 3],
    rows: Vec<Rows>,
    logits: Tensor,
    features: Vec<Tensor>,
    /// Of all rows, with gradient.
    heads: Vec<Tensor>,
    /// The logits of the present rows.
    teachers: Vec<Tensor>,
}

impl Case {
    fn new(present: [Vec<bool>; 3]) -> Self {
        let rows: Vec<_> = present.iter().map(|flags| rows_having(flags)).collect();
        let leaf = |phase: f64, width| wave(phase, &[B, width]).set_requires_grad(true);
        let teachers =
            (0..3).map(|m| rows[m].select(&(wave(0.6 + m as f64, &[B, C]) * 3.0)).unwrap());
        let teachers = teachers.collect();
        Self {
            modalities: names(3),
            logits: wave(0.1, &[B, C]).set_requires_grad(true),
            features: (0..3).map(|m| leaf(0.2 + m as f64, 2)).collect(),
            heads: (0..3).map(|m| leaf(0.4 + 2.0 * m as f64, C)).collect(),
            teachers,
            present,
            rows,
        }
    }

    fn whole() -> Self {
        Self::new([(); 3].map(|()| vec![true; B as usize]))
    }

    /// m0 is complete, m1 partial, m2 missing in all rows or partial.
    fn partial(m2: [bool; 5]) -> Self {
        Self::new([vec![true; 5], vec![true, false, true, false, true], m2.to_vec()])
    }

    fn outputs(&self) -> Vec<Option<TeacherOutput>> {
        let output = |m: usize| {
            let features = self.rows[m].select(&wave(0.3 + m as f64, &[B, 2])).unwrap();
            TeacherOutput { features, logits: self.teachers[m].shallow_clone(), host: None }
        };
        (0..3).map(|m| (!self.rows[m].is_missing()).then(|| output(m))).collect()
    }

    fn unimodal(&self) -> Vec<Option<Tensor>> {
        let own = |m: usize| (!self.rows[m].is_missing()).then(|| self.heads[m].shallow_clone());
        (0..3).map(own).collect()
    }

    fn terms(&self, loss: &dyn G2dLoss, targets: &Tensor) -> g2d::Result<loss::Terms> {
        self.terms_of(loss, targets, &self.outputs(), &self.unimodal())
    }

    fn terms_of(
        &self,
        loss: &dyn G2dLoss,
        targets: &Tensor,
        teachers: &[Option<TeacherOutput>],
        unimodal: &[Option<Tensor>],
    ) -> g2d::Result<loss::Terms> {
        loss.check(&self.modalities).unwrap();
        loss.terms(&Input {
            modalities: &self.modalities,
            logits: &self.logits,
            features: &self.features,
            teachers,
            unimodal,
            rows: &self.rows,
            targets,
            extras: &Extras::default(),
        })
    }
}

fn head(target: HeadTarget) -> HeadTerm {
    HeadTerm { weight: [0.5, 2.0, 1.0].into(), temperature: [1.0, 4.0, 2.5].into(), target }
}

fn ensemble() -> EnsembleTerm {
    EnsembleTerm { weight: 0.7, temperature: 3.0, teacher_temperature: [0.5, 2.0, 1.5].into() }
}

fn number(tensor: &Tensor) -> f64 {
    tensor.double_value(&[])
}
