// The positions that a row of a batch sees: first and end. Needs `shape.mask`, `shape.window` and `shape.texts`.
#import shared/texts
fn visible(row: u32) -> vec2<u32> {
    let own = run.pos + row;
    let all = shape.window == 0u;
    if (shape.mask == 2u) {
        return vec2<u32>(0u, run.encoded);
    }
    let start = text_start(row);
    if (shape.mask == 1u) {
        return vec2<u32>(max(start, own + 1u - min(own + 1u, select(shape.window, own + 1u, all))), own + 1u);
    }
    let end = text_end(row);
    let reach = select(shape.window / 2u, end, all);
    return vec2<u32>(max(start, own - min(own, reach)), min(end, own + reach + 1u));
}
