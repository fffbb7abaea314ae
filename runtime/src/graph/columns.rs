//! Some columns of a buffer.

/// Columns of a buffer in runs of `len`, `step` apart: element i stands in column `first + i / len * step + i % len`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Column of the first element.
    pub first: usize,
    /// Neighbouring columns of a run.
    pub len: usize,
    /// From the start of a run to the next.
    pub step: usize,
}

impl Columns {
    /// `len` neighbouring columns.
    pub fn run(first: usize, len: usize) -> Self {
        Self { first, len, step: len }
    }

    /// The column of element `i`.
    pub fn at(&self, i: usize) -> usize {
        self.first + i / self.len * self.step + i % self.len
    }

    /// One past the last column of `n` elements; `None` where it is no number.
    pub(crate) fn end(&self, n: usize) -> Option<usize> {
        let runs = n.checked_sub(1)?.checked_div(self.len)?;
        let last = runs.checked_mul(self.step)?.checked_add(self.first)?;
        last.checked_add(if runs == 0 { n } else { self.len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_in_runs() {
        let columns = Columns { first: 3, len: 2, step: 5 };
        assert_eq!((0..5).map(|i| columns.at(i)).collect::<Vec<_>>(), [3, 4, 8, 9, 13]);
        assert_eq!((columns.end(5), columns.end(4), columns.end(1)), (Some(15), Some(10), Some(4)));
        assert_eq!(Columns { len: 0, ..columns }.end(1), None);
        assert_eq!(Columns { step: usize::MAX, ..columns }.end(5), None);
    }
}
