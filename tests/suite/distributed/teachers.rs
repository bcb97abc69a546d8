//! Teachers that several ranks train together.

use g2d::{
    Batch, Error, Result,
    batch::Input,
    distributed::ProcessGroup,
    loss::Classification,
    metrics,
    optim::SgdConfig,
    trainer::{KeepWeights, TrainedTeacher, UnimodalTrainer},
};
use tch::{Device, Kind, nn, nn::Module, nn::ModuleT};

use super::{all, assert_near, each};
use crate::support::{
    CLASSES, INPUT, Snapshot, WIDTH, assert_config_error, assert_same, fill, labels, values, wave,
    with_nan_input,
};

const SGD: SgdConfig =
    SgdConfig { lr: 0.2, momentum: 0.9, dampening: 0.0, weight_decay: 0.01, nesterov: false };

/// The steps of an epoch: one more than a multiple of the window.
const STEPS: i64 = 3;

/// The batch of a step, of which a rank has `rows`.
fn part(step: i64, [from, count]: [i64; 2]) -> Batch {
    let input = wave(10.0 * step as f64, &[9, INPUT]).narrow(0, from, count);
    Batch::new([input], labels(9).narrow(0, from, count))
}

struct Teacher {
    vs: nn::VarStore,
    encoder: nn::Linear,
    norm: nn::BatchNorm,
    head: nn::Linear,
}

impl Teacher {
    fn new(seed: f64) -> Self {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let encoder = nn::linear(vs.root() / "net", INPUT, WIDTH, Default::default());
        let norm = nn::batch_norm1d(vs.root() / "bn", WIDTH, Default::default());
        let head = nn::linear(vs.root() / "classifier", WIDTH, CLASSES, Default::default());
        vs.set_kind(Kind::Double);
        fill(&vs, seed);
        Self { vs, encoder, norm, head }
    }

    fn train(
        self,
        group: Option<&ProcessGroup>,
        train: impl Fn() -> Vec<Batch>,
        val: impl Fn() -> Vec<Batch>,
    ) -> Result<(TrainedTeacher, Snapshot)> {
        let Self { vs, encoder, norm, head } = self;
        // Batch norm in evaluation mode, since the ranks' batches have statistics of their own.
        let model = move |input: &Input, _train: bool| {
            let features = norm.forward_t(&encoder.forward(input).tanh(), false);
            let logits = head.forward(&features);
            (features, logits)
        };
        let loss = Classification { ignore_index: Some(2), ..Classification::default() };
        let trainer = UnimodalTrainer::new("audio", 0, loss, SGD)
            .epochs(4)
            .accumulate(2)
            .clip_norm(0.5)
            .keep(KeepWeights::Best)
            .score(|logits, targets| Ok(-metrics::nll(logits, &targets.remainder(2))?));
        let trainer = match group {
            None => trainer,
            Some(group) => trainer.group(group),
        };
        let batches = |all: Vec<Batch>| all.into_iter().map(Ok);
        let trained = trainer.train(&model, &vs, |_| batches(train()), || batches(val()))?;
        Ok((trained, values(&vs)))
    }
}

/// The steps of an epoch, of whose rows a rank has `rows`.
fn steps(rows: [i64; 2]) -> Vec<Batch> {
    (0..STEPS).map(|step| part(step, rows)).collect()
}

fn rows_of(group: &ProcessGroup, rows: &[i64]) -> [i64; 2] {
    [rows[..group.rank()].iter().sum(), rows[group.rank()]]
}

#[test]
fn a_teacher_equals_one_of_the_combined_batches() {
    for rows in [[4, 5].as_slice(), &[6, 1, 2]] {
        let found = all(rows.len(), |group| {
            let own = rows_of(&group, rows);
            // The last rank has no validation data.
            let is_last = group.rank() + 1 == group.size();
            let val = || if is_last { Vec::new() } else { vec![part(7, own)] };
            // Other weights, which the trainer replaces by those of rank 0.
            Teacher::new(0.3 + group.rank() as f64).train(Some(&group), || steps(own), val)
        });
        let validated = [0, 9 - rows[rows.len() - 1]];
        let expected = Teacher::new(0.3).train(None, || steps([0, 9]), || vec![part(7, validated)]);
        let (expected, weights) = expected.unwrap();
        for (trained, own) in &found {
            assert_near("weights", own, &weights, 1e-12);
            assert_same(own, &found[0].1);
            assert_eq!((trained.kept, trained.epochs.len()), (expected.kept, 4));
            for (found, expected) in trained.epochs.iter().zip(&expected.epochs) {
                assert!((found.loss - expected.loss).abs() < 1e-12, "{found:?}, {expected:?}");
                assert!((found.score - expected.score).abs() < 1e-12, "{found:?}, {expected:?}");
            }
        }
    }
}

#[test]
fn ranks_that_differ_or_fail_are_errors_on_all() {
    let train = |edit: &(dyn Fn(&mut Vec<Batch>) + Sync)| {
        each(2, |group| {
            let own = || {
                let mut own = steps(rows_of(&group, &[4, 5]));
                if group.rank() == 1 {
                    edit(&mut own);
                }
                own
            };
            let val = || vec![part(7, [0, 3])];
            Teacher::new(0.3).train(Some(&group), own, val).map(drop)
        })
    };
    for outcome in train(&|batches| batches.truncate(2)) {
        assert_config_error(outcome, &["calls of the ranks", "as many batches"]);
    }
    let nan = train(&|batches| batches[1] = with_nan_input(&batches[1], 0));
    for (rank, outcome) in nan.into_iter().enumerate() {
        let error = outcome.unwrap_err();
        match rank {
            0 => assert!(matches!(error, Error::Rank { rank: 1, .. }), "{error}"),
            _ => assert!(error.to_string().contains("input of modality"), "{error}"),
        }
    }
    for outcome in train(&|batches| {
        let labels = batches[2].targets().shallow_clone();
        let absent = vec![false; 5];
        batches[2] =
            Batch::new([batches[2].input(0).shallow_clone()], labels).with_present(0, absent);
    }) {
        assert_config_error(outcome, &["audio", "rank 1", "every batch"]);
    }
}
