//! The group of a training, and how its ranks agree.

use std::{fmt, rc::Rc};

use tch::{Device, Kind, Tensor};

use super::{Call, Collective, Reducer, Row, text};
use crate::error::{self, Error, Result};

/// The ranks of a training; without a group, one.
///
/// All exchanges have the same size, a matrix of one row per rank, whatever the ranks show: ranks that are
/// at different calls see that they are, where sums of different sizes would abort the process or be wrong.
#[derive(Clone, Default)]
pub(crate) struct Ranks {
    group: Option<Rc<dyn Collective>>,
    /// The largest number of values of a row.
    values: usize,
}

impl Ranks {
    /// The ranks of `group`, which show each other up to `values` values.
    pub(crate) fn new(group: Option<Rc<dyn Collective>>, values: usize) -> Self {
        Self { group, values }
    }

    /// The group; `None` without one.
    pub(crate) fn group(&self) -> Option<&dyn Collective> {
        self.group.as_deref()
    }

    /// The number of this rank.
    pub(crate) fn rank(&self) -> usize {
        self.group().map_or(0, Collective::rank)
    }

    /// The number of ranks.
    pub(crate) fn size(&self) -> usize {
        self.group().map_or(1, Collective::size)
    }

    /// Succeeds on all ranks or on none: returns `own` with the rows of all ranks, where each has shown the
    /// `values` of its own success.
    ///
    /// # Errors
    /// The error of `own`; [`Error::Rank`] where another rank has failed; [`Error::Config`], which names the
    /// rank, where another rank is at another call or step; [`Error::Torch`] where the exchange fails, after
    /// which the group is closed.
    pub(crate) fn agree<T>(
        &self,
        call: Call,
        step: u64,
        own: Result<T>,
        values: impl FnOnce(&T) -> Vec<f64>,
    ) -> Result<(T, Vec<Row>)> {
        match own {
            Err(error) => Err(self.fail(call, step, error)),
            Ok(own) => {
                let row = Row { call: Some(call), step, failed: false, values: values(&own) };
                let Some(group) = self.group() else { return Ok((own, vec![row])) };
                let rows = self.exchange(group, &row)?;
                if let Some(rank) = rows.iter().position(|row| row.failed) {
                    close_layers(group, call);
                    let message = text::share(group, rank, "")?;
                    return Err(Error::Rank { rank, message });
                }
                check_calls(&row, group.rank(), &rows)?;
                Ok((own, rows))
            }
        }
    }

    /// Shows all ranks that this one has failed at `call`, unless they all have, and returns its error.
    pub(crate) fn fail(&self, call: Call, step: u64, error: Error) -> Error {
        let Some(group) = self.group().filter(|_| !matches!(error, Error::Rank { .. })) else {
            return error;
        };
        close_layers(group, call);
        let row = Row { call: Some(call), step, failed: true, values: Vec::new() };
        let shown = self.exchange(group, &row).and_then(|rows| {
            let first = rows.iter().position(|row| row.failed).unwrap_or_default();
            text::share(group, first, &error.to_string())
        });
        if let Err(broken) = shown {
            tracing::warn!("could not show the other ranks an error: {broken}");
        }
        error
    }

    /// The `text` of rank `root`, on every rank; at most 4096 bytes.
    pub(crate) fn share_text(&self, root: usize, own: &str) -> Result<String> {
        self.group().map_or_else(|| Ok(own.to_owned()), |group| text::share(group, root, own))
    }

    /// The sums of `values` over all ranks.
    pub(crate) fn sum(&self, values: &[f64]) -> Result<Vec<f64>> {
        let Some(group) = self.group() else { return Ok(values.to_vec()) };
        let tensor = Tensor::f_from_slice(values).map_err(torch)?;
        group.sum(&tensor)?;
        Vec::try_from(tensor).map_err(torch)
    }

    /// Copies the contents of `tensors` of rank 0 to those of all ranks.
    pub(crate) fn broadcast(&self, tensors: &[Tensor]) -> Result<()> {
        let group = self.group().filter(|_| !tensors.is_empty());
        group.map_or(Ok(()), |group| group.broadcast(tensors, 0))
    }

    /// A reducer of the gradients of these leaves; `None` without a group.
    pub(crate) fn reducer(&self, parameters: &[&Tensor]) -> Result<Option<Box<dyn Reducer>>> {
        self.group().map(|group| group.reducer(parameters)).transpose()
    }

    /// Closes the group after an error that the other ranks do not have, so that they do not wait.
    pub(crate) fn close_after(&self, error: Error) -> Error {
        if let Some(group) = self.group() {
            group.close(&error.to_string());
        }
        error
    }

    fn exchange(&self, group: &dyn Collective, own: &Row) -> Result<Vec<Row>> {
        let width = Row::HEAD + self.values;
        let mut numbers = vec![0.0; width * group.size()];
        numbers[width * group.rank()..][..width].copy_from_slice(&own.to_numbers(width));
        let matrix = Tensor::f_from_slice(&numbers).map_err(torch)?;
        debug_assert_eq!((matrix.kind(), matrix.device()), (Kind::Double, Device::Cpu));
        group.sum(&matrix)?; // of zeros and one number: the number, NaN included
        let numbers = Vec::<f64>::try_from(matrix).map_err(torch)?;
        Ok(numbers.chunks(width).map(Row::from_numbers).collect())
    }
}

/// Closes the connections of layers after a forward pass that has failed.
fn close_layers(group: &dyn Collective, call: Call) {
    if call == Call::Loss {
        group.close_layers();
    }
}

/// Refuses ranks at another call or step than this one.
fn check_calls(own: &Row, rank: usize, rows: &[Row]) -> Result<()> {
    let differs = |row: &&Row| (row.call, row.step) != (own.call, own.step);
    let Some(other) = rows.iter().find(differs) else { return Ok(()) };
    let at = |row: &Row| {
        let call = row.call.map_or_else(|| "an unknown call".to_owned(), |call| call.to_string());
        format!("{call} after {} steps", row.step)
    };
    let position = rows.iter().position(|row| row == other).unwrap_or_default();
    Err(error::config(
        format!("calls of the ranks, by rank {position}"),
        format!("{}, as on rank {rank}", at(own)),
        at(other),
        "call the trainer's methods in the same order on all ranks, with as many batches on each",
    ))
}

fn torch(source: tch::TchError) -> Error {
    Error::torch("exchange numbers with all ranks", source)
}

impl fmt::Debug for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.size())
    }
}
