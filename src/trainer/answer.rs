//! What the student makes of a batch, checked.

use tch::Tensor;

use super::{G2dTrainer, SuppressedMode, check::check_rows, features::features};
use crate::{Batch, Plan, Result, Rows, Student, TeacherOutput, error, parts::Parts};

/// What the student made of a batch, outside autocast again.
pub(super) struct Answer {
    /// Features of every modality, as the fusion saw them.
    pub features: Vec<Tensor>,
    pub logits: Tensor,
    /// What L_feat compares with the teachers' features.
    pub distilled: Vec<Tensor>,
}

impl G2dTrainer {
    /// What the student makes of the batch, under autocast where the precision says so.
    pub(super) fn answer(
        &self,
        student: &dyn Student,
        parts: &Parts<'_>,
        teachers: &[Option<TeacherOutput>],
        plan: &Plan,
    ) -> Result<Answer> {
        let _region = self.precision.region(parts.whole().device())?;
        let encoded = features(student, &self.modalities, parts, |m, part| {
            self.encode(student, m, part, plan)
        })?;
        let logits = student.fuse(&encoded, true)?;
        self.check_logits(&logits, teachers, parts)?;
        let distilled = self.distilled(student, &encoded, teachers, parts.whole())?;
        let widened = |tensors: Vec<Tensor>| -> Result<Vec<Tensor>> {
            tensors.into_iter().map(|tensor| self.precision.widened(tensor)).collect()
        };
        Ok(Answer {
            features: widened(encoded)?,
            logits: self.precision.widened(logits)?,
            distilled: widened(distilled)?,
        })
    }

    /// The features of modality `m`, with what `plan` allows of their gradient.
    fn encode(
        &self,
        student: &dyn Student,
        m: usize,
        batch: &Batch,
        plan: &Plan,
    ) -> Result<Tensor> {
        let kappa = plan.kappa()[m];
        let outside = self.suppression.keeps_outside(kappa);
        let _no_grad = outside.then(tch::no_grad_guard);
        let train = !outside || self.suppressed_mode == SuppressedMode::Train;
        let features = student.encode(m, batch, train)?;
        let what = format!("features of modality {:?}", self.modalities[m]);
        check_rows(&what, &features, None, batch)?;
        self.suppression.gated(features, kappa)
    }

    fn check_logits(
        &self,
        logits: &Tensor,
        teachers: &[Option<TeacherOutput>],
        parts: &Parts<'_>,
    ) -> Result<()> {
        check_rows("logits of the student", logits, Some(2), parts.whole())?;
        let classes = logits.size()[1];
        for (m, teacher) in teachers.iter().enumerate() {
            let Some(teacher) = teacher else { continue };
            let size = teacher.logits.size();
            if size[1] != classes {
                return Err(error::shape(
                    format!("logits of teacher {:?}", self.modalities[m]),
                    format!("{:?}, the student's", [size[0], classes]),
                    format!("{size:?}"),
                    "teachers and student must know the same classes",
                ));
            }
        }
        let checked =
            |(teacher, rows): (&Option<_>, &Rows)| teacher.is_some() && matches!(rows, Rows::All);
        if teachers.iter().zip(parts.rows()).any(checked) {
            return Ok(()); // against a teacher's logits, of the same shape
        }
        self.loss.check_targets(&logits.size(), parts.whole().targets())
    }

    /// What L_feat compares: the student's word, checked, in the teachers' widths. Without teachers
    /// nobody asks.
    fn distilled(
        &self,
        student: &dyn Student,
        features: &[Tensor],
        teachers: &[Option<TeacherOutput>],
        batch: &Batch,
    ) -> Result<Vec<Tensor>> {
        if teachers.is_empty() {
            return Ok(features.iter().map(Tensor::shallow_clone).collect());
        }
        let distilled = student.distilled_features(features)?;
        if distilled.len() != features.len() {
            return Err(error::shape(
                "distilled features of the student",
                format!("{} tensors, one for each of {:?}", features.len(), self.modalities),
                format!("{}", distilled.len()),
                "mend `Student::distilled_features`",
            ));
        }
        for (modality, distilled) in self.modalities.iter().zip(&distilled) {
            let what = format!("distilled features of modality {modality:?}");
            check_rows(&what, distilled, None, batch)?;
        }
        let each = self.modalities.iter().zip(&distilled);
        each.map(|(modality, features)| self.projection.apply(modality, features)).collect()
    }
}
