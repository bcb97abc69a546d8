//! Ranks as processes on the loopback interface: killed, hung, missing ranks, a taken port, a NaN.
//!
//! Each rank is this test binary once more, which runs the test `rank` alone, with the variables of a
//! launcher.
#![cfg(feature = "distributed")]

mod support;

use std::{
    env, fs,
    io::Read,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use g2d::{
    Batch, Result,
    checkpoint::ResumableRun,
    data::{BatchOrder, InMemory},
    distributed::{GroupConfig, ProcessGroup},
    loss::Classification,
    optim::{Optimizer, SgdConfig},
    probe::GradientNorm,
    schedule::Sequential,
    weights,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tch::{Device, Kind, Tensor};

use support::{CLASSES, INPUT, Tiny, wave, with_nan_input};

const KILLS: u32 = 20;
const EPOCHS: u64 = 4;
/// A last batch of 4 rows.
const SAMPLES: i64 = 40;
const BATCH: usize = 12;
/// The variable that has the folder of a rank's snapshots.
const FOLDER: &str = "G2D_TEST_RANK_FOLDER";
/// Faults, as `kind:rank`, or `kind` for all ranks, separated by commas.
const FAULT: &str = "G2D_TEST_RANK_FAULT";
/// The timeout of a group.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a test waits for the end of a process that should end after the timeout.
const PATIENCE: Duration = Duration::from_secs(240);
/// The exit status of a rank that received an error.
const FAILED: i32 = 3;

/// What a rank does; nothing outside of such a process.
#[test]
fn rank() {
    let Ok(folder) = env::var(FOLDER) else { return };
    match train(Path::new(&folder)) {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("{error}: {error:?}");
            std::process::exit(FAILED);
        }
    }
}

fn train(folder: &Path) -> Result<()> {
    let fault = env::var(FAULT).unwrap_or_default();
    tch::set_num_threads(1);
    let group =
        ProcessGroup::from_env(&GroupConfig { timeout: TIMEOUT, ..GroupConfig::default() })?;
    let own = format!(":{}", group.rank());
    let has =
        |kind: &str| fault.split(',').any(|fault| fault == kind || fault == format!("{kind}{own}"));
    tch::manual_seed(group.rank() as i64);
    let student = Tiny::with_widths(&[4, 4], Kind::Double);
    let sgd = SgdConfig { lr: 0.05, momentum: 0.9, ..SgdConfig::default() };
    let optimizer = Optimizer::builder(&student.vs, sgd).build()?;
    let trainer = student
        .builder_with_teachers(Classification::default())
        .scheduler(Sequential::new([1, 1]))
        .probe(GradientNorm::default())
        .group(&group)
        .build(&student)?;
    let run = ResumableRun::builder(folder, trainer, optimizer);
    let mut run = run.weights("student", &student.vs).every(3).resume(())?;
    let input = |m: i64| wave(m as f64, &[SAMPLES, INPUT]);
    let labels = Tensor::arange(SAMPLES, (Kind::Int64, Device::Cpu)).remainder(CLASSES);
    let data = InMemory::new(["m0", "m1"], [input(0), input(1)], labels)?;
    let order = BatchOrder::shuffled(BATCH, 5).for_rank(group.rank(), group.size());
    for epoch in run.epochs(EPOCHS) {
        let done = run.batches_done();
        for batch in data.batches(&order, epoch, Device::Cpu).skip(done) {
            let mut batch = batch?;
            let at = run.trainer.progress();
            if at.total_steps == 7 {
                if has("hangs") {
                    thread::sleep(PATIENCE * 2);
                }
                if has("nan") {
                    batch = with_nan_input(&batch, 0);
                }
            }
            if has("noise") {
                let labels = batch.targets().shallow_clone();
                let noisy = batch.inputs().iter().map(|x| x.dropout(0.3, true));
                batch = Batch::new(noisy.collect::<Vec<_>>(), labels);
            }
            let report = run.trainer.step(&student, &batch)?;
            run.trainer.update(&mut run.optimizer)?;
            run.save_if_due(&report)?;
        }
        let report = run.trainer.end_epoch()?;
        run.save(-report.terms.total)?;
    }
    Ok(())
}

/// A port that was free a moment ago.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Ranks that are killed when the test fails.
struct Ranks(Vec<Child>);

impl Ranks {
    /// Starts the ranks `which` of `ranks`.
    fn start(
        which: impl IntoIterator<Item = usize>,
        ranks: usize,
        port: u16,
        folder: &Path,
        fault: &str,
    ) -> Self {
        let start = |rank: usize| {
            let mut command = Command::new(env::current_exe().unwrap());
            command.args(["rank", "--exact", "--nocapture", "--test-threads=1"]);
            command.env("RANK", rank.to_string()).env("WORLD_SIZE", ranks.to_string());
            command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
            command.env(FOLDER, folder).env(FAULT, fault);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        Self(which.into_iter().map(start).collect())
    }

    fn all(ranks: usize, folder: &Path, fault: &str) -> Self {
        Self::start(0..ranks, ranks, port(), folder, fault)
    }

    /// Waits for the end of the child at `index`; its exit status, `None` after a signal, and what it wrote to
    /// stderr.
    fn finish(&mut self, index: usize) -> (Option<i32>, String) {
        let (child, start) = (&mut self.0[index], Instant::now());
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "the process {index} hangs");
            thread::sleep(Duration::from_millis(20));
        };
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (status.code(), text)
    }

    /// Waits for all; asserts that each succeeds.
    fn succeed(mut self) {
        for index in 0..self.0.len() {
            let (status, text) = self.finish(index);
            assert_eq!(status, Some(0), "{text}");
        }
    }

    fn is_running(&mut self, index: usize) -> bool {
        self.0[index].try_wait().unwrap().is_none()
    }

    fn kill(&mut self, index: usize) {
        self.0[index].kill().unwrap();
        self.0[index].wait().unwrap();
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn newest(folder: &Path) -> PathBuf {
    let folders = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_complete = |path: &PathBuf| path.file_name().unwrap().len() == "snapshot-000000".len();
    folders.filter(is_complete).max().unwrap()
}

/// The student's weights in the newest snapshot.
fn final_weights(folder: &Path) -> Vec<u8> {
    fs::read(newest(folder).join("student.weights.safetensors")).unwrap()
}

/// The weights after a training of this number of ranks that nothing disturbs.
fn undisturbed(ranks: usize, folder: &Path) -> Vec<u8> {
    Ranks::all(ranks, folder, "").succeed();
    final_weights(folder)
}

#[test]
fn ranks_killed_twenty_times_are_errors_on_the_others_and_the_run_resumes_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let whole = undisturbed(2, &folder.path().join("whole"));
    let duration = start.elapsed();
    let mut rng = StdRng::seed_from_u64(11);
    let (mut kills, mut runs) = (0, 0);
    while kills < KILLS {
        let killed = folder.path().join(format!("killed{runs}"));
        runs += 1;
        assert!(
            runs <= 5 * KILLS,
            "{kills} kills in {runs} runs: most runs end before they are killed"
        );
        loop {
            let mut ranks = Ranks::all(2, &killed, "");
            if kills == KILLS {
                ranks.succeed();
                break;
            }
            let victim = rng.random_range(0..2);
            let end = Instant::now() + duration.mul_f64(rng.random_range(0.2..1.0));
            while Instant::now() < end && ranks.is_running(victim) {
                thread::sleep(Duration::from_millis(5));
            }
            if !ranks.is_running(victim) {
                ranks.succeed();
                break;
            }
            ranks.kill(victim);
            kills += 1;
            let (status, text) = ranks.finish(1 - victim);
            // Where the victim had nothing left to do but to exit, the other one has succeeded.
            assert!(matches!(status, Some(0 | FAILED)), "{status:?}: {text}");
        }
        assert!(final_weights(&killed) == whole, "weights differ after {kills} kills");
    }
    println!("{kills} kills in {runs} runs");
}

#[test]
fn a_rank_that_hangs_is_an_error_on_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut ranks = Ranks::all(3, folder.path(), "hangs:1");
    for index in [0, 2] {
        let (status, text) = ranks.finish(index);
        assert_eq!(status, Some(FAILED), "{text}");
    }
    assert!(ranks.is_running(1));
    ranks.kill(1);
    Ranks::all(3, folder.path(), "").succeed();
    let other = tempfile::tempdir().unwrap();
    assert!(final_weights(folder.path()) == undisturbed(3, other.path()));
}

