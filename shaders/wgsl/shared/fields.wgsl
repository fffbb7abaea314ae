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
    // token ids; where rows are those of whole texts, then the first row of each one's text, the row after that text, the
    // token's type, and the rows whose outputs are wanted
    tokens: array<u32>,
}
