// RWKV's recurrence: for every element v of a head's value and its row s of the state (all formulas: `graph::Wkv`),
// known = s . κ; out = s . read - known (erased . r) + v own; s = decay s - known erased + v keys. LANES neighbouring invocations
// make one element of all rows, each with every LANES-th element of s in registers.
struct Shape {
    // heads times dim
    channels: u32,
    dim: u32,
    r_stride: u32,
    gates_stride: u32,
    k_stride: u32,
    v_stride: u32,
    out_stride: u32,
    // where vectors start in the arena
    bonus: u32,
    k_k: u32,
    k_a: u32,
}
override LANES: u32 = 1u;
// 1: RWKV-7, whose keys erase what they are known to give; else RWKV-6
override DELTA: u32 = 0u;
@group(0) @binding(0) var<uniform> shape: Shape;
#import shared/run
@group(0) @binding(2) var<storage, read> r: array<f32>;
@group(0) @binding(3) var<storage, read> gates: array<f32>;
@group(0) @binding(4) var<storage, read> k: array<f32>;
@group(0) @binding(5) var<storage, read> v: array<f32>;
@group(0) @binding(6) var<storage, read> arena: array<f32>;
@group(0) @binding(7) var<storage, read_write> state: array<f32>;
@group(0) @binding(8) var<storage, read_write> out: array<f32>;
#import shared/registers

// Sums over the elements of a head, with κ not yet of length 1: s.read, s.κ, erased.r and keys.r; κ.κ and the bonus.
struct Sums {
    dots: vec4<f32>,
    rest: vec2<f32>,
}
var<workgroup> partial: array<array<Sums, 64>, 2>;

// What a row does to one element of s.
struct Key {
    decay: f32,
    key: f32,
    known: f32,
    erased: f32,
}

fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(-x));
}

fn key_of(row: u32, column: u32) -> Key {
    let key = k[row * shape.k_stride + column];
    let gate = gates[row * shape.gates_stride + column];
    if (DELTA == 0u) {
        // no infinity, which drivers may treat as they like
        return Key(exp(-exp(min(gate, 80.0))), key, 0.0, 0.0);
    }
    let rate = sigmoid(gates[row * shape.gates_stride + shape.channels + column]);
    let known = key * arena[shape.k_k + column];
    let changed = key * (1.0 + (rate - 1.0) * arena[shape.k_a + column]);
    return Key(exp(-0.60653066 * sigmoid(gate)), changed, known, known * rate);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.x * (64u / LANES) + lane / LANES;
    let own = channel < shape.channels && lane < 64u / LANES * LANES;
    let at = select(0u, channel, own);
    let head = at / shape.dim * shape.dim;
    let first = lane % LANES;
    var s = array<f32, SLICE>();
    var decays = array<f32, SLICE>();
    var keys = array<f32, SLICE>();
    var erased = array<f32, SLICE>();
    for (var i = 0u; i < SLICE; i++) {
        let n = first + i * LANES;
        if (n < shape.dim && run.pos > 0u) {
            s[i] = state[at * shape.dim + n];
        }
    }
    for (var row = 0u; row < run.rows; row++) {
        var sums = Sums(vec4(0.0), vec2(0.0));
        for (var i = 0u; i < SLICE; i++) {
            let n = first + i * LANES;
            if (n < shape.dim) {
                let key = key_of(row, head + n);
                let reader = r[row * shape.r_stride + head + n];
                let read = select(reader, key.decay * reader, DELTA != 0u);
                decays[i] = key.decay;
                keys[i] = key.key;
                erased[i] = key.erased;
                sums.dots += vec4(s[i] * read, s[i] * key.known, key.erased * reader, key.key * reader);
                sums.rest += vec2(key.known * key.known, key.key * reader * arena[shape.bonus + head + n]);
            }
        }
        // two memories in turn: one barrier a row
        partial[row % 2u][lane] = sums;
        workgroupBarrier();
        sums = Sums(vec4(0.0), vec2(0.0));
        for (var i = 0u; i < LANES; i++) {
            let part = partial[row % 2u][lane - first + i];
            sums.dots += part.dots;
            sums.rest += part.rest;
        }
        // κ and what is erased both still lack the factor that makes κ's length 1
        let known = sums.dots.y / max(sums.rest.x, 1e-24);
        let value = v[row * shape.v_stride + at];
        for (var i = 0u; i < SLICE; i++) {
            s[i] = decays[i] * s[i] - known * erased[i] + value * keys[i];
        }
        if (own && first == 0u) {
            let column = row * shape.out_stride + at;
            if (DELTA != 0u) {
                out[column] = sums.dots.x - known * sums.dots.z + value * sums.dots.w;
                out[column + shape.channels] = value * sums.rest.y;
            } else {
                out[column] = sums.dots.x + value * sums.rest.y;
            }
        }
    }
    for (var i = 0u; i < SLICE; i++) {
        let n = first + i * LANES;
        if (own && n < shape.dim) {
            state[at * shape.dim + n] = s[i];
        }
    }
}
