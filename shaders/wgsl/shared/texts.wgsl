// What run says of each row's text. Needs `shape.texts`: 1 where rows are those of whole texts, 0 for a timeline.
fn text_start(row: u32) -> u32 {
    if (shape.texts == 0u) {
        return 0u;
    }
    return run.tokens[run.rows + row];
}

fn text_end(row: u32) -> u32 {
    if (shape.texts == 0u) {
        return run.pos + run.rows;
    }
    return run.tokens[2u * run.rows + row];
}

fn position(row: u32) -> u32 {
    return run.pos + row - text_start(row);
}
