// out = the row before each row of x; before the first, that which the state holds, or zeros. Columns over x.
struct Shape {
    n: u32,
    x_stride: u32,
    out_stride: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
#import shared/run
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> state: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < shape.n) {
        var before = select(state[id.x], 0.0, run.pos == 0u);
        for (var row = 0u; row < run.rows; row++) {
            out[row * shape.out_stride + id.x] = before;
            before = x[row * shape.x_stride + id.x];
        }
        state[id.x] = before;
    }
}
