// A selective scan: for every element x of a head, state[n] = exp(step a[n]) state[n] + step x b[n], and
// out = Σ_n c[n] state[n] + d x. LANES neighbouring invocations make one element of all rows, each with every LANES-th of its
// states in registers.
struct Shape {
    channels: u32,
    head_dim: u32,
    // heads that share b and c
    shared_heads: u32,
    n_state: u32,
    x_stride: u32,
    bc_stride: u32,
    dt_stride: u32,
    out_stride: u32,
    // columns of the first b, c and step
    b: u32,
    c: u32,
    dt: u32,
    // where vectors start in the arena
    a: u32,
    d: u32,
    dt_bias: u32,
}
override LANES: u32 = 1u;
// 1: each state has a rate of its own
override RATES: u32 = 0u;
override BIAS: u32 = 0u;
@group(0) @binding(0) var<uniform> shape: Shape;
#import shared/run
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> bc: array<f32>;
@group(0) @binding(4) var<storage, read> dt: array<f32>;
@group(0) @binding(5) var<storage, read> arena: array<f32>;
@group(0) @binding(6) var<storage, read_write> state: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;
#import shared/softplus
#import shared/registers
var<workgroup> partial: array<array<f32, 64>, 2>;

fn step_of(row: u32, head: u32) -> f32 {
    var value = dt[row * shape.dt_stride + shape.dt + head];
    if (BIAS != 0u) {
        value += arena[shape.dt_bias + head];
    }
    return softplus(value);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.x * (64u / LANES) + lane / LANES;
    let own = channel < shape.channels && lane < 64u / LANES * LANES;
    let at = select(0u, channel, own);
    let head = at / shape.head_dim;
    let first = lane % LANES;
    let shared_columns = head / shape.shared_heads * shape.n_state;
    var states = array<f32, SLICE>();
    for (var i = 0u; i < SLICE; i++) {
        let n = first + i * LANES;
        if (n < shape.n_state && run.pos > 0u) {
            states[i] = state[at * shape.n_state + n];
        }
    }
    for (var row = 0u; row < run.rows; row++) {
        let step = step_of(row, head);
        let value = x[row * shape.x_stride + at];
        let columns = row * shape.bc_stride + shared_columns;
        var decay = exp(step * arena[shape.a + head]);
        var sum = 0.0;
        for (var i = 0u; i < SLICE; i++) {
            let n = first + i * LANES;
            if (n < shape.n_state) {
                if (RATES != 0u) {
                    decay = exp(step * arena[shape.a + head * shape.n_state + n]);
                }
                states[i] = decay * states[i] + step * value * bc[columns + shape.b + n];
                sum += bc[columns + shape.c + n] * states[i];
            }
        }
        // two memories in turn: one barrier a row
        partial[row % 2u][lane] = sum;
        workgroupBarrier();
        if (own && first == 0u) {
            for (var i = 1u; i < LANES; i++) {
                sum += partial[row % 2u][lane + i];
            }
            out[row * shape.out_stride + at] = sum + arena[shape.d + head] * value;
        }
    }
    for (var i = 0u; i < SLICE; i++) {
        let n = first + i * LANES;
        if (own && n < shape.n_state) {
            state[at * shape.n_state + n] = states[i];
        }
    }
}
