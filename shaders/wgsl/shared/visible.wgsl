// The positions that a row of a batch sees: first and end. Needs `shape.mask` and `shape.window`.
fn visible(row: u32) -> vec2<u32> {
    let own = run.pos + row;
    let batch = run.pos + run.rows;
    let window = select(shape.window, 0xFFFFFFu, shape.window == 0u);
    if (shape.mask == 2u) {
        return vec2<u32>(0u, run.encoded);
    }
    if (shape.mask == 1u) {
        return vec2<u32>(own + 1u - min(own + 1u, window), own + 1u);
    }
    return vec2<u32>(own - min(own, window / 2u), min(batch, own + window / 2u + 1u));
}
