// The likeliest token; where more than one candidate is wanted, all tokens that are among the `run.candidates` likeliest,
// and as many others as happen to be as likely as the k-th likeliest block. One workgroup. The token is the next step's.
#import shared/order
#import shared/fields
#import shared/sum
@group(0) @binding(1) var<storage, read_write> run: Run;
// of block_tops
@group(0) @binding(3) var<storage, read> tops: array<vec4<u32>>;
// candidates, the likeliest token, bits of its logit and of Σ exp relative to it; then tokens and bits of their logits
@group(0) @binding(4) var<storage, read_write> picked: array<u32>;
// Wide on every adapter: llvmpipe ends a shader's loops after 65535 turns, of all of them together.
const WIDTH: u32 = 256u;
// candidates that `picked` holds
const MOST: u32 = 256u;
var<workgroup> winners: array<vec2<u32>, 256>;
var<workgroup> counter: atomic<u32>;
var<workgroup> shared_word: u32;

// A number of invocation 0, for all.
fn from_first(lane: u32, value: u32) -> u32 {
    if (lane == 0u) {
        shared_word = value;
    }
    return workgroupUniformLoad(&shared_word);
}

fn winner(lane: u32) -> vec2<u32> {
    var top = vec2<u32>(0u);
    for (var b = lane; b < shape.blocks; b += WIDTH) {
        top = select(top, tops[b].xy, likelier(tops[b].xy, top));
    }
    winners[lane] = top;
    workgroupBarrier();
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        if (lane < half && likelier(winners[lane + half], winners[lane])) {
            winners[lane] = winners[lane + half];
        }
        workgroupBarrier();
    }
    return winners[0];
}

// Σ exp relative to the likeliest.
fn sum_exp(lane: u32, top: u32) -> f32 {
    var sum = 0.0;
    for (var b = lane; b < shape.blocks; b += WIDTH) {
        if (tops[b].x > NOTHING) {
            sum += bitcast<f32>(tops[b].z) * exp(value_of(tops[b].x) - value_of(top));
        }
    }
    return sum_of_all(lane, sum);
}

// 1 if a logit is likelier than `bound`; then it is put into `picked` if `keep`.
fn look(own: vec2<u32>, bound: vec2<u32>, keep: bool) -> u32 {
    if (own.x == 0u || !likelier(own, bound)) {
        return 0u;
    }
    if (keep) {
        let at = 4u + 2u * min(atomicAdd(&counter, 1u), MOST - 1u);
        picked[at] = own.y;
        picked[at + 1u] = logits[own.y / 4u][own.y % 4u];
    }
    return 1u;
}

// The same of a block; how many there are.
fn visit(block: u32, bound: vec2<u32>, keep: bool) -> u32 {
    var n = 0u;
    for (var i = 0u; i < QUADS; i++) {
        let at = block + i * shape.blocks;
        n += look(logit(at, 0u), bound, keep) + look(logit(at, 1u), bound, keep);
        n += look(logit(at, 2u), bound, keep) + look(logit(at, 3u), bound, keep);
    }
    return n;
}

// How many blocks or logits are likelier than `bound`.
fn tally(lane: u32, blocks: bool, bound: vec2<u32>) -> u32 {
    var n = 0u;
    for (var b = lane; b < shape.blocks; b += WIDTH) {
        if (tops[b].x < bound.x) {
            continue;
        }
        if (blocks) {
            n += 1u;
        } else {
            n += visit(b, bound, false);
        }
    }
    if (lane == 0u) {
        atomicStore(&counter, 0u);
    }
    workgroupBarrier();
    atomicAdd(&counter, n);
    workgroupBarrier();
    return from_first(lane, atomicLoad(&counter));
}

// The largest key that `k` blocks or logits reach, at least `least`, which so many reach.
fn kth(lane: u32, blocks: bool, least: u32, k: u32) -> u32 {
    var key = 0u;
    for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
        let trial = key | bit;
        if (trial <= least) {
            key = trial;
        } else if (tally(lane, blocks, vec2<u32>(trial, 0xFFFFFFFFu)) >= k) {
            key = trial;
        }
    }
    return key;
}

// `k` logits are likelier than this, no more: of those whose key is `key`, the lowest tokens.
fn cut(lane: u32, key: u32, k: u32) -> vec2<u32> {
    var token = 0u;
    for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
        let trial = token | bit;
        if (trial < shape.n) {
            if (tally(lane, false, vec2<u32>(key, trial)) < k) {
                token = trial;
            }
        }
    }
    return vec2<u32>(key, token + 1u);
}

fn gather(lane: u32, bound: vec2<u32>) -> u32 {
    if (lane == 0u) {
        atomicStore(&counter, 0u);
    }
    workgroupBarrier();
    for (var b = lane; b < shape.blocks; b += WIDTH) {
        if (tops[b].x >= bound.x) {
            visit(b, bound, true);
        }
    }
    workgroupBarrier();
    return min(atomicLoad(&counter), MOST);
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(local_invocation_index) lane: u32) {
    let wanted = from_first(lane, run.candidates);
    let top = winner(lane);
    let sum = sum_exp(lane, top.x);
    var count = min(top.x, 1u);
    if (wanted > 1u) {
        // k blocks reach `least`, so k logits do
        let least = kth(lane, true, 0u, wanted);
        var bound = vec2<u32>(least, 0xFFFFFFFFu);
        if (tally(lane, false, bound) > MOST) {
            bound.x = kth(lane, false, least, wanted);
            if (tally(lane, false, bound) > MOST) {
                bound = cut(lane, bound.x, wanted);
            }
        }
        count = gather(lane, bound);
    }
    if (lane == 0u) {
        picked[0] = count;
        picked[1] = top.y;
        picked[2] = logits[top.y / 4u][top.y % 4u];
        picked[3] = bitcast<u32>(sum);
        run.pos += 1u;
        run.tokens[0] = top.y;
    }
}
