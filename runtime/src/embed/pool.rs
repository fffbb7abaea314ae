//! One vector from the states of a text's tokens.

use crate::arch::Pooling;

/// The first `kept` elements of what `pooling` makes of rows of `width`, with length 1 if `normalize`. `states` are those that the
/// pooling reads.
pub(super) fn vector(states: &[f32], width: usize, pooling: Pooling, kept: usize, normalize: bool) -> Vec<f32> {
    let rows = states.chunks_exact(width).map(|row| &row[..kept]);
    let mut vector = match pooling {
        Pooling::Mean => mean(rows, kept),
        Pooling::None | Pooling::First | Pooling::Last => rows.flatten().copied().collect(),
    };
    if normalize {
        vector.chunks_exact_mut(kept).for_each(to_length_1);
    }
    vector
}

fn mean<'a>(rows: impl ExactSizeIterator<Item = &'a [f32]>, width: usize) -> Vec<f32> {
    let (n, mut sums) = (rows.len() as f64, vec![0f64; width]);
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    sums.iter().map(|sum| (sum / n) as f32).collect()
}

fn to_length_1(vector: &mut [f32]) {
    let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    // a vector of zeros has no direction
    let factor = if length > 0.0 { 1.0 / length } else { 0.0 };
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) * factor) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_pooled() {
        let states = [1.0, 2.0, 3.0, 6.0];
        assert_eq!(vector(&states, 2, Pooling::Mean, 2, false), [2.0, 4.0]);
        assert_eq!(vector(&states, 2, Pooling::None, 2, false), states);
        assert_eq!(vector(&states[2..], 2, Pooling::Last, 2, false), [3.0, 6.0]);
    }

    #[test]
    fn dimensions_are_cut_before_lengths_are_taken() {
        assert_eq!(vector(&[3.0, 4.0, 12.0], 3, Pooling::First, 2, true), [0.6, 0.8]);
        assert_eq!(vector(&[0.0, 0.0, 1.0], 3, Pooling::First, 2, true), [0.0, 0.0]);
        assert_eq!(vector(&[3.0, 4.0, 0.0, 2.0], 2, Pooling::None, 2, true), [0.6, 0.8, 0.0, 1.0]);
    }
}
