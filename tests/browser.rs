//! The report in headless Chromium; skipped, with a line, where none is installed.
#![cfg(feature = "report")]

mod common;

use std::{
    path::Path,
    process::{Command, Stdio},
};

use common::skipped;
use g2d::{
    EpochReport, Measurement, Modality,
    record::{Finding, Outcome, Recorder, Run, RunInfo, RunRecorder},
    report::Report,
};
use tch::Device;

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

fn record(folder: &Path) -> g2d::Result<Run> {
    let modalities = Modality::list(["audio", "video"]);
    let mut run = RunRecorder::create(folder)?;
    let info = RunInfo::new("G²D <in a browser>", &modalities, Device::Cpu)
        .teacher("video", [("val_accuracy", 76.25)])
        .label("val_accuracy", "validation accuracy", "%");
    run.begin(&info)?;
    for epoch in 0..3 {
        let report = EpochReport {
            epoch,
            steps: 1,
            skipped: 0,
            unfinished: 0,
            modalities: modalities.clone(),
            total: 1.0,
            task: 0.5,
            feature: vec![Some(0.25); 2],
            logit: vec![Some(0.125); 2],
            confidence: vec![Some(0.5), Some(0.75)],
            kappa: vec![1.0, 0.0],
            measurements: vec![Measurement::of("shapley", &modalities[0], 31.25)],
        };
        run.epoch(&report, &[("val_accuracy".to_owned(), 61.5 + epoch as f64)])?;
    }
    let text = "video is suppressed".to_owned();
    let diagnosis = vec![Finding { text, numbers: vec![("head accuracy".to_owned(), 27.125)] }];
    run.finish(&Outcome { scores: vec![("test_accuracy".to_owned(), 89.75)], diagnosis })?;
    Run::read(folder)
}

/// The page as the browser has it, and what the browser said.
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
    let [page, said] = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into());
    assert!(output.status.success(), "{browser}: {said}");
    (page, said)
}

#[test]
fn the_report_loads_without_errors_and_shows_the_numbers() {
    let there = |name: &&&str| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    let Some(browser) = NAMES.iter().find(there) else {
        return skipped(format!("none of {NAMES:?} is installed"));
    };
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    let run = record(&folder.path().join("run")).unwrap();
    Report::new(vec![run]).unwrap().write(&page).unwrap();
    let profile = folder.path().join("profile");
    let (dom, said) = load(browser, &page, &profile);
    assert!(!said.contains(":CONSOLE"), "the console has something to say: {said}");
    let shown = [
        "89.75",
        "63.5",
        "76.25",
        "31.2",
        "27.12",
        "video is suppressed",
        "G²D &lt;in a browser&gt;",
    ];
    shown.iter().for_each(|text| assert!(dom.contains(text), "{text} is not on the page"));
    assert_eq!(dom.matches("<svg ").count(), 6, "a figure for all that was recorded");

    // Would the console be heard? A page with an error in it.
    let broken = folder.path().join("broken.html");
    std::fs::write(&broken, "<script>missing()</script>").unwrap();
    assert!(load(browser, &broken, &profile).1.contains(":CONSOLE"));
}
