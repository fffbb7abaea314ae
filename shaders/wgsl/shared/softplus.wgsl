// ln(1 + e^v), of which log would lose small values: ln(1 + y) = 2 artanh(y / (2 + y)) by its series, for y = e^-|v| at most 1.
fn softplus(v: f32) -> f32 {
    let y = exp(-abs(v));
    let s = y / (2.0 + y);
    let q = s * s;
    let series = 1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q / 13.0)))));
    return max(v, 0.0) + 2.0 * s * series;
}
