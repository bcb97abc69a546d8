//! The replicas of a model on the ranks of a group: compared, and made equal.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};

use crate::error::{self, Result};
use crate::parameters::Variables;
use crate::ranks::{Call, Collective, Ranks};
use crate::step::Combined;

/// The ranks of a trainer of `k` modalities. Refuses a rank of another `configuration`, which names the
/// settings that must be the same.
pub(super) fn join(
    group: Option<Rc<dyn Collective>>,
    k: usize,
    configuration: impl FnOnce() -> String,
) -> Result<Ranks> {
    let Some(group) = group else { return Ok(Ranks::default()) };
    // Ranks with other numbers of modalities would exchange rows of other widths, so this width is fixed.
    let first = Ranks::new(Some(Rc::clone(&group)), 1);
    let hint = "build the same trainer on all ranks";
    same_text(&first, "configuration", &configuration(), hint)?;
    Ok(Ranks::new(Some(group), Combined::width(k)))
}

/// Copies parameters and buffers of rank 0 to all ranks. Refuses a rank with others.
pub(super) fn copy_from_first(ranks: &Ranks, variables: &Variables) -> Result<()> {
    if ranks.group().is_none() {
        return Ok(());
    }
    let mut text = String::new();
    for (name, tensor) in variables.parameters().chain(variables.buffers()) {
        let (kind, learns) = (tensor.kind(), if tensor.requires_grad() { "" } else { " frozen" });
        text.push_str(&format!("{name} {:?} {kind:?}{learns}\n", tensor.size()));
    }
    let hint = "make the same model on all ranks, and freeze the same layers";
    same_lines(ranks, "parameters and buffers", &text, hint)?;
    ranks.broadcast(&variables.all().collect::<Vec<_>>())
}

/// Refuses a rank whose text is another one than that of rank 0.
fn same_text(ranks: &Ranks, what: &str, text: &str, hint: &str) -> Result<()> {
    let Some(rank) = first_that_differs(ranks, text)? else { return Ok(()) };
    let (expected, found) = (ranks.share_text(0, text)?, ranks.share_text(rank, text)?);
    let expected = format!("that of rank 0, {expected}");
    Err(error::config(format!("{what} of rank {rank}"), expected, found, hint))
}

/// As [`same_text`], for a text that may be long: the error has the first line that differs.
fn same_lines(ranks: &Ranks, what: &str, text: &str, hint: &str) -> Result<()> {
    let Some(rank) = first_that_differs(ranks, text)? else { return Ok(()) };
    for line in 0.. {
        let own = text.lines().nth(line);
        let shown = own.unwrap_or("none");
        let (expected, found) = (ranks.share_text(0, shown)?, ranks.share_text(rank, shown)?);
        if expected != found || (expected == "none" && found == "none") {
            let expected = format!("those of rank 0, among them {expected}");
            return Err(error::config(format!("{what} of rank {rank}"), expected, found, hint));
        }
    }
    Ok(())
}

/// The first rank whose text is another one than that of rank 0.
fn first_that_differs(ranks: &Ranks, text: &str) -> Result<Option<usize>> {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let digest = (hasher.finish() >> 12) as f64; // exact as a `Double`
    let (_, rows) = ranks.agree(Call::Build, 0, Ok(()), |()| vec![digest])?;
    Ok(rows.iter().position(|row| row.values[0] != rows[0].values[0]))
}