#[test]
fn ranks_that_never_arrive_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    for (rank, word) in [(0, "open the store of the ranks"), (1, "store of rank 0 at 127.0.0.1:")] {
        let mut ranks = Ranks::start([rank], 2, port(), folder.path(), "");
        let (status, text) = ranks.finish(0);
        assert_eq!(status, Some(FAILED), "{text}");
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn a_taken_port_is_an_error_on_all_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut ranks = Ranks::start(0..2, 2, port, folder.path(), "");
    for index in 0..2 {
        let (status, text) = ranks.finish(index);
        assert_eq!(status, Some(FAILED), "{text}");
    }
}

#[test]
fn a_nan_on_one_rank_ends_all_and_the_run_resumes_from_the_last_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let mut ranks = Ranks::all(2, folder.path(), "nan:1");
    let (status, text) = ranks.finish(0);
    assert_eq!(status, Some(FAILED), "{text}");
    assert!(text.contains("rank 1 failed") && text.contains("input of modality"), "{text}");
    let (status, text) = ranks.finish(1);
    assert!(status == Some(FAILED) && text.contains("input of modality"), "{text}");
    drop(ranks);
    Ranks::all(2, folder.path(), "").succeed();
    let other = tempfile::tempdir().unwrap();
    assert!(final_weights(folder.path()) == undisturbed(2, other.path()));
}

