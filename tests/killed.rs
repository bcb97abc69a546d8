//! A training that is killed repeatedly ends with the same bits as one that is not.
//!
//! The child process is the example `audio_visual` with `--run-dir DIR`, started again with `--resume`
//! after each SIGKILL.
#![cfg(all(feature = "paper", feature = "report"))]

#[path = "support/skip.rs"]
mod skip;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use g2d::record::Run;
use rand::{Rng, SeedableRng, rngs::StdRng};

const KILLS: u32 = 20;
const METHODS: [&str; 2] = ["g2d_smp", "g2d_partial"];

/// The example's executable, which `cargo test` builds for all tests.
fn example() -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap().parent().unwrap().join("examples");
    let path = folder.join("audio_visual").with_extension(std::env::consts::EXE_EXTENSION);
    path.exists().then_some(path)
}

fn start(example: &Path, folder: &Path, resume: bool) -> Child {
    let mut command = Command::new(example);
    command.args(["--smoke", "--batch-size", "4", "--methods", &METHODS.join(",")]);
    command.args(["--save-every", "3", "--run-dir"]).arg(folder);
    command.args(resume.then_some("--resume"));
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn finish(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Weights, reports and results of a comparison, without durations.
fn outcome(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let summary = fs::read(folder.join("summary.json")).unwrap();
    let mut summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    for method in METHODS {
        assert!(summary["methods"][method]["seconds_per_step"].take().is_f64());
    }
    let mut all = vec![("summary".to_owned(), serde_json::to_vec(&summary).unwrap())];
    for method in METHODS {
        let run = folder.join(method);
        let mut snapshots: Vec<_> = fs::read_dir(run.join("checkpoints"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        snapshots.sort();
        let newest = snapshots.last().unwrap();
        for file in ["student.weights.safetensors", "main.optimizer.safetensors"] {
            all.push((format!("{method}: {file}"), fs::read(newest.join(file)).unwrap()));
        }
        let run = Run::read(&run).unwrap();
        assert!(run.notes.is_empty(), "{:?}", run.notes);
        let epochs: Vec<_> = run.epochs.iter().map(|row| (&row.report, &row.metrics)).collect();
        assert_eq!(epochs.len(), 2);
        all.push((format!("{method}: epochs"), serde_json::to_vec(&epochs).unwrap()));
        all.push((format!("{method}: result"), serde_json::to_vec(&run.outcome).unwrap()));
    }
    all
}

#[test]
fn a_training_that_is_killed_twenty_times_ends_with_the_same_bits() {
    let Some(example) = example() else {
        skip::skipped("the example audio_visual is not built; run all tests");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let start_time = Instant::now();
    finish(start(&example, &whole, false));
    let duration = start_time.elapsed();
    let whole = outcome(&whole);

    let mut rng = StdRng::seed_from_u64(7);
    let (mut kills, mut runs) = (0, 0);
    while kills < KILLS {
        let killed = folder.path().join(format!("killed{runs}"));
        runs += 1;
        assert!(
            runs <= 10 * KILLS,
            "{kills} kills in {runs} runs: most runs end before they are killed"
        );
        loop {
            let mut child = start(&example, &killed, true);
            if kills < KILLS {
                let end = Instant::now() + duration.mul_f64(rng.random_range(0.0..0.9));
                while Instant::now() < end && child.try_wait().unwrap().is_none() {
                    thread::sleep(Duration::from_millis(5));
                }
                if child.try_wait().unwrap().is_none() {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    kills += 1;
                    continue;
                }
            }
            finish(child);
            break;
        }
        for ((name, expected), (_, found)) in whole.iter().zip(outcome(&killed)) {
            assert!(*expected == found, "{name} differs after {kills} kills in {runs} runs");
        }
    }
    println!("{kills} kills in {runs} runs");
}

#[test]
fn a_run_does_not_resume_with_other_settings() {
    let Some(example) = example() else {
        skip::skipped("the example audio_visual is not built; run all tests");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let run = |extra: &[&str]| {
        let mut command = Command::new(&example);
        command.args(["--smoke", "--methods", "joint", "--run-dir"]).arg(folder.path());
        command.args(extra).output().unwrap()
    };
    assert!(run(&[]).status.success());
    let refused = run(&["--resume", "--lr", "0.5"]);
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && message.contains("other settings"), "{message}");
    assert!(run(&["--resume"]).status.success());
}
