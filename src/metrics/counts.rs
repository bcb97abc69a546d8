//! Counts of right and wrong predictions, and the shares that are made of them.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::labelled::{Labelled, Truth, flags, indices};
use crate::error::Result;

/// How the values of the classes become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// The value of the summed counts. For class labels this is the accuracy.
    Micro,
    /// The mean over the classes. For class labels a class that no row has and none is predicted to have
    /// is left out; of sets of labels no label is.
    Macro,
    /// The mean over the classes, weighted by their numbers of samples.
    Weighted,
}

/// The counts of one class against all others, or of one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassCounts {
    /// Rows that have the class and are predicted to.
    pub true_positives: u64,
    /// Rows that do not have the class and are predicted to.
    pub false_positives: u64,
    /// Rows that have the class and are not predicted to.
    pub false_negatives: u64,
    /// Rows that do not have the class and are not predicted to.
    pub true_negatives: u64,
}

impl ClassCounts {
    /// Number of rows that have the class.
    pub fn samples(&self) -> u64 {
        self.true_positives + self.false_negatives
    }

    /// TP / (TP + FP); 0 for a class that is never predicted.
    pub fn precision(&self) -> f64 {
        share(self.true_positives, self.true_positives + self.false_positives)
    }

    /// TP / (TP + FN); 0 for a class without samples.
    pub fn recall(&self) -> f64 {
        share(self.true_positives, self.samples())
    }

    /// F1, 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall; 0 for a class without
    /// samples that is never predicted.
    pub fn f1(&self) -> f64 {
        let twice = 2 * self.true_positives;
        share(twice, twice + self.false_positives + self.false_negatives)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The counts of each of the C classes. For example `class_counts(…)?[1].f1()` is the F1 of a binary
/// classification, whose class 1 is the positive one.
///
/// # Errors
/// As [every metric](super) of a classification.
pub fn class_counts(logits: &Tensor, targets: &Tensor) -> Result<Vec<ClassCounts>> {
    let labelled = Labelled::new(logits, targets)?;
    let mut counts = vec![ClassCounts::default(); labelled.width()];
    match &labelled.truth {
        Truth::Classes(labels) => {
            let predicted = indices(&labelled.predicted_classes()?)?;
            let rows = predicted.len() as u64;
            for (predicted, label) in predicted.into_iter().zip(indices(labels)?) {
                if predicted == label {
                    counts[label].true_positives += 1;
                } else {
                    counts[predicted].false_positives += 1;
                    counts[label].false_negatives += 1;
                }
            }
            for class in &mut counts {
                class.true_negatives = rows - class.samples() - class.false_positives;
            }
        }
        Truth::Sets(sets) => {
            let predicted = flags(&labelled.predicted_sets())?;
            let width = counts.len();
            for (at, (predicted, set)) in predicted.into_iter().zip(flags(sets)?).enumerate() {
                let label = &mut counts[at % width];
                match (predicted, set) {
                    (true, true) => label.true_positives += 1,
                    (true, false) => label.false_positives += 1,
                    (false, true) => label.false_negatives += 1,
                    (false, false) => label.true_negatives += 1,
                }
            }
        }
    }
    Ok(counts)
}

/// The confusion matrix, C × C: element (i, j) is the number of rows of class i that are predicted as
/// class j. For class labels alone.
///
/// # Errors
/// As [every metric](super) of a classification.
pub fn confusion_matrix(logits: &Tensor, targets: &Tensor) -> Result<Vec<Vec<u64>>> {
    let (labelled, labels) = Labelled::classes("confusion matrix", logits, targets)?;
    let mut matrix = vec![vec![0; labelled.width()]; labelled.width()];
    let predicted = indices(&labelled.predicted_classes()?)?;
    for (label, predicted) in indices(&labels)?.into_iter().zip(predicted) {
        matrix[label][predicted] += 1;
    }
    Ok(matrix)
}

/// The precision of the classes, [`ClassCounts::precision`], averaged.
///
/// # Errors
/// As [every metric](super) of a classification.
pub fn precision(logits: &Tensor, targets: &Tensor, average: Average) -> Result<f64> {
    averaged(logits, targets, average, ClassCounts::precision)
}

/// The recall of the classes, [`ClassCounts::recall`], averaged.
///
/// # Errors
/// As [every metric](super) of a classification.
pub fn recall(logits: &Tensor, targets: &Tensor, average: Average) -> Result<f64> {
    averaged(logits, targets, average, ClassCounts::recall)
}

/// The F1 of the classes, [`ClassCounts::f1`], averaged.
///
/// # Errors
/// As [every metric](super) of a classification.
pub fn f1(logits: &Tensor, targets: &Tensor, average: Average) -> Result<f64> {
    averaged(logits, targets, average, ClassCounts::f1)
}

fn averaged(
    logits: &Tensor,
    targets: &Tensor,
    average: Average,
    value: impl Fn(&ClassCounts) -> f64,
) -> Result<f64> {
    let mut counts = class_counts(logits, targets)?;
    Ok(match average {
        Average::Micro => {
            value(&counts.iter().fold(ClassCounts::default(), |sum, class| ClassCounts {
                true_positives: sum.true_positives + class.true_positives,
                false_positives: sum.false_positives + class.false_positives,
                false_negatives: sum.false_negatives + class.false_negatives,
                true_negatives: sum.true_negatives + class.true_negatives,
            }))
        }
        Average::Macro => {
            if targets.dim() == 1 {
                counts.retain(|class| class.samples() + class.false_positives > 0);
            }
            counts.iter().map(value).sum::<f64>() / counts.len() as f64
        }
        Average::Weighted => {
            let samples: u64 = counts.iter().map(ClassCounts::samples).sum();
            let sum: f64 = counts.iter().map(|class| value(class) * class.samples() as f64).sum();
            if samples == 0 { 0.0 } else { sum / samples as f64 }
        }
    })
}