#[test]
fn each_rank_continues_its_random_numbers() {
    let whole = tempfile::tempdir().unwrap();
    Ranks::all(2, whole.path(), "noise").succeed();
    let folder = tempfile::tempdir().unwrap();
    let mut ranks = Ranks::all(2, folder.path(), "noise,nan:1");
    for index in 0..2 {
        assert_eq!(ranks.finish(index).0, Some(FAILED));
    }
    Ranks::all(2, folder.path(), "noise").succeed();
    assert!(final_weights(folder.path()) == final_weights(whole.path()));
    let other = tempfile::tempdir().unwrap();
    assert!(final_weights(whole.path()) != undisturbed(2, other.path()));
}

#[test]
fn a_run_resumes_on_another_number_of_ranks() {
    let load = |folder: &Path| {
        let mut student = Tiny::with_widths(&[4, 4], Kind::Double);
        let file = newest(folder).join("student.weights.safetensors");
        weights::load(&mut student.vs, file).unwrap();
        support::values(&student.vs)
    };
    let alone = tempfile::tempdir().unwrap();
    undisturbed(1, alone.path());
    let expected = load(alone.path());
    // The first run ends after 7 steps, inside the second epoch; its last snapshot is that of step 6.
    for (first, second) in [(3, 2), (2, 1), (1, 3)] {
        let folder = tempfile::tempdir().unwrap();
        let mut ranks = Ranks::all(first, folder.path(), "nan:0");
        for index in 0..first {
            assert_eq!(ranks.finish(index).0, Some(FAILED));
        }
        Ranks::all(second, folder.path(), "").succeed();
        for (name, found) in load(folder.path()) {
            assert!(
                found.allclose(&expected[&name], 1e-12, 1e-14, false),
                "{name}: {first}, {second}"
            );
        }
    }
}
