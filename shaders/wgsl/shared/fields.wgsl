// What changes from run to run; everything else a kernel reads is fixed when a session is made.
struct Run {
    // position of row 0
    pos: u32,
    // rows (tokens) of this batch
    rows: u32,
    // rows whose logits are wanted, and the first of them
    outputs: u32,
    first_output: u32,
    // candidates to pick from a single row, and 1 where Σ exp is wanted
    candidates: u32,
    log_sum: u32,
    // rows of the text that the encoder has read
    encoded: u32,
    tokens: array<u32>,
}
