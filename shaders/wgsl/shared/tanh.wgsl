// tanh of any f32, with a small relative error near 0, and without the overflow or cancellation of some drivers' own.
fn accurate_tanh(v: f32) -> f32 {
    let e = exp(-2.0 * abs(v));
    let s = v * v;
    // the Taylor series to v^9; the next term is below 6e-8 of the sum
    let small = v * (1.0 + s * (-1.0 / 3.0 + s * (2.0 / 15.0 + s * (-17.0 / 315.0 + s * (62.0 / 2835.0)))));
    return select(sign(v) * (1.0 - e) / (1.0 + e), small, abs(v) < 0.3);
}
