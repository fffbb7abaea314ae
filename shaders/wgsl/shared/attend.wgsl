// Softmax attention of four queries at a time to blocks of cached keys, the softmax kept online. A vec4 is one number of each
// query. Needs `keys`, `values`, `shape.capacity` and `shape.scale`.
#import shared/scores
// invocations, at most 128
override WIDTH: u32 = 64u;
// half of a head's elements, at most 128
override PAIRS: u32 = 32u;
const BLOCK: u32 = 256u;
// by element of a head
var<workgroup> query: array<vec4<f32>, 256>;
var<workgroup> acc: array<vec4<f32>, 256>;
// by key of a block: scores, then weights
var<workgroup> scores: array<vec4<f32>, 256>;
var<workgroup> tops: array<vec4<f32>, 128>;

// Each query's running maximum, and this invocation's part of the sum of weights.
struct Softmax { m: vec4<f32>, l: vec4<f32> }
// Positions that each query sees: first, and the end; and its own.
struct Seen { first: vec4<u32>, end: vec4<u32>, pos: vec4<u32> }
// the heads of the queries, and ALiBi's slopes of these
var<private> own_heads: vec4<u32>;
var<private> slopes: vec4<f32>;

// main begins with it
fn for_heads(heads: vec4<u32>) {
    own_heads = heads;
    slopes = vec4<f32>(slope(heads.x), slope(heads.y), slope(heads.z), slope(heads.w));
}

// Adds the biases to this invocation's scores of a block; their maximum.
fn add_biases(lane: u32, block: u32, count: u32, seen: Seen) -> vec4<f32> {
    var top = vec4<f32>(LOWEST);
    for (var k = lane; k < count; k += WIDTH) {
        let s = max(scores[k] + biases(own_heads, seen.pos, block + k), vec4<f32>(LOWEST));
        scores[k] = s;
        top = max(top, s);
    }
    return top;
}

// The sum of one vec4 per invocation, in a fixed order.
fn sum_of_all(lane: u32, value: vec4<f32>) -> vec4<f32> {
    tops[lane] = value;
    workgroupBarrier();
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            tops[lane] += tops[lane + half];
        }
        workgroupBarrier();
    }
    let sum = tops[0];
    workgroupBarrier();
    return sum;
}

fn top_of_all(lane: u32, value: vec4<f32>) -> vec4<f32> {
    tops[lane] = value;
    workgroupBarrier();
    var top = value;
    for (var i = 0u; i < WIDTH; i++) {
        top = max(top, tops[i]);
    }
    return top;
}

// What the pairs from `first` on, a word of each of four keys, add to their scores.
fn word_scores(first: u32, a: Word, b: Word, c: Word, d: Word) -> mat4x4<f32> {
    var s = mat4x4<f32>();
    for (var k = 0u; k < PER; k++) {
        // the padding of keys is zero
        let e = 2u * min(first + k, PAIRS - 1u);
        let q = mat2x4<f32>(query[e], query[e + 1u]);
        s += mat4x4<f32>(q * pair_in(a, k), q * pair_in(b, k), q * pair_in(c, k), q * pair_in(d, k));
    }
    return s;
}

// Scores of four keys, WIDTH apart, a column each: the queries are loaded once for all of them.
fn four_scores(kv_head: u32, slots: vec4<u32>) -> mat4x4<f32> {
    let a = key_at(kv_head, slots.x);
    let b = key_at(kv_head, slots.y);
    let c = key_at(kv_head, slots.z);
    let d = key_at(kv_head, slots.w);
    var s = mat4x4<f32>();
    for (var first = 0u; first < PAIRS; first += GROUP) {
        var part = mat4x4<f32>();
        for (var p = first; p < min(first + GROUP, PAIRS); p += PER) {
            let i = 8u * (p / PER);
            part += word_scores(p, keys[a + i], keys[b + i], keys[c + i], keys[d + i]);
        }
        let g = first / GROUP;
        s += mat4x4<f32>(
            key_scale(a, g) * part[0], key_scale(b, g) * part[1], key_scale(c, g) * part[2], key_scale(d, g) * part[3],
        );
    }
    return s * shape.scale;
}

