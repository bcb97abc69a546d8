//! The row of each sample id.

use std::cmp::Ordering;

/// Finds the row of a sample id. Ids in the order of a data set, the usual case, take no memory.
#[derive(Debug)]
pub(super) enum SampleIndex {
    /// Row r has the id `first` + r.
    Consecutive { first: i64, count: i64 },
    /// The ids in the order of their rows, each above the one before.
    Ascending(Vec<i64>),
    /// Ids with their rows, sorted by id.
    Sorted(Vec<(i64, i64)>),
}

impl Default for SampleIndex {
    /// No id.
    fn default() -> Self {
        Self::Ascending(Vec::new())
    }
}

impl SampleIndex {
    /// The index of `ids`, one for each row; `None` if an id repeats.
    pub(super) fn new(ids: Vec<i64>) -> Option<Self> {
        let first = ids.first().copied().unwrap_or(0);
        if (0..).zip(&ids).all(|(row, &id)| first.checked_add(row) == Some(id)) {
            return Some(Self::Consecutive { first, count: ids.len() as i64 });
        }
        if ids.is_sorted_by(|a, b| a < b) {
            return Some(Self::Ascending(ids));
        }
        let mut sorted: Vec<(i64, i64)> = ids.into_iter().zip(0..).collect();
        sorted.sort_unstable();
        let repeats = sorted.windows(2).any(|pair| pair[0].0 == pair[1].0);
        (!repeats).then_some(Self::Sorted(sorted))
    }

    /// The number of ids.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Consecutive { count, .. } => *count as usize,
            Self::Ascending(ids) => ids.len(),
            Self::Sorted(ids) => ids.len(),
        }
    }

    /// An id that both have.
    pub(super) fn shared(&self, other: &Self) -> Option<i64> {
        let (mut own, mut others) = (self.sorted(), other.sorted());
        let (mut a, mut b) = (own.next()?, others.next()?);
        loop {
            match a.cmp(&b) {
                Ordering::Less => a = own.next()?,
                Ordering::Greater => b = others.next()?,
                Ordering::Equal => return Some(a),
            }
        }
    }

    /// The ids in ascending order.
    fn sorted(&self) -> Box<dyn Iterator<Item = i64> + '_> {
        match self {
            Self::Consecutive { first, count } => Box::new((0..*count).map(move |row| first + row)),
            Self::Ascending(ids) => Box::new(ids.iter().copied()),
            Self::Sorted(ids) => Box::new(ids.iter().map(|(id, _)| *id)),
        }
    }

    /// The row of `id`, if it has one.
    pub(super) fn row(&self, id: i64) -> Option<i64> {
        match self {
            Self::Consecutive { first, count } => {
                id.checked_sub(*first).filter(|row| (0..*count).contains(row))
            }
            Self::Ascending(ids) => ids.binary_search(&id).ok().map(|row| row as i64),
            Self::Sorted(ids) => {
                ids.binary_search_by_key(&id, |(id, _)| *id).ok().map(|i| ids[i].1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SampleIndex;

    fn rows(ids: &[i64], wanted: &[i64]) -> Option<Vec<Option<i64>>> {
        let index = SampleIndex::new(ids.to_vec())?;
        assert_eq!(index.len(), ids.len());
        Some(wanted.iter().map(|&id| index.row(id)).collect())
    }

    #[test]
    fn rows_are_found_in_any_order_of_the_ids() {
        let wanted = [-4, -3, -1, 0, 7, i64::MIN, i64::MAX];
        let none = [None; 7];
        for (ids, known) in [
            (vec![-3, -2, -1], vec![(1, 0), (2, 2)]),
            (vec![-3, -1, 7], vec![(1, 0), (2, 1), (4, 2)]),
            (vec![7, -4, 0], vec![(4, 0), (0, 1), (3, 2)]),
            (vec![i64::MAX], vec![(6, 0)]),
            (vec![i64::MIN, i64::MAX], vec![(5, 0), (6, 1)]),
            (vec![], vec![]),
        ] {
            let mut expected = none;
            known.iter().for_each(|&(i, row)| expected[i] = Some(row));
            assert_eq!(rows(&ids, &wanted).unwrap(), expected, "{ids:?}");
        }
    }

    #[test]
    fn an_id_of_two_indices_is_found() {
        let shared = |a: &[i64], b: &[i64]| {
            let [a, b] = [a, b].map(|ids| SampleIndex::new(ids.to_vec()).unwrap());
            assert_eq!(a.shared(&b), b.shared(&a));
            a.shared(&b)
        };
        assert_eq!(shared(&[1, 2, 3], &[9, 0, 3]), Some(3));
        assert_eq!(shared(&[0, 2, 4], &[1, 3, 5]), None);
        assert_eq!(shared(&[7, -1], &[-1]), Some(-1));
        assert_eq!(shared(&[], &[1]), None);
    }

    #[test]
    fn an_id_that_repeats_is_refused() {
        for ids in [&[1, 1][..], &[1, 2, 1], &[5, 3, 5]] {
            assert!(rows(ids, &[]).is_none());
        }
    }
}
