//! The whole recipe, as processes: a plain PyTorch program and the example `audio_visual`.

use std::{
    cell::RefCell,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    rc::Rc,
};

use anyhow::{Context, Result, ensure};
use ndarray::{Array1, ArrayD};
use ndarray_npy::write_npy;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::{
    clock::Clock,
    results::{BenchmarkResults, number, print_table},
    rounds::{Rounds, TimedStep},
};

/// The modalities in both programs' results, and the student.
const MODELS: [&str; 3] = ["audio", "image", "student"];

/// The recipe that both programs run.
pub struct Recipe {
    /// A folder in the layout of AV-MNIST.
    data: PathBuf,
    epochs: u64,
    /// Epochs in which one encoder is suppressed.
    stage: u64,
    threads: i32,
    clock: Clock,
    /// Holds generated data and the example's output.
    folder: tempfile::TempDir,
}

/// The test accuracies of a program, by model, one per round.
type Accuracies = Rc<RefCell<[Vec<f64>; 3]>>;
/// Runs a program with a seed; its seconds and test accuracies.
type Program = Box<dyn Fn(&Recipe, u64) -> Result<(f64, Value)>>;

impl Recipe {
    /// Two epochs of each training on `data`, or on generated data of the size of AV-Digits; one epoch on
    /// a few samples for a smoke test.
    pub fn new(data: Option<PathBuf>, smoke: bool, threads: i32, clock: Clock) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = match data {
            Some(data) => data,
            None => {
                let sizes = if smoke { [32, 16, 16] } else { [1500, 500, 1000] };
                let data = folder.path().join("data");
                generate(&data, sizes)?;
                data
            }
        };
        let (epochs, stage) = if smoke { (1, 1) } else { (2, 1) };
        Ok(Self { data, epochs, stage, threads, clock, folder })
    }

    /// Runs the programs in turns, `rounds` times with another seed each, and adds their ratios.
    pub fn measure(self, results: &mut BenchmarkResults, rounds: usize) -> Result<()> {
        let Some(python) = env::var_os("G2D_PYTHON") else {
            eprintln!("skipped: G2D_PYTHON is not set, so the recipe is not compared to PyTorch");
            return Ok(());
        };
        let this = Rc::new(self);
        let mut runs = Rounds::without_warm_up(this.clock);
        let mut accuracies: Vec<(&str, Accuracies)> = Vec::new();
        let mut add = |name, run: Program| {
            let found = Accuracies::default();
            accuracies.push((name, Rc::clone(&found)));
            let (this, mut seed) = (Rc::clone(&this), 0);
            let step: TimedStep = Box::new(move || {
                seed += 1;
                let (seconds, accuracy) = run(&this, seed)?;
                for (values, model) in found.borrow_mut().iter_mut().zip(MODELS) {
                    let value = accuracy[model].as_f64();
                    values.push(value.with_context(|| format!("no accuracy of {model}"))?);
                }
                Ok(seconds)
            });
            runs.add_timed(name, step);
        };
        add("recipe_pytorch", Box::new(move |this, seed| this.reference(&python, seed)));
        add("recipe_fp32", Box::new(|this, seed| this.example("full", seed)));
        add("recipe_bf16", Box::new(|this, seed| this.example("bf16", seed)));
        let times = runs.run(rounds)?;

        let row = |(name, found): &(&str, Accuracies)| {
            let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
            let seconds = number(times.median(name));
            let accuracies = found.borrow().each_ref().map(|values| format!("{:.1}", mean(values)));
            [vec![(*name).to_owned(), seconds], accuracies.to_vec()].concat()
        };
        print_table(
            "The whole recipe: median seconds, mean test accuracies in %",
            &["program", "s", MODELS[0], MODELS[1], MODELS[2]],
            accuracies.iter().map(row).collect(),
        );
        for name in ["recipe_fp32", "recipe_bf16"] {
            results.add_ratio(name, &times, name, "recipe_pytorch");
        }
        Ok(())
    }

    /// Runs the plain PyTorch program; its seconds and test accuracies.
    fn reference(&self, python: &std::ffi::OsStr, seed: u64) -> Result<(f64, Value)> {
        let mut command = Command::new(python);
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/recipe.py"))
            .arg(&self.data)
            .args([self.epochs, self.stage, seed].map(|n| n.to_string()))
            .arg(self.threads.to_string());
        let (seconds, output) = self.run(&mut command)?;
        let mut found: Value = serde_json::from_slice(&output).context("output of recipe.py")?;
        Ok((seconds, found["accuracy"].take()))
    }

    /// Runs the example; its seconds and test accuracies.
    fn example(&self, precision: &str, seed: u64) -> Result<(f64, Value)> {
        let exe = env::current_exe()?;
        let folder = exe.parent().and_then(Path::parent).context("no folder of builds")?;
        let example = folder.join("examples").join("audio_visual");
        ensure!(
            example.exists(),
            "expected {}, found none; build it with `cargo build --example audio_visual`",
            example.display()
        );
        let out = self.folder.path().join("out");
        let (seed, threads) = (seed.to_string(), self.threads.to_string());
        let (epochs, stage) = (self.epochs.to_string(), self.stage.to_string());
        let mut command = Command::new(example);
        command.arg("--data").arg(&self.data).arg("--out").arg(&out);
        command.args(["--dataset", "av-mnist", "--methods", "g2d_smp", "--no-probes"]);
        command.args(["--epochs", &epochs, "--stage", &stage, "--seed", &seed]);
        command.args(["--threads", &threads, "--jobs", "1", "--precision", precision]);
        command.args(["--suppressed-mode", "evaluation"]);
        let (seconds, _) = self.run(&mut command)?;
        let summary: Value = serde_json::from_slice(&fs::read(out.join("summary.json"))?)?;
        let [audio, image] = ["audio", "image"].map(|m| &summary["teachers"][m]["test_accuracy"]);
        let student = &summary["methods"]["g2d_smp"]["test_accuracy"];
        Ok((seconds, serde_json::json!({ "audio": audio, "image": image, "student": student })))
    }

    /// Runs a program to its end; its seconds and its output.
    fn run(&self, command: &mut Command) -> Result<(f64, Vec<u8>)> {
        let mut output = Vec::new();
        let seconds = self.clock.time_child(|| {
            let found = command.stderr(Stdio::piped()).output()?;
            let message = String::from_utf8_lossy(&found.stderr);
            ensure!(found.status.success(), "{command:?} failed: {message}");
            output = found.stdout;
            Ok(())
        })?;
        Ok((seconds, output))
    }
}

