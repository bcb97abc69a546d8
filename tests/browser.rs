//! The report in headless Chromium. Skipped if no browser is installed.
#![cfg(feature = "report")]

#[path = "support/skip.rs"]
mod skip;

use std::{
    path::Path,
    process::{Command, Stdio},
};

use g2d::{
    EpochReport, Modality,
    diagnosis::{Diagnosis, Evidence, Metric, Thresholds},
    loss::Terms,
    record::{Outcome, Recorder, Run, RunFolder, RunInfo},
    report::Report,
    step::Measurement,
};
use skip::skipped;
use tch::Device;

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Records a run with everything that the demo records.
fn record(folder: &Path, name: &str, head: f64) -> g2d::Result<Run> {
    let modalities = Modality::list(["audio", "video"]);
    let mut run = RunFolder::create(folder)?;
    let info = RunInfo::new(name, &modalities, Device::Cpu)
        .config(&serde_json::json!({"epochs": 3, "distillation": {"alpha": 0.625}}))?
        .teacher("audio", [("val_accuracy", 61.75)])
        .teacher("video", [("val_accuracy", 76.25)])
        .label("val_accuracy", "validation accuracy", "%")
        .label("shapley", "Shapley contribution to accuracy", "points");
    run.begin(&info)?;
    for epoch in 0..3 {
        let each = |metric: &str, value: f64| Measurement::new(metric, &modalities[1], value);
        let report = EpochReport {
            epoch,
            steps: 1,
            skipped: 0,
            unfinished: 0,
            modalities: modalities.clone(),
            terms: Terms {
                total: 1.0,
                task: 0.5,
                feature: vec![Some(0.25); 2],
                logit: vec![Some(0.125); 2],
                head: Vec::new(),
                ensemble: None,
            },
            confidence: vec![Some(0.5), Some(0.75)],
            kappa: vec![1.0, 0.0],
            measurements: vec![each("gradient_norm", 1.5), each("loss_ratio", 2.5)],
        };
        let metrics = [("", 61.5 + epoch as f64), ("_audio", 57.25), ("_video", head)];
        let metrics = metrics.map(|(of, value)| (format!("val_accuracy{of}"), value));
        run.epoch(&report, &metrics)?;
    }
    let mut evidence = Evidence::new(Metric::accuracy(6), &modalities);
    evidence.teachers = vec![Some(0.6175), Some(0.7625)];
    evidence.heads = vec![Some(0.5725), Some(head / 100.0)];
    run.finish(&Outcome {
        scores: vec![("test_accuracy".to_owned(), 89.75)],
        measurements: vec![Measurement::new("shapley", &modalities[0], 31.25)],
        diagnosis: Some(Diagnosis::from_evidence(&evidence, &Thresholds::default())?),
    })?;
    Run::read(folder)
}

/// The DOM of a page, and the log of the browser.
fn load(browser: &str, page: &Path, profile: &Path) -> (String, String) {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--v=0", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [dom, log] = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into());
    assert!(output.status.success(), "{browser}: {log}");
    (dom, log)
}

#[test]
fn the_report_loads_without_errors_and_contains_the_numbers() {
    let is_installed = |name: &&&str| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    let Some(browser) = NAMES.iter().find(is_installed) else {
        return skipped(format!("none of {NAMES:?} is installed"));
    };
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    let joint = record(&folder.path().join("joint"), "G²D <in a browser>", 27.125).unwrap();
    let smp = record(&folder.path().join("smp"), "with SMP", 70.5).unwrap();
    Report::new(vec![joint.clone()]).unwrap().write(&page).unwrap();
    let profile = folder.path().join("profile");
    let load = |page: &Path| {
        let (dom, log) = load(browser, page, &profile);
        assert!(!log.contains(":CONSOLE"), "the console has messages: {log}");
        dom
    };
    let dom = load(&page);
    let shown = [
        "89.75",
        "63.5",
        "76.25",
        "31.2",
        "The video encoder is suppressed: the accuracy of its head is 27.1 %, that of its teacher 76.2 %.",
        "Train video first: use Sequential with a first stage of half of the epochs.",
        "G²D &lt;in a browser&gt;",
        "distillation.alpha",
        "0.625",
    ];
    shown.iter().for_each(|text| assert!(dom.contains(text), "{text} is not on the page"));
    assert_eq!(dom.matches("<svg ").count(), 8, "a figure for all that was recorded");

    Report::new(vec![joint, smp]).unwrap().write(&page).unwrap();
    let dom = load(&page);
    let shown = ["2 runs side by side", "with SMP", "No imbalance was found", "89.75"];
    shown.iter().for_each(|text| assert!(dom.contains(text), "{text} is not on the page"));

    // The log contains the console: a page with an error appears in it.
    let broken = folder.path().join("broken.html");
    std::fs::write(&broken, "<script>missing()</script>").unwrap();
    assert!(self::load(browser, &broken, &profile).1.contains(":CONSOLE"));
}
