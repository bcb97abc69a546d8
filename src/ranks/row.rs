//! What one rank shows the others.

use std::fmt;

/// A method of the trainer that all ranks call together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// `Builder::build`.
    Build,
    /// `step`: what its plan depends on.
    Plan,
    /// `step`: what its backward depends on.
    Loss,
    /// `step`: values on a device that are not finite.
    Finite,
    /// `step`: the scores of a modulation.
    Scores,
    /// `step`: the factors of a modulation.
    Modulation,
    /// `finish_window`.
    FinishWindow,
    /// `end_epoch`.
    EndEpoch,
    /// `state`.
    State,
    /// `restore`.
    Restore,
    /// `evaluate` and `predict` of all ranks.
    Evaluate,
    /// A snapshot.
    Snapshot,
}

impl Call {
    const ALL: [Self; 12] = [
        Self::Build,
        Self::Plan,
        Self::Loss,
        Self::Finite,
        Self::Scores,
        Self::Modulation,
        Self::FinishWindow,
        Self::EndEpoch,
        Self::State,
        Self::Restore,
        Self::Evaluate,
        Self::Snapshot,
    ];

    fn number(self) -> f64 {
        Self::ALL.iter().position(|call| *call == self).map_or(-1.0, |i| i as f64)
    }

    fn from_number(number: f64) -> Option<Self> {
        Self::ALL.into_iter().find(|call| call.number() == number)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Build => "`build`",
            Self::Plan => "the plan of `step`",
            Self::Loss => "the loss of `step`",
            Self::Finite => "the finite check of `step`",
            Self::Scores => "the scores of a modulation in `step`",
            Self::Modulation => "the modulation of `step`",
            Self::FinishWindow => "`finish_window`",
            Self::EndEpoch => "`end_epoch`",
            Self::State => "`state`",
            Self::Restore => "`restore`",
            Self::Evaluate => "`evaluate` of all ranks",
            Self::Snapshot => "a snapshot",
        })
    }
}

/// What one rank shows the others at a [`Call`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// `None` for a number of another version of the crate.
    pub call: Option<Call>,
    /// The number of steps of the run so far.
    pub step: u64,
    pub failed: bool,
    pub values: Vec<f64>,
}

impl Row {
    /// The numbers before the values.
    pub(super) const HEAD: usize = 3;

    /// `width` numbers; missing values are 0.
    pub(super) fn to_numbers(&self, width: usize) -> Vec<f64> {
        debug_assert!(Self::HEAD + self.values.len() <= width, "{self:?} is wider than {width}");
        let call = self.call.map_or(-1.0, Call::number);
        let mut numbers = vec![call, self.step as f64, f64::from(u8::from(self.failed))];
        numbers.extend(&self.values);
        numbers.resize(width, 0.0);
        numbers
    }

    pub(super) fn from_numbers(numbers: &[f64]) -> Self {
        Self {
            call: Call::from_number(numbers[0]),
            step: numbers[1] as u64,
            failed: numbers[2] != 0.0,
            values: numbers[Self::HEAD..].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_back_from_its_numbers() {
        for call in Call::ALL {
            let row =
                Row { call: Some(call), step: 1 << 40, failed: true, values: vec![0.5, -1.0] };
            let numbers = row.to_numbers(6);
            assert_eq!(numbers.len(), 6);
            let expected = Row { values: vec![0.5, -1.0, 0.0], ..row };
            assert_eq!(Row::from_numbers(&numbers), expected);
        }
    }

    #[test]
    fn a_call_of_another_version_is_unknown() {
        assert_eq!(Row::from_numbers(&[99.0, 0.0, 0.0]).call, None);
    }
}