/// Writes a folder in the layout of AV-MNIST: a pattern per class beneath noise, weaker in images.
fn generate(folder: &Path, sizes: [i64; 3]) -> Result<()> {
    for (split, n) in ["train", "val", "test"].into_iter().zip(sizes) {
        let labels = Tensor::arange(n, (Kind::Int64, Device::Cpu)).remainder(10);
        for (seed, name, side, strength) in [(1, "audio", 112, 60.0), (2, "image", 28, 25.0)] {
            tch::manual_seed(seed); // the same patterns in each split
            let patterns = Tensor::randn([10, side * side], (Kind::Float, Device::Cpu));
            tch::manual_seed(n);
            let noise = Tensor::randn([n, side * side], (Kind::Float, Device::Cpu)) * 40.0;
            let samples = patterns.index_select(0, &labels) * strength + noise + 128.0;
            let samples = samples.clamp(0.0, 255.0).to_kind(Kind::Uint8).flatten(0, -1);
            let [n, side] = [n, side].map(|size| size as usize);
            let shape = if name == "audio" { vec![n, side, side] } else { vec![n, side * side] };
            let samples = ArrayD::from_shape_vec(shape, Vec::<u8>::try_from(samples)?)?;
            fs::create_dir_all(folder.join(name))?;
            write_npy(folder.join(name).join(format!("{split}_data.npy")), &samples)?;
        }
        let labels = Array1::from_vec(Vec::<i64>::try_from(labels)?);
        write_npy(folder.join(format!("{split}_labels.npy")), &labels)?;
    }
    Ok(())
}
