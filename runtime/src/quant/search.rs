//! How encoders find scales: each tries a few and keeps the one with the least weighted error, which is quadratic in the scale
//! once the integers are fixed. These are the searches of ggml's reference encoders, so that files come out equally good.

/// The nearest integer, of two the even one; for magnitudes below 2^22. (`round` is a slow call on baseline x86.)
#[inline(always)]
pub(super) fn nearest(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    (x + ROUND) - ROUND
}

/// The nearest integer within limits.
#[inline(always)]
pub(super) fn within(x: f32, low: f32, high: f32) -> f32 {
    nearest(x.clamp(low - 1.0, high + 1.0)).clamp(low, high)
}

/// The element of largest magnitude.
pub(super) fn extreme(x: &[f32]) -> f32 {
    x.iter().copied().fold(0f32, |m, x| if x.abs() > m.abs() { x } else { m })
}

/// Below this magnitude a group counts as zero.
const TINY: f32 = 1e-15;

/// What to try for w = scale * q + min, 0 <= q <= top.
pub(super) struct Affine {
    pub(super) top: f32,
    /// What is added to `top` to make the first and the last scale that is tried: they lie 0.1 apart.
    pub(super) first: f32,
    pub(super) steps: u32,
    /// Whether errors count by magnitude, not squared.
    pub(super) absolute: bool,
}

/// Sums over a group for given integers q.
#[derive(Default)]
struct Sums {
    q: f32,
    qq: f32,
    xq: f32,
}

impl Affine {
    /// Scale and -min, neither below 0, of a group.
    pub(super) fn search(&self, x: &[f32], weight: &[f32]) -> (f32, f32) {
        let (low, max) = x.iter().fold((0f32, f32::NEG_INFINITY), |(lo, hi), &x| (lo.min(x), hi.max(x)));
        let mut min = low;
        if max <= min {
            return (0.0, -min);
        }
        let mut scale = (max - min) / self.top;
        let mut least = self.error(x, weight, 1.0 / scale, min, (scale, min));
        let (sum_w, sum_x) =
            x.iter().zip(weight).fold((0.0, 0.0), |(w, wx), (x, weight)| (w + weight, wx + weight * x));
        for step in 0..=self.steps {
            let inverse = (self.first + 0.1 * step as f32 + self.top) / (max - min);
            let Some(fit) = self.fit(&self.sums(x, weight, inverse, min), sum_w, sum_x) else { continue };
            let error = self.error(x, weight, inverse, min, fit);
            if error < least {
                (least, (scale, min)) = (error, fit);
            }
        }
        (scale, -min)
    }

    #[inline(always)]
    fn q(&self, x: f32, inverse: f32, min: f32) -> f32 {
        within(inverse * (x - min), 0.0, self.top)
    }

    fn sums(&self, x: &[f32], weight: &[f32], inverse: f32, min: f32) -> Sums {
        let mut sums = Sums::default();
        for (&x, &w) in x.iter().zip(weight) {
            let q = self.q(x, inverse, min);
            sums.q += w * q;
            sums.qq += w * q * q;
            sums.xq += w * q * x;
        }
        sums
    }

    /// The scale and min (at most 0) of least squared error for fixed q.
    fn fit(&self, sums: &Sums, sum_w: f32, sum_x: f32) -> Option<(f32, f32)> {
        let determinant = sum_w * sums.qq - sums.q * sums.q;
        let scale = (sum_w * sums.xq - sum_x * sums.q) / determinant;
        let min = (sums.qq * sum_x - sums.q * sums.xq) / determinant;
        let fit = if min > 0.0 { (sums.xq / sums.qq, 0.0) } else { (scale, min) };
        (determinant > 0.0).then_some(fit)
    }

    /// The error with (scale, min) `fit`, and q as `inverse` and `min` make them.
    fn error(&self, x: &[f32], weight: &[f32], inverse: f32, min: f32, fit: (f32, f32)) -> f32 {
        let error = |x: f32| fit.0 * self.q(x, inverse, min) + fit.1 - x;
        let pairs = x.iter().zip(weight);
        if self.absolute {
            pairs.map(|(&x, w)| w * error(x).abs()).sum()
        } else {
            pairs.map(|(&x, w)| w * error(x) * error(x)).sum()
        }
    }
}

/// The scale of w = scale * q, -bias <= q < bias, with weights x²: those around that which makes the extreme -bias.
pub(super) fn symmetric(x: &[f32], bias: f32) -> f32 {
    let extreme = extreme(x);
    if extreme.abs() < TINY {
        return 0.0;
    }
    let tries = [0].into_iter().chain((-9..=9).filter(|&step| step != 0));
    let inverses = tries.map(|step| -(bias + 0.1 * step as f32) / extreme);
    best_fit(x, inverses, |y| within(y, -bias, bias - 1.0))
}

/// Of the scales that fit best to the levels of x * inverse, for every inverse, the one with the least error, with weights
/// x²: the error is least where xq² / qq is largest.
pub(super) fn best_fit(x: &[f32], inverses: impl Iterator<Item = f32>, level: impl Fn(f32) -> f32) -> f32 {
    let (mut scale, mut best) = (0.0, 0.0);
    for inverse in inverses {
        let (xq, qq) = x.iter().fold((0.0, 0.0), |(xq, qq), &x| {
            let q = level(inverse * x);
            (xq + x * x * x * q, qq + x * x * q * q)
        });
        if qq > 0.0 && xq * xq > best * qq {
            scale = xq / qq;
            best = scale * xq;
        }
    }
    scale
}

/// The scale of w = scale * q, -bias <= q < bias, with weights x²: q is improved element by element, at most five times.
pub(super) fn refined<const N: usize>(x: &[f32], bias: f32) -> f32 {
    let extreme = extreme(x);
    if extreme.abs() < TINY {
        return 0.0;
    }
    let mut q: [f32; N] = std::array::from_fn(|i| within(-bias / extreme * x[i], -bias, bias - 1.0));
    let sum = |f: &dyn Fn(usize) -> f32| (0..N).map(f).sum::<f32>();
    let mut xq = sum(&|i| x[i] * x[i] * x[i] * q[i]);
    let mut qq = sum(&|i| x[i] * x[i] * q[i] * q[i]);
    for _ in 0..5 {
        let before = q;
        for i in 0..N {
            let w = x[i] * x[i];
            let (others_xq, others_qq) = (xq - w * x[i] * q[i], qq - w * q[i] * q[i]);
            if others_xq <= 0.0 {
                continue;
            }
            let new = within(x[i] * others_qq / others_xq, -bias, bias - 1.0);
            let (new_xq, new_qq) = (others_xq + w * x[i] * new, others_qq + w * new * new);
            if new != q[i] && new_qq > 0.0 && new_xq * new_xq * qq > xq * xq * new_qq {
                (q[i], xq, qq) = (new, new_xq, new_qq);
            }
        }
        if q == before {
            break;
        }
    }
    if qq > 0.0 { xq / qq } else { 0.0 }
}

/// The f16 nearest to x, as bits and as the number that decoders see.
pub(super) fn rounded(x: f32) -> (u16, f32) {
    let half = half::f16::from_f32(x);
    (half.to_bits(), half.to_f32())
}
