// One matrix product: which rows of which planes, and where its input and output lie.
struct Shape {
    // columns of the matrix; units of 32 columns that the planes have, padded to whole blocks
    k: u32,
    units: u32,
    // first tile of the planes, rows (outputs) of this product
    first_tile: u32,
    n: u32,
    // words per row of x / 4 and of out; first column of out
    x_stride4: u32,
    out_stride: u32,
    out_column: u32,
    // 1 where bias is added, 1 where the old contents of out are added
    has_bias: u32,
    accumulate: u32,
    // 1 where the rows are those whose logits are wanted
    head: u32,
    // of the RMS norm that the input takes first, if it does
    eps: f32,
    // tiles from the gate's rows to up's, where the product is that of a gated unit
    pair: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
#import quant/{TYPE}
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

// Rows that each invocation computes: 8, 16 and 24 apart, so that eight neighbours read 128 neighbouring bytes.
const LANES: u32 = 8u;

// Adds bias and residual to row `r` of the tile and stores it.
fn store(row: u32, tile: u32, r: u32, value: f32) {
    let output = tile * TILE + r;
    if (output < shape.n) {
        let at = row * shape.out_stride + shape.out_column + output;
        var sum = value;
        if (shape.has_bias != 0u) {
            sum += bias[output];
        }
        if (shape.accumulate != 0u) {
            sum += out[at];
        }
        out[at] = sum;
    }
}
