// How one row's keys are split between workgroups: its cached keys, from the first that it sees up to itself, in spans of SPAN.
// Needs `shape.window`: positions a row sees, itself included; 0 for all.
override SPAN: u32 = 256u;

fn first_seen(pos: u32) -> u32 {
    return select(0u, pos + 1u - shape.window, shape.window != 0u && pos + 1u > shape.window);
}

fn spans(pos: u32) -> u32 {
    return max(1u, (pos - first_seen(pos) + SPAN - 1u) / SPAN);
}
