//! Metrics of predictions against targets.
//!
//! | targets | metrics |
//! |---|---|
//! | class labels or sets of labels | [`accuracy`], [`balanced_accuracy`], [`precision`], [`recall`], [`f1`], [`auroc`], [`average_precision`], [`expected_calibration_error`], [`nll`], [`selection_score`]; per class [`class_counts`], [`auroc_per_class`], [`average_precision_per_class`] |
//! | class labels alone | [`top_k_accuracy`], [`confusion_matrix`] |
//! | sets of labels alone | [`subset_accuracy`] |
//! | values | [`rmse`], [`mae`], [`r2`], [`mape`] |
//!
//! A classification has logits [N, C] on any device, and targets of one of two forms, which decides
//! what is predicted:
//! - **Class labels**: `Int64` \[N\] in `0..C`. The prediction is the class with the largest logit, the
//!   first of equals; its probabilities are a softmax.
//! - **Sets of labels** (multi-label): zeros and ones in a float tensor [N, C]. The prediction of a
//!   label is its logit > 0, a probability above ½; its probability is a sigmoid.
//!
//! Soft labels and labels to ignore are neither: pass `targets.argmax(1, false)` of soft labels, and
//! [`Predictions::labelled`](crate::trainer::Predictions::labelled) without the rows to ignore.
//!
//! [`rmse`] and [`mae`] are in the unit of the targets: scale standardised predictions back first.
//! Values agree with scikit-learn, ties and classes without samples included, except where a metric
//! states otherwise.
//!
//! # Errors
//! Every metric of a classification returns [`Error::Shape`] for other shapes or no
//! sample, [`Error::Kind`] for targets of another dtype,
//! [`Error::Target`] for a label outside `0..C` or other than 0 and 1, and
//! [`Error::NonFinite`] for a logit that is NaN or infinite.

mod accuracy;
mod calibration;
mod counts;
mod labelled;
mod likelihood;
mod ranked;
mod regression;

pub use accuracy::{accuracy, balanced_accuracy, subset_accuracy, top_k_accuracy};
pub use calibration::expected_calibration_error;
pub use counts::{Average, ClassCounts, class_counts, confusion_matrix, f1, precision, recall};
pub use likelihood::{nll, selection_score};
pub use ranked::{auroc, auroc_per_class, average_precision, average_precision_per_class};
pub use regression::{mae, mape, r2, rmse};

use tch::TchError;

use crate::error::Error;

/// The hint for predictions that are not finite.
const HINT: &str = "check the network's weights and inputs for NaN";

fn failed(source: TchError) -> Error {
    Error::torch("compute a metric", source)
}
