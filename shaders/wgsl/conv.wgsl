// A causal depthwise convolution: out[c] = bias[c] + Σ_j weight[c][j] * input[c] of the row taps - 1 - j rows back, then SiLU
// or a gate. A workgroup makes 32 channels of all rows, eight rows at a time.
struct Shape {
    channels: u32,
    taps: u32,
    x_stride: u32,
    out_stride: u32,
    // first column of x
    first: u32,
    // where weight and bias start in the arena
    weight: u32,
    bias: u32,
}
const CHANNELS: u32 = 32u;
const ROWS: u32 = 8u;
// 1: x is [B | C | X], its product B * X is the input, and the result is multiplied by C
override GATED: u32 = 0u;
override SILU: u32 = 0u;
override BIAS: u32 = 0u;
@group(0) @binding(0) var<uniform> shape: Shape;
#import shared/run
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> arena: array<f32>;
@group(0) @binding(4) var<storage, read_write> state: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

// What is convolved, of the row so many rows after the first that the state holds.
fn input(channel: u32, after: u32) -> f32 {
    let kept = shape.taps - 1u;
    if (after < kept) {
        return select(state[after * shape.channels + channel], 0.0, run.pos == 0u);
    }
    let at = (after - kept) * shape.x_stride + shape.first + channel;
    if (GATED == 0u) {
        return x[at];
    }
    return x[at] * x[at + 2u * shape.channels];
}

fn result(channel: u32, row: u32) -> f32 {
    var sum = 0.0;
    if (BIAS != 0u) {
        sum = arena[shape.bias + channel];
    }
    for (var j = 0u; j < shape.taps; j++) {
        sum += arena[shape.weight + channel * shape.taps + j] * input(channel, row + j);
    }
    if (SILU != 0u) {
        sum /= 1.0 + exp(-sum);
    }
    if (GATED == 0u) {
        return sum;
    }
    return sum * x[row * shape.x_stride + shape.first + shape.channels + channel];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = group.x * CHANNELS + lane % CHANNELS;
    if (channel < shape.channels) {
        for (var row = lane / CHANNELS; row < run.rows; row += ROWS) {
            out[row * shape.out_stride + channel] = result(channel, row);
        }
    }
    // nobody reads the state any more
    storageBarrier();
    if (channel < shape.channels && lane < CHANNELS) {
        for (var i = 0u; i + 1u < shape.taps; i++) {
            state[i * shape.channels + channel] = input(channel, run.rows + i);
        }
    }
}
