//! What a step and an epoch report, by hand and through files.

use g2d::{
    Batch, EpochReport, Modality, StepOutcome, Student,
    loss::Terms,
    loss::{Classification, Distillation},
    schedule::Progress,
    step::{Measurement, StepValues},
};

use crate::support::{Kappa, Tiny, assert_number};

#[test]
fn reports_and_epoch_means_by_hand() {
    let student = Tiny::linear(2);
    let loss =
        Classification::new(Distillation { alpha: 0.5, beta: 0.0, ..Distillation::default() });
    let mut trainer =
        student.taught(loss).scheduler(Kappa(vec![0.25, 1.0])).build(&student).unwrap();
    let mut told = Vec::new();
    let at = |epoch, step, total_steps| Progress { epoch, step, total_steps };
    for (step, rows) in [2, 6].into_iter().enumerate() {
        assert_eq!(trainer.progress(), at(0, step as u64, step as u64));
        let report = trainer.step(&student, &student.batch(rows, rows as f64)).unwrap();
        let read = report.read().unwrap();
        assert_eq!(read.at, at(0, step as u64, step as u64));
        assert_eq!((report.at, report.batch_size), (read.at, rows));
        assert_eq!(read.kappa, [0.25, 1.0]);
        assert_eq!(read.terms.total, report.terms.total.double_value(&[]));
        assert_eq!(read.terms.task, report.terms.task.double_value(&[]));
        for m in 0..2 {
            let term = report.terms.feature[m].as_ref().unwrap();
            assert_eq!(read.terms.feature[m], Some(term.double_value(&[])));
            let rho = report.confidence[m].as_ref().unwrap().double_value(&[]);
            assert_eq!(read.confidence[m], Some(rho));
        }
        assert_eq!(read.terms.logit, [None, None]);
        let weighted = 0.5 * (read.terms.feature[0].unwrap() + read.terms.feature[1].unwrap());
        assert_number(read.terms.total, read.terms.task + weighted);
        told.push(read);
    }
    let epoch = trainer.end_epoch().unwrap();
    let mean = |a: f64, b: f64| (2.0 * a + 6.0 * b) / 8.0; // 2 and 6 samples
    assert_eq!((epoch.epoch, epoch.steps), (0, 2));
    assert_number(epoch.terms.total, mean(told[0].terms.total, told[1].terms.total));
    assert_number(epoch.terms.task, mean(told[0].terms.task, told[1].terms.task));
    for m in 0..2 {
        let feature = mean(told[0].terms.feature[m].unwrap(), told[1].terms.feature[m].unwrap());
        assert_number(epoch.terms.feature[m].unwrap(), feature);
        let rho = mean(told[0].confidence[m].unwrap(), told[1].confidence[m].unwrap());
        assert_number(epoch.confidence[m].unwrap(), rho);
    }
    assert_eq!(epoch.terms.logit, [None, None]);
    assert_eq!(epoch.kappa, [0.25, 1.0]);
    assert_eq!(epoch.modalities, student.modalities());

    assert_eq!(trainer.progress(), at(1, 0, 2));
    let alone = trainer.step(&student, &student.batch(3, 0.0)).unwrap().read().unwrap();
    let epoch = trainer.end_epoch().unwrap();
    assert_eq!((epoch.epoch, epoch.steps), (1, 1));
    assert_number(epoch.terms.total, alone.terms.total); // nothing of the first epoch is left in it
    assert_eq!(trainer.progress(), at(2, 0, 3));
}

/// What a step and an epoch said, with every bit, through JSON and TOML.
#[test]
fn reports_go_through_files() {
    let student = Tiny::linear(2);
    let mut trainer = student.taught(Classification::default()).build(&student).unwrap();
    let batch: Batch = student.batch(4, 0.0);
    let step = trainer.step(&student, &batch).unwrap().read().unwrap();
    let epoch = trainer.end_epoch().unwrap();
    let json = serde_json::to_string(&step).unwrap();
    assert_eq!(serde_json::from_str::<StepValues>(&json).unwrap(), step);
    let json = serde_json::to_string(&epoch).unwrap();
    assert_eq!(serde_json::from_str::<EpochReport>(&json).unwrap(), epoch);
    assert_eq!(
        serde_json::from_str::<EpochReport>(&json).unwrap().terms.total.to_bits(),
        epoch.terms.total.to_bits()
    );
}

/// JSON has no NaN: it is text there, and comes back as NaN and not as nothing.
#[test]
fn numbers_that_are_not_finite_come_back() {
    let values = StepValues {
        at: Progress::default(),
        outcome: StepOutcome::Ready,
        kappa: vec![1.0, 0.5],
        terms: Terms {
            total: f64::NAN,
            task: f64::INFINITY,
            feature: vec![None, Some(f64::NAN)],
            logit: vec![Some(f64::NEG_INFINITY), Some(-0.0)],
        },
        confidence: vec![Some(0.1 + 0.2), None],
    };
    let json = serde_json::to_string(&values).unwrap();
    assert!(json.contains(r#""total":"NaN","task":"inf","feature":[null,"NaN"]"#), "{json}");
    let back: StepValues = serde_json::from_str(&json).unwrap();
    let bits = |v: &StepValues| {
        let each = [&v.terms.feature, &v.terms.logit, &v.confidence].into_iter().flatten();
        let each = each.map(|n| n.map(f64::to_bits)).collect::<Vec<_>>();
        (v.terms.total.is_nan(), v.terms.task, v.kappa.clone(), each)
    };
    assert_eq!(bits(&back), bits(&values));
    let measurement = Measurement::new("gradient_norm", &Modality::new("a"), f64::NAN);
    let json = serde_json::to_string(&measurement).unwrap();
    assert!(serde_json::from_str::<Measurement>(&json).unwrap().value.is_nan());
    for wrong in [r#""1.5""#, r#""high""#, "true"] {
        let json = json.replace(r#""NaN""#, wrong);
        let message = serde_json::from_str::<Measurement>(&json).unwrap_err().to_string();
        assert!(
            message.contains("expected a number") || message.contains("a number, "),
            "{message}"
        );
    }
}