// Keeps a score of key k of the block, for those that see it.
fn kept(block: u32, k: u32, count: u32, seen: Seen, score: vec4<f32>) -> vec4<f32> {
    let pos = vec4<u32>(block + k);
    let bent = capped(score) - slopes * vec4<f32>(max(pos, seen.pos) - min(pos, seen.pos));
    let visible = select(vec4<f32>(LOWEST), bent, (pos >= seen.first) & (pos < seen.end));
    if (k >= count) {
        return vec4<f32>(LOWEST);
    }
    scores[k] = visible;
    return visible;
}

fn block_scores(lane: u32, kv_head: u32, block: u32, count: u32, seen: Seen) -> vec4<f32> {
    let start = block % shape.capacity;
    var top = vec4<f32>(LOWEST);
    for (var i = lane; i < count; i += 4u * WIDTH) {
        let k = vec4<u32>(i, i + WIDTH, i + 2u * WIDTH, i + 3u * WIDTH);
        // keys beyond the last repeat it and are not kept
        let slots = start + min(k, vec4<u32>(count - 1u));
        let s = four_scores(kv_head, select(slots, slots - shape.capacity, slots >= vec4<u32>(shape.capacity)));
        let ab = max(kept(block, k.x, count, seen, s[0]), kept(block, k.y, count, seen, s[1]));
        let cd = max(kept(block, k.z, count, seen, s[2]), kept(block, k.w, count, seen, s[3]));
        top = max(top, max(ab, cd));
    }
    return top;
}

// acc = keep * acc + the block's values by their weights. An invocation makes up to four pairs of elements, WIDTH apart.
fn add_values(lane: u32, kv_head: u32, start: u32, count: u32, keep: vec4<f32>) {
    for (var p = lane; p < PAIRS; p += 4u * WIDTH) {
        let pair = min(vec4<u32>(p, p + WIDTH, p + 2u * WIDTH, p + 3u * WIDTH), vec4<u32>(PAIRS - 1u));
        let e = 2u * pair;
        let o = e + 1u;
        var even = mat4x4<f32>(keep * acc[e.x], keep * acc[e.y], keep * acc[e.z], keep * acc[e.w]);
        var odd = mat4x4<f32>(keep * acc[o.x], keep * acc[o.y], keep * acc[o.z], keep * acc[o.w]);
        var slot = start;
        for (var i = 0u; i < count; i++) {
            let w = scores[i];
            let at = value_at(kv_head, slot);
            let a = value_pair(at, pair.x);
            even[0] += w * a.x;
            odd[0] += w * a.y;
            if (PAIRS > WIDTH) {
                let b = value_pair(at, pair.y);
                even[1] += w * b.x;
                odd[1] += w * b.y;
            }
            if (PAIRS > 2u * WIDTH) {
                let c = value_pair(at, pair.z);
                let d = value_pair(at, pair.w);
                even[2] += w * c.x;
                odd[2] += w * c.y;
                even[3] += w * d.x;
                odd[3] += w * d.y;
            }
            slot = ring(slot + 1u);
        }
        keep_pair(p, even[0], odd[0]);
        keep_pair(p + WIDTH, even[1], odd[1]);
        keep_pair(p + 2u * WIDTH, even[2], odd[2]);
        keep_pair(p + 3u * WIDTH, even[3], odd[3]);
    }
}

fn keep_pair(pair: u32, even: vec4<f32>, odd: vec4<f32>) {
    if (pair < PAIRS) {
        acc[2u * pair] = even;
        acc[2u * pair + 1u] = odd;
    }
}

// Attends to positions begin..end as far as each query sees them.
fn attend(lane: u32, kv_head: u32, begin: u32, end: u32, seen: Seen, before: Softmax) -> Softmax {
    var m = before.m;
    var l = before.l;
    for (var block = begin; block < end; block += BLOCK) {
        let count = min(BLOCK, end - block);
        var own_top = block_scores(lane, kv_head, block, count, seen);
        if (BUCKETS != 0u) {
            own_top = add_biases(lane, block, count, seen);
        }
        let top = top_of_all(lane, max(m, own_top));
        let keep = exp(m - top);
        m = top;
        l *= keep;
        for (var i = lane; i < count; i += WIDTH) {
            let s = scores[i];
            let w = select(exp(s - top), vec4<f32>(0.0), s <= vec4<f32>(LOWEST));
            scores[i] = w;
            l += w;
        }
        workgroupBarrier();
        add_values(lane, kv_head, block % shape.capacity, count, keep);
        workgroupBarrier();
    }
    return Softmax(m, l);
}
