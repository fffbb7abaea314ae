// The gated delta rule: for every element v of a head's value and its row s of the state, with q and k of length 1,
// s = e^g s; s += sigmoid(β) (v - s . k) k; out = s . q / √key_dim. LANES neighbouring invocations make one element of all rows,
// each with every LANES-th element of s in registers.
struct Shape {
    // value heads times value_dim
    channels: u32,
    value_dim: u32,
    heads: u32,
    key_heads: u32,
    key_dim: u32,
    qkv_stride: u32,
    gates_stride: u32,
    out_stride: u32,
    // column of the first β
    first: u32,
    // 1: value heads of one key head are apart, all β stand before all α
    tiled: u32,
    // where vectors start in the arena
    a: u32,
    dt_bias: u32,
    eps: f32,
}
override LANES: u32 = 1u;
@group(0) @binding(0) var<uniform> shape: Shape;
#import shared/run
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(3) var<storage, read> gates: array<f32>;
@group(0) @binding(4) var<storage, read> arena: array<f32>;
@group(0) @binding(5) var<storage, read_write> state: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;
#import shared/softplus
#import shared/registers

// Sums over the elements of s, q and k: s.k, s.q, k.q and those of k.k, q.q.
struct Sums {
    dots: vec3<f32>,
    squares: vec2<f32>,
}
var<workgroup> partial: array<array<Sums, 64>, 2>;

fn key_head(head: u32) -> u32 {
    return select(head / (shape.heads / shape.key_heads), head % shape.key_heads, shape.tiled != 0u);
}

// e^g and sigmoid(β)
fn gates_of(row: u32, head: u32) -> vec2<f32> {
    let shared_heads = shape.heads / shape.key_heads;
    let neighbours = head / shared_heads * 2u * shared_heads + head % shared_heads;
    let beta = row * shape.gates_stride + shape.first + select(neighbours, head, shape.tiled != 0u);
    let alpha = beta + select(shared_heads, shape.heads, shape.tiled != 0u);
    let step = softplus(gates[alpha] + arena[shape.dt_bias + head]);
    return vec2(exp(arena[shape.a + head] * step), 1.0 / (1.0 + exp(-gates[beta])));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.x * (64u / LANES) + lane / LANES;
    let own = channel < shape.channels && lane < 64u / LANES * LANES;
    let at = select(0u, channel, own);
    let head = at / shape.value_dim;
    let first = lane % LANES;
    let keys = shape.key_heads * shape.key_dim;
    let key_column = key_head(head) * shape.key_dim;
    var s = array<f32, SLICE>();
    var k = array<f32, SLICE>();
    for (var i = 0u; i < SLICE; i++) {
        let n = first + i * LANES;
        if (n < shape.key_dim && run.pos > 0u) {
            s[i] = state[at * shape.key_dim + n];
        }
    }
    for (var row = 0u; row < run.rows; row++) {
        let columns = row * shape.qkv_stride;
        var sums = Sums(vec3(0.0), vec2(0.0));
        for (var i = 0u; i < SLICE; i++) {
            let n = first + i * LANES;
            if (n < shape.key_dim) {
                let q = qkv[columns + key_column + n];
                k[i] = qkv[columns + keys + key_column + n];
                sums.dots += vec3(s[i] * k[i], s[i] * q, k[i] * q);
                sums.squares += vec2(k[i] * k[i], q * q);
            }
        }
        // two memories in turn: one barrier a row
        partial[row % 2u][lane] = sums;
        workgroupBarrier();
        sums = Sums(vec3(0.0), vec2(0.0));
        for (var i = 0u; i < LANES; i++) {
            let part = partial[row % 2u][lane - first + i];
            sums.dots += part.dots;
            sums.squares += part.squares;
        }
        let gate = gates_of(row, head);
        let lengths = inverseSqrt(sums.squares + shape.eps);
        let known = gate.x * lengths.x * sums.dots.x;
        let change = gate.y * (qkv[columns + 2u * keys + at] - known) * lengths.x;
        for (var i = 0u; i < SLICE; i++) {
            s[i] = gate.x * s[i] + change * k[i];
        }
        if (own && first == 0u) {
            let sum = gate.x * sums.dots.y + change * sums.dots.z;
            out[row * shape.out_stride + at] = sum * lengths.y * inverseSqrt(f32(shape.key_dim));
        }
    }
    for (var i = 0u; i < SLICE; i++) {
        let n = first + i * LANES;
        if (own && n < shape.key_dim) {
            state[at * shape.key_dim + n] = s[i];
        }
    }
}
