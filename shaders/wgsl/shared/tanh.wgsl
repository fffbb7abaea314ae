// tanh of any f32. Some drivers compute it from exp(2 v) and overflow; beyond 10 it is 1 to the last bit.
fn safe_tanh(v: f32) -> f32 {
    return tanh(clamp(v, -10.0, 10.0));
}
