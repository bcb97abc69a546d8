//! Plots and the page; tests/browser.rs loads the page in a browser.

use g2d::{
    Modality,
    diagnosis::{Advice, Diagnosis, Finding, FindingKind, Metric},
    record::{Outcome, Recorder, Run, RunFolder},
    report::{Chart, Colour, Level, Mark, Plot, Report, Row, RowChart, Theme},
};

use crate::{
    record::{epoch, info, metrics, recorded, recorded_steps, step_row},
    support::assert_error,
};

fn plots(run: &Run) -> Vec<Plot> {
    Report::new(vec![run.clone()]).unwrap().plots()
}

/// A recorded run of four epochs in a temporary folder.
fn example_run() -> (tempfile::TempDir, Run) {
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), "a run");
    let run = Run::read(folder.path()).unwrap();
    (folder, run)
}

#[test]
fn a_run_has_plots_of_all_that_was_recorded() {
    let (_folder, run) = example_run();
    let plots = plots(&run);
    let names: Vec<&str> = plots.iter().map(|plot| plot.name.as_str()).collect();
    let expected = [
        "val_accuracy",
        "kappa",
        "confidence",
        "loss",
        "distillation",
        "probe_gradient_norm",
        "probe_shapley",
        "end_linear_probe",
    ];
    assert_eq!(names, expected);
    let Chart::Lines(curves) = &plots[0].chart else { panic!("curves are lines") };
    let names: Vec<&str> = curves.series.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["fused model", "audio head", "video head"]);
    assert_eq!(curves.series[1].points[3], (4.0, 43.25), "after four epochs");
    let levels: Vec<_> = curves.levels.iter().map(|l| (l.name.as_str(), l.value)).collect();
    assert_eq!(levels, [("audio teacher", 62.5), ("video teacher", 76.25)]);
    assert_eq!(curves.y, "Validation accuracy (%)");
    let Chart::Lanes(kappa) = &plots[1].chart else { panic!("κ is in lanes") };
    assert_eq!(kappa.lanes[1].spans[1..3], [(1.0, 2.0, 0.0), (2.0, 3.0, 1.0)]);
    let Chart::Rows(shapley) = &plots[6].chart else { panic!("shares are bars") };
    let bars: Vec<_> = shapley.rows.iter().map(|r| (r.name.as_str(), r.value)).collect();
    assert_eq!(bars, [("audio", 41.5), ("video", 12.25)]);
    let Chart::Rows(probe) = &plots[7].chart else { panic!("what is measured once is bars") };
    assert_eq!(probe.rows.len(), 1);
    assert_eq!(probe.rows[0].value, 57.25);
}

#[test]
fn recorded_steps_are_plotted_and_many_are_thinned() {
    let (folder, _) = example_run();
    recorded_steps(folder.path());
    let mut run = Run::read(folder.path()).unwrap();
    let lines = |run: &Run, name: &str| {
        let plot = plots(run).into_iter().find(|plot| plot.name == name).unwrap();
        let Chart::Lines(chart) = plot.chart else { panic!("{name} is lines") };
        assert_eq!(chart.x, "Steps trained");
        chart.series
    };
    let rates = lines(&run, "steps_lr");
    let names: Vec<&str> = rates.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names, ["all other parameters", "head"]);
    assert_eq!(lines(&run, "steps_gradient_norm")[0].points[2], (3.0, 4.0));
    assert_eq!(lines(&run, "steps_loss")[0].points.len(), 12);
    run.steps = (0..1200).map(step_row).collect();
    let points = &lines(&run, "steps_gradient_norm")[0].points;
    assert_eq!((points.len(), points[0]), (400, (2.0, 3.0)), "means of three");
}

#[test]
fn every_plot_is_svg_with_a_title_and_png_with_text() {
    let (_folder, run) = example_run();
    for plot in plots(&run) {
        let light = plot.svg(Theme::Light).unwrap();
        assert!(light.contains("<title id=") && light.contains("role=\"img\""), "{}", plot.name);
        assert!(
            light.contains("Epochs trained")
                || plot.name.ends_with("_shapley")
                || plot.name.starts_with("end_")
        );
        assert_ne!(light, plot.svg(Theme::Dark).unwrap());
        let png = image::load_from_memory(&plot.png(Theme::Light).unwrap()).unwrap();
        assert_eq!(png.width(), 1520);
        // The embedded font draws the title on machines without fonts too.
        let corner = png.crop_imm(20, 20, 200, 50).to_luma8();
        assert!(corner.pixels().filter(|p| p.0[0] < 100).count() > 100, "{}", plot.name);
    }
}

