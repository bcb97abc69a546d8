//! Values and gradients of the terms.

use g2d::loss::{Distillation, HeadTarget, HeadTerm};
use tch::Tensor;

use super::{B, C, Case, TASKS, Task, ensemble, head, number, softmax, sum};
use crate::support::{assert_close, assert_number, wave};

#[test]
fn head_terms_compare_each_head_with_its_teacher_or_the_labels() {
    for (task, target) in
        TASKS.iter().flat_map(|t| [(*t, HeadTarget::Teacher), (*t, HeadTarget::Labels)])
    {
        for case in [
            Case::whole(),
            Case::partial([false; 5]),
            Case::partial([false, true, true, false, true]),
        ] {
            let y = task.targets();
            let head = head(target);
            let distillation = Distillation { head: Some(head.clone()), ..Distillation::none() };
            let terms = case.terms(&*task.loss(distillation), &y).unwrap();
            let mut total = task.task(&case.logits, &y);
            assert_number(number(&terms.task), number(&total));
            assert_eq!((terms.head.len(), terms.ensemble.is_none()), (3, true));
            for m in 0..3 {
                assert_eq!(terms.head[m].is_some(), case.present[m].contains(&true));
                let Some(found) = &terms.head[m] else { continue };
                let own = case.rows[m].select(&case.heads[m]).unwrap();
                let temperature =
                    if task == Task::Regression { 1.0 } else { head.temperature.get(m) };
                let expected = match target {
                    HeadTarget::Teacher => task.divergence(&case.teachers[m], &own, temperature),
                    HeadTarget::Labels => task.task(&own, &case.rows[m].select(&y).unwrap()),
                };
                assert_number(number(found), number(&expected));
                total += expected * head.weight.get(m);
            }
            assert_number(number(&terms.total), number(&total));
            let leaves: Vec<_> = (0..3).filter(|&m| terms.head[m].is_some()).collect();
            let leaves: Vec<_> =
                leaves.iter().map(|&m| &case.heads[m]).chain([&case.logits]).collect();
            let [found, expected] = [&terms.total, &total]
                .map(|total| Tensor::run_backward(&[total], &leaves, true, false));
            found.iter().zip(&expected).for_each(|(a, b)| assert_close(a, b));
        }
    }
}

#[test]
fn the_ensemble_term_compares_the_fused_logits_with_the_calibrated_sum_of_the_teachers() {
    for task in [Task::Single, Task::Multi] {
        for case in [
            Case::whole(),
            Case::partial([false; 5]),
            Case::partial([false, true, true, false, true]),
        ] {
            let y = task.targets();
            let distillation = Distillation { ensemble: Some(ensemble()), ..Distillation::none() };
            let terms = case.terms(&*task.loss(distillation), &y).unwrap();
            // Row by row: the teachers of the modalities that the row has.
            let mut taken = [0; 3];
            let rows: Vec<Tensor> = (0..B as usize)
                .map(|row| {
                    let mut sum = Tensor::zeros([C], tch::kind::DOUBLE_CPU);
                    for (m, taken) in taken.iter_mut().enumerate() {
                        if case.present[m][row] {
                            let t = ensemble().teacher_temperature.get(m);
                            sum += case.teachers[m].get(*taken) / t;
                            *taken += 1;
                        }
                    }
                    sum
                })
                .collect();
            let expected = task.divergence(&Tensor::stack(&rows, 0), &case.logits, 3.0);
            let found = terms.ensemble.unwrap();
            assert_number(number(&found), number(&expected));
            assert!(terms.head.is_empty());
            assert_number(number(&terms.total), number(&terms.task) + 0.7 * number(&found));
            let leaf = [&case.logits];
            let [a, b] =
                [&found, &expected].map(|t| Tensor::run_backward(&[t], &leaf, true, false));
            assert_close(&a[0], &b[0]);
        }
    }
}

/// Σ_m KL(p_m ‖ s) at T = 1 is k CE(mean p, s) and a constant: the published logit terms distil the
/// ensemble of probabilities.
#[test]
fn at_temperature_1_the_logit_terms_distil_the_mean_of_the_teachers_probabilities() {
    let case = Case::whole();
    let loss = Task::Single.loss(Distillation { alpha: 0.0, ..Distillation::default() });
    let mean = case.teachers.iter().map(softmax).sum::<Tensor>() / 3.0;
    let logit_terms = |case: &Case| {
        let terms = case.terms(&*loss, &Task::Single.targets()).unwrap();
        terms.logit.into_iter().flatten().sum::<Tensor>()
    };
    let cross_entropy = |s: &Tensor| -sum(&mean * softmax(s).log()) / B as f64;
    let mut constants = Vec::new();
    for phase in [0.1, 2.0, 5.0] {
        let mut case = Case::whole();
        case.logits = (wave(phase, &[B, C]) * (phase + 1.0)).set_requires_grad(true);
        let found = logit_terms(&case);
        let expected = cross_entropy(&case.logits) * 3.0;
        constants.push(number(&found) - number(&expected));
        let leaf = [&case.logits];
        let [a, b] = [found, expected].map(|t| Tensor::run_backward(&[t], &leaf, true, false));
        assert_close(&a[0], &b[0]);
    }
    assert!(constants.iter().all(|c| (c - constants[0]).abs() < 1e-12), "{constants:?}");
    assert!(constants[0] < 0.0, "minus the entropies of the teachers");
}

#[test]
fn balanced_training_has_feature_and_head_terms_alone() {
    let case = Case::whole();
    for task in TASKS {
        let terms = case.terms(&*task.loss(Distillation::balanced()), &task.targets()).unwrap();
        assert!(terms.logit.iter().all(Option::is_none) && terms.ensemble.is_none());
        let mut total = number(&terms.task);
        for m in 0..3 {
            let temperature = if task == Task::Regression { 1.0 } else { 4.0 };
            let expected = task.divergence(&case.teachers[m], &case.heads[m], temperature);
            assert_number(number(terms.head[m].as_ref().unwrap()), number(&expected));
            total += number(&expected) + number(terms.feature[m].as_ref().unwrap());
        }
        assert_number(number(&terms.total), total);
    }
    let head =
        HeadTerm { temperature: 4.0.into(), weight: 1.0.into(), target: HeadTarget::Teacher };
    assert_eq!(HeadTerm::default(), head);
    let expected = Distillation { head: Some(head), ..Distillation::features_only() };
    assert_eq!(Distillation::balanced(), expected);
}
