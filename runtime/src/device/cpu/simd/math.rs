//! Elementary functions without branches or calls, so that loops over them become vector code. Relative errors are below
//! 5e-7.

/// 1.5 * 2^23: adding it rounds to the nearest integer, which then stands in the low bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts, the first with few bits, so that n * LN2_HIGH is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// e^x. Below -87 and above 88 it is that of the limit, i.e. nearly 0 or nearly infinite; NaN stays NaN.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    // Taylor up to r^7 / 7!, |r| <= ln 2 / 2: the rest is below 1e-8
    let p = 1.0 / 720.0 + r * (1.0 / 5040.0);
    let p = 1.0 / 24.0 + r * (1.0 / 120.0 + r * p);
    let p = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * p)));
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    p * f32::from_bits(power)
}

/// 1 / (1 + e^-x)
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// ln(1 + e^x), where ln(1 + y) = 2 artanh(y / (2 + y)) by its series, for y = e^-|x| at most 1.
#[inline(always)]
pub(super) fn softplus(x: f32) -> f32 {
    let y = exp(-x.abs());
    let s = y / (2.0 + y);
    let q = s * s;
    let p = 1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0)));
    let p = 1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * p));
    let positive = if x > 0.0 { x } else { 0.0 };
    positive + 2.0 * s * p
}

/// tanh x: by its series near 0, where the other formula cancels.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let x2 = x * x;
    let p = 62.0 / 2835.0 + x2 * (-1382.0 / 155_925.0);
    let p = 2.0 / 15.0 + x2 * (-17.0 / 315.0 + x2 * p);
    let near = x * (1.0 + x2 * (-1.0 / 3.0 + x2 * p));
    let far = 1.0 - 2.0 / (1.0 + exp(2.0 * x));
    if x2 < 0.16 { near } else { far }
}

/// erf x: by its series near 0, elsewhere by Abramowitz and Stegun 7.1.26, which is off by at most 2e-7.
#[inline(always)]
pub(super) fn erf(x: f32) -> f32 {
    let x2 = x * x;
    let p = 1.0 / 9360.0 + x2 * (-1.0 / 75_600.0 + x2 * (1.0 / 685_440.0));
    let p = -1.0 / 42.0 + x2 * (1.0 / 216.0 + x2 * (-1.0 / 1320.0 + x2 * p));
    let near = std::f32::consts::FRAC_2_SQRT_PI * x * (1.0 + x2 * (-1.0 / 3.0 + x2 * (1.0 / 10.0 + x2 * p)));
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let p = 1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4);
    let p = t * (0.254_829_6 + t * (-0.284_496_74 + t * p));
    let far = (1.0 - p * exp(-x2)).copysign(x);
    if x2 < 0.64 { near } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest relative error over a range.
    fn error(f: fn(f32) -> f32, exact: fn(f64) -> f64, range: std::ops::Range<f32>) -> f64 {
        let x = |i| range.start + (range.end - range.start) * i as f32 / 100_000.0;
        let error = |x: f32| ((f64::from(f(x)) - exact(f64::from(x))) / exact(f64::from(x))).abs();
        (1..100_000).map(|i| error(x(i))).fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_accurate() {
        assert!(error(exp, f64::exp, -86.9..87.9) < 2e-7);
        assert!(error(exp, f64::exp, -1.0..1.0) < 2e-7);
        assert!(error(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), -80.0..80.0) < 4e-7);
        assert!(error(softplus, |x| x.exp().ln_1p(), -80.0..80.0) < 4e-7);
        assert!(error(tanh, f64::tanh, 1e-6..10.0) < 5e-7 && error(tanh, f64::tanh, -0.5..-1e-6) < 5e-7);
    }

    #[test]
    fn extremes_stay_sane() {
        assert!([exp, softplus, sigmoid, tanh].iter().all(|f| f(f32::NAN).is_nan()));
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::INFINITY) > 1e38);
        assert_eq!(
            (sigmoid(f32::INFINITY), tanh(f32::INFINITY), tanh(f32::NEG_INFINITY), exp(0.0)),
            (1.0, 1.0, -1.0, 1.0)
        );
    }
}