#[test]
fn a_chart_of_rows_draws_points_intervals_and_levels_without_nan() {
    let row = |name: &str, value| Row {
        name: name.to_owned(),
        value,
        interval: Some([value - 1.0, f64::NAN]),
        colour: Colour::Hue(0),
    };
    let chart = RowChart {
        x: "Accuracy (%)".to_owned(),
        mark: Mark::Point,
        rows: vec![row("joint", 75.25), row("G²D", 89.5), row("failed", f64::NAN)],
        levels: vec![Level { name: "teacher".into(), value: 82.0, colour: Colour::Hue(1) }],
    };
    let [name, title, caption] = ["methods", "Methods", "By method."].map(str::to_owned);
    let svg = Plot { name, title, caption, chart: Chart::Rows(chart) }.svg(Theme::Light).unwrap();
    for text in ["joint", "G²D", "failed", "75.2", "89.5", "teacher", "Accuracy (%)"] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(!svg.contains("NaN"));
}

#[test]
fn the_page_shows_the_numbers_and_loads_no_other_file() {
    let (_folder, run) = example_run();
    let html = Report::new(vec![run]).unwrap().html().unwrap();
    let shown = [
        "53.38",                                                               // the result
        "The video encoder is suppressed: the accuracy of its head is 27.0 %", // the diagnosis
        "Train video first: use Sequential::new([150]).",
        "gain of the head relative to its teacher <b>17.3 %</b>", // one of its numbers
        "76.25",                                                  // a teacher
        "optimizer.lr",
        "0.125",
        "2.13.0",
        "All 4 epochs",
    ];
    shown.iter().for_each(|text| assert!(html.contains(text), "{text}"));
    for external in ["<script", "src=", "@import", "url(", "href=\"http"] {
        assert!(!html.contains(external), "{external}");
    }
}

#[test]
fn text_from_files_is_escaped() {
    let markup = "<img src=x onerror=alert(1)>&\"'";
    let folder = tempfile::tempdir().unwrap();
    let mut run = RunFolder::create(folder.path()).unwrap();
    let config = serde_json::json!({ markup: markup });
    let info = info(markup).config(&config).unwrap().label("val_accuracy", markup, markup);
    run.begin(&info).unwrap();
    let mut metrics = metrics(0);
    metrics.push((markup.to_owned(), 1.0));
    run.epoch(&epoch(0), &metrics).unwrap();
    let finding = Finding {
        kind: FindingKind::Suppressed,
        modality: Modality::new(markup),
        numbers: vec![(markup.to_owned(), 2.0)],
        advice: Advice::LengthenStage { first: Modality::new(markup), epochs: 2 },
    };
    let metric = Metric { name: markup.to_owned(), ..Metric::accuracy(2) };
    let diagnosis = Some(Diagnosis { metric, findings: vec![finding] });
    let scores = vec![(markup.to_owned(), 3.0)];
    run.finish(&Outcome { scores, diagnosis, ..Default::default() }).unwrap();
    let run = Run::read(folder.path()).unwrap();
    for runs in [vec![run.clone()], vec![run.clone(), run]] {
        let html = Report::new(runs).unwrap().html().unwrap();
        assert!(!html.contains("<img"));
        assert!(html.contains("&lt;img src=x"));
    }
}

#[test]
fn the_page_distinguishes_an_empty_diagnosis_from_none() {
    let (_folder, mut run) = example_run();
    let page = |run: &Run| Report::new(vec![run.clone()]).unwrap().html().unwrap();
    run.outcome.as_mut().unwrap().diagnosis.as_mut().unwrap().findings.clear();
    assert!(page(&run).contains("No imbalance was found, judged by accuracy."));
    run.outcome.as_mut().unwrap().diagnosis = None;
    assert!(page(&run).contains("No diagnosis was recorded."));
}

#[test]
fn a_report_of_several_runs_compares_them() {
    let (_folder, run) = example_run();
    let mut other = run.clone();
    other.info.name = "another".to_owned();
    other.outcome.as_mut().unwrap().scores[0].1 = 61.5;
    let report = Report::new(vec![run, other]).unwrap();
    let names: Vec<String> = report.plots().into_iter().map(|plot| plot.name).collect();
    let metrics = ["val_accuracy", "val_accuracy_audio", "val_accuracy_video", "kappa"];
    assert_eq!(names, metrics);
    let Chart::Lines(curves) = &report.plots()[0].chart else { panic!("curves are lines") };
    let names: Vec<&str> = curves.series.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["a run", "another"]);
    let html = report.html().unwrap();
    for text in ["53.38", "61.5", "another", "2 runs side by side"] {
        assert!(html.contains(text), "{text}");
    }
}

#[test]
fn a_run_without_epochs_has_a_page_and_an_empty_report_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    RunFolder::create(folder.path()).unwrap().begin(&info("young")).unwrap();
    let run = Run::read(folder.path()).unwrap();
    let path = folder.path().join("not/yet/there/report.html");
    Report::new(vec![run]).unwrap().write(&path).unwrap();
    let html = std::fs::read_to_string(path).unwrap();
    assert!(html.contains("No epoch has been recorded") && html.contains("unfinished"));
    assert_error(Report::new(Vec::new()), &["at least one", "Run::read"]);
}
