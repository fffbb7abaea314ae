// The part of a softmax that has no value: one logit a head, from `shape.sinks` on in `arena`.
override SINKS: u32 = 0u;

// Relative to the maximum m, as the other weights are.
fn sink(head: u32, m: f32) -> f32 {
    if (SINKS == 0u) {
        return 0.0;
    }
    return exp(min(arena[shape.sinks + head] - m, 80.0));
}
