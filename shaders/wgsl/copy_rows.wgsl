// out = x, row by row; where `head` is set, row r is copied from the r-th row whose logits are wanted.
struct Shape {
    n: u32,
    x_stride: u32,
    out_stride: u32,
    head: u32,
    // 1 where rows are those of whole texts
    texts: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
#import shared/run
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

fn source(row: u32) -> u32 {
    if (shape.head == 0u) {
        return row;
    }
    let wanted = run.first_output + row;
    if (shape.texts == 0u) {
        return wanted;
    }
    return run.tokens[4u * run.rows + wanted];
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < shape.n) {
        out[id.y * shape.out_stride + id.x] = x[source(id.y) * shape.x_stride + id.x];
    }
}
