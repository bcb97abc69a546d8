//! Steps of several ranks on this host, against as many processes that train alone at the same time.

use std::{
    env, fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use g2d::{
    distributed::{GroupConfig, ProcessGroup, Reduction},
    trainer::Builder,
};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::{
    cremad::{CremadSetup, InputShape},
    memory::MemoryProbe,
    network::{Network, StepCost, print_predictions},
    results::{BenchmarkResults, number, print_table},
    rounds::quantile,
    steps::{TrainingPhase, in_group},
};

const PHASES: [(&str, TrainingPhase); 2] =
    [("joint", TrainingPhase::Joint), ("suppressed", TrainingPhase::Suppressed)];
/// The part of a reduction that is hidden where backward computes on another device: an assumption.
const HIDDEN_ON_DEVICE: f64 = 0.6;
/// Exchanges that are timed together, as one takes some microseconds.
const EXCHANGES: usize = 50;

/// What a rank has measured, one value per round.
#[derive(Debug, Default, Serialize, Deserialize)]
struct RankTimes {
    /// Seconds of a step, by phase.
    phases: Vec<PhaseTimes>,
    /// Seconds of the reduction of one number.
    exchange: Vec<f64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct PhaseTimes {
    alone: Vec<f64>,
    grouped: Vec<f64>,
    /// The reduction of the same gradients, while nothing is computed.
    reduction: Vec<f64>,
    /// Bytes of the gradients that are reduced.
    gradients: f64,
    /// Bytes that all ranks have sent in a step.
    sent: Vec<f64>,
}

/// Measures as one rank of the group of this process's launcher, and prints the times as JSON.
pub fn measure_rank(shape: InputShape, rounds: usize) -> Result<()> {
    let group = ProcessGroup::from_env(&GroupConfig::default())?;
    let mut times = RankTimes::default();
    for (_, phase) in PHASES {
        let (mut alone, mut grouped) =
            (in_group(shape, phase, None)?, in_group(shape, phase, Some(&group))?);
        let mut found =
            PhaseTimes { gradients: gradient_bytes(shape, phase)?, ..PhaseTimes::default() };
        let buffer = Tensor::ones([(found.gradients / 4.0) as i64], (Kind::Float, Device::Cpu));
        let buckets = buffer.split(25 << 18, 0);
        let reduce = || {
            let mut each = buckets.iter();
            each.try_for_each(|bucket| Ok(group.all_reduce(bucket, Reduction::Mean)?))
        };
        for round in 0..=rounds {
            let alone = timed(&group, &mut alone)?;
            let before = sent()?;
            let grouped = timed(&group, &mut grouped)?;
            group.barrier()?;
            let sent = sent()? - before;
            let reduction = timed(&group, &mut { reduce })?;
            if round > 0 {
                found.alone.push(alone);
                found.grouped.push(grouped);
                found.reduction.push(reduction);
                found.sent.push(sent);
            }
        }
        times.phases.push(found);
    }
    let number = Tensor::ones([1], (Kind::Double, Device::Cpu));
    let mut exchanges =
        || (0..EXCHANGES).try_for_each(|_| Ok(group.all_reduce(&number, Reduction::Mean)?));
    for _ in 0..=rounds {
        times.exchange.push(timed(&group, &mut exchanges)? / EXCHANGES as f64);
    }
    println!("{}", serde_json::to_string(&times)?);
    Ok(())
}

/// The seconds of `work`, which all ranks begin together.
fn timed(group: &ProcessGroup, work: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
    group.barrier()?;
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

/// The bytes of the gradients that a step of one process leaves.
fn gradient_bytes(shape: InputShape, phase: TrainingPhase) -> Result<f64> {
    let setup = CremadSetup::shared(shape, true)?;
    let teachers = setup.borrow().cached_teachers();
    let mut trainer = setup
        .borrow()
        .trainer(|builder| teachers.into_iter().fold(phase.schedule(builder), Builder::teacher))?;
    setup.borrow_mut().step(|student, batch| Ok(trainer.step(student, batch).map(drop)?))?;
    let bytes = setup.borrow().gradient_elements() as f64 * 4.0;
    Ok(bytes)
}

/// The bytes that all processes of this host have sent over the loopback interface.
fn sent() -> Result<f64> {
    let text = fs::read_to_string("/proc/net/dev").context("traffic is measured on Linux only")?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("lo:"));
    let field = line.and_then(|line| line.split_whitespace().nth(8));
    Ok(field.context("no loopback interface in /proc/net/dev")?.parse()?)
}

/// Measures 1, 2 and 4 ranks, with one thread each, and adds their ratios.
pub fn measure(results: &mut BenchmarkResults, smoke: bool, rounds: usize) -> Result<()> {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: several ranks are measured on Linux only");
        return Ok(());
    }
    let sizes: &[usize] = if smoke { &[2] } else { &[1, 2, 4] };
    let (mut rows, mut measured) = (Vec::new(), Vec::new());
    for &ranks in sizes {
        let rounds = rounds.to_string();
        let mut args = vec!["--rank", rounds.as_str()];
        args.extend(smoke.then_some("--smoke"));
        let all = run_ranks(ranks, &args)?;
        let all = all.iter().map(|text| serde_json::from_str(text.trim()));
        let all: Vec<RankTimes> = all.collect::<Result<_, _>>().context("output of a rank")?;
        for (i, (name, _)) in PHASES.into_iter().enumerate() {
            let found = Measured::new(&all, i, ranks);
            rows.push(found.row(name, ranks));
            if ranks == 2 {
                results.add(&format!("ranks_{name}"), found.ratio);
            }
            measured.push((ranks, name, found));
        }
    }
    let header = [
        "ranks",
        "step",
        "alone ms",
        "group ms",
        "ratio",
        "reduction ms",
        "hidden",
        "MB sent",
        "exchange µs",
    ];
    print_table("Ranks with one thread each, against processes that train alone", &header, rows);
    if !smoke {
        memory(results)?;
        predict(&measured);
    }
    Ok(())
}

/// The medians over the rounds of the means over the ranks.
struct Measured {
    alone: f64,
    grouped: f64,
    ratio: f64,
    reduction: f64,
    gradients: f64,
    /// Bytes that each rank sends.
    sent: f64,
    exchange: f64,
}

impl Measured {
    fn new(all: &[RankTimes], phase: usize, ranks: usize) -> Self {
        let mean = |values: &dyn Fn(&RankTimes) -> &[f64]| -> Vec<f64> {
            let rounds = values(&all[0]).len();
            let each = |round| all.iter().map(|rank| values(rank)[round]).sum::<f64>();
            (0..rounds).map(|round| each(round) / all.len() as f64).collect()
        };
        let median = |values: Vec<f64>| quantile(values, 0.5);
        let alone = mean(&|rank| &rank.phases[phase].alone);
        let grouped = mean(&|rank| &rank.phases[phase].grouped);
        let ratios = grouped.iter().zip(&alone).map(|(grouped, alone)| grouped / alone).collect();
        Self {
            ratio: median(ratios),
            alone: median(alone),
            grouped: median(grouped),
            reduction: median(mean(&|rank| &rank.phases[phase].reduction)),
            gradients: all[0].phases[phase].gradients,
            sent: median(mean(&|rank| &rank.phases[phase].sent)) / ranks as f64,
            exchange: median(mean(&|rank| &rank.exchange)),
        }
    }

    /// The part of the reduction that does not lengthen the step.
    fn hidden(&self) -> f64 {
        1.0 - (self.grouped - self.alone - 2.0 * self.exchange) / self.reduction
    }

    fn row(&self, name: &str, ranks: usize) -> Vec<String> {
        let hidden = if ranks > 1 { format!("{:.2}", self.hidden()) } else { String::new() };
        let ratio = format!("{:.3}", self.ratio);
        let [alone, grouped, reduction] =
            [self.alone, self.grouped, self.reduction].map(|s| number(s * 1e3));
        let (sent, exchange) = (number(self.sent * 1e-6), number(self.exchange * 1e6));
        vec![
            ranks.to_string(),
            name.to_owned(),
            alone,
            grouped,
            ratio,
            reduction,
            hidden,
            sent,
            exchange,
        ]
    }
}

/// Adds the peak memory of a step of two ranks, relative to that of one process.
fn memory(results: &mut BenchmarkResults) -> Result<()> {
    for (name, _) in PHASES {
        let alone = MemoryProbe::new(name, 16).peak_in_new_process(1)?;
        let probe = format!("ranks_{name}:16");
        let all = run_ranks(2, &["--memory", &probe])?;
        let peaks = all.iter().map(|text| text.trim().parse::<f64>());
        let peaks: Vec<f64> = peaks.collect::<Result<_, _>>().context("output of a rank")?;
        println!("peak memory, {name}: {} MiB alone, {peaks:.0?} MiB of two ranks", number(alone));
        results.add(&format!("ranks_memory_{name}"), peaks[0].max(peaks[1]) / alone);
    }
    Ok(())
}

/// Fits the model to two ranks, and compares its prediction for four with what was measured.
fn predict(measured: &[(usize, &'static str, Measured)]) {
    let mut costs = Vec::new();
    for (name, _) in PHASES {
        let find = |n| measured.iter().find(|(ranks, phase, _)| *ranks == n && *phase == name);
        let (Some((.., two)), Some((.., four))) = (find(2), find(4)) else { continue };
        let loopback = Network {
            latency: two.exchange / 2.0, // an exchange of two ranks is two messages
            bandwidth: two.gradients / two.reduction,
        };
        // All ranks share the cores that copy: the bandwidth of each halves.
        let shared = Network { bandwidth: loopback.bandwidth / 2.0, ..loopback };
        let cost = StepCost {
            alone: four.alone,
            bytes: two.gradients,
            hidden: two.hidden().clamp(0.0, 1.0),
        };
        println!(
            "model, {name}: 4 ranks {} ms predicted, {} ms measured",
            number(shared.step(cost, 4) * 1e3),
            number(four.grouped * 1e3),
        );
        costs.push((name, StepCost { alone: two.alone, ..cost }));
    }
    print_predictions("Step time relative to one process, predicted for this step time", &costs);
    let on_device = |cost: &StepCost| StepCost { alone: 0.05, hidden: HIDDEN_ON_DEVICE, ..*cost };
    let fast: Vec<_> = costs.iter().map(|(name, cost)| (*name, on_device(cost))).collect();
    print_predictions(
        "Step time relative to one process, predicted for a device with a step of 50 ms",
        &fast,
    );
}

/// Runs this program as `ranks` ranks and returns what each prints.
fn run_ranks(ranks: usize, args: &[&str]) -> Result<Vec<String>> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let start = |rank: usize| -> Result<Child> {
        let mut command = Command::new(env::current_exe()?);
        command.args(args).args(["--threads", "1"]).stdout(Stdio::piped());
        let (rank, ranks) = (rank.to_string(), ranks.to_string());
        command.env("RANK", &rank).env("LOCAL_RANK", &rank).env("WORLD_SIZE", ranks);
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", &port);
        command.spawn().context("start a rank")
    };
    let children: Vec<_> = (0..ranks).map(start).collect::<Result<_>>()?;
    let end = |child: Child| {
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "a rank failed with {}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    };
    children.into_iter().map(end).collect()
}
