//! Tables of rotary angles, exact to f32 at every position.
//!
//! WGSL's sin and cos are imprecise for large arguments, so both come from the host, computed in f64: for each pair j,
//! (cos, sin) of 256 a f_j for every a and of b f_j for every b < 256. The kernel adds the two angles.

use crate::graph::RopePlan;

/// Where a rope's two tables start, in pairs (cos, sin).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tables {
    pub(super) coarse: u32,
    pub(super) fine: u32,
}

const FINE: usize = 256;

/// Pairs (cos, sin) that `append` will add.
pub(super) fn table_len(rope: &RopePlan, n_ctx: usize) -> usize {
    rope.inv_freq.len() * (n_ctx / FINE + 1 + FINE)
}

/// Appends the tables of `rope` for positions below `n_ctx`; `factors` divide its frequencies.
pub(super) fn append(angles: &mut Vec<[f32; 2]>, rope: &RopePlan, factors: Option<&[f32]>, n_ctx: usize) -> Tables {
    let frequency = |(j, f): (usize, &f32)| f64::from(*f) / factors.map_or(1.0, |all| f64::from(all[j]));
    let frequencies: Vec<f64> = rope.inv_freq.iter().enumerate().map(frequency).collect();
    let coarse = angles.len() as u32;
    for a in 0..=n_ctx / FINE {
        angles.extend(frequencies.iter().map(|f| turn((a * FINE) as f64 * f, rope.magnitude)));
    }
    let fine = angles.len() as u32;
    for b in 0..FINE {
        angles.extend(frequencies.iter().map(|f| turn(b as f64 * f, 1.0)));
    }
    Tables { coarse, fine }
}

fn turn(angle: f64, magnitude: f32) -> [f32; 2] {
    let magnitude = f64::from(magnitude);
    [(magnitude * angle.cos()) as f32, (magnitude * angle.sin()) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::RopeStyle;

    #[test]
    fn angles_are_right_to_a_millionth_at_131071() {
        let inv_freq = vec![1.0, 0.3, 0.01];
        let rope = RopePlan { style: RopeStyle::Norm, inv_freq, magnitude: 1.5, factors: None, long: None };
        let mut angles = Vec::new();
        let tables = append(&mut angles, &rope, Some(&[1.0, 2.0, 1.0]), 131072);
        assert_eq!(angles.len(), table_len(&rope, 131072));
        let pos = 131071;
        for (j, frequency) in [1.0, f64::from(0.3f32) / 2.0, f64::from(0.01f32)].into_iter().enumerate() {
            let a = angles[tables.coarse as usize + pos / FINE * 3 + j];
            let b = angles[tables.fine as usize + pos % FINE * 3 + j];
            let exact = pos as f64 * frequency;
            assert!((f64::from(a[0] * b[0] - a[1] * b[1]) - 1.5 * exact.cos()).abs() < 1e-6);
            assert!((f64::from(a[1] * b[0] + a[0] * b[1]) - 1.5 * exact.sin()).abs() < 1e-6);
        }
    }
}
