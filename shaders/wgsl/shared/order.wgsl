// The order of logits, by their bits: what NaN and infinities compare to in floats is up to the driver.
// A block is a set of up to 64 logits: vec4s `blocks` apart, so that neighbouring invocations read neighbouring ones.
struct Shape {
    // logits, blocks
    n: u32,
    blocks: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
// bits of f32
@group(0) @binding(2) var<storage, read> logits: array<vec4<u32>>;
const QUADS: u32 = 16u;
// the key of minus infinity
const NOTHING: u32 = 0x007FFFFFu;

// A number that compares as the logit does; 0 for NaN, which counts as no logit at all, and the same for both zeros.
fn key_of(bits: u32) -> u32 {
    let magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) {
        return 0u;
    }
    if (magnitude == 0u || bits == magnitude) {
        return magnitude | 0x80000000u;
    }
    return ~bits;
}

fn value_of(key: u32) -> f32 {
    return bitcast<f32>(select(~key, key & 0x7FFFFFFFu, key >= 0x80000000u));
}

// A logit's key and token, those of logit c of a vec4; no key beyond the last token.
fn logit(at: u32, c: u32) -> vec2<u32> {
    let token = 4u * at + c;
    if (token >= shape.n) {
        return vec2<u32>(0u, token);
    }
    return vec2<u32>(key_of(logits[at][c]), token);
}

// Whether logit a is likelier than b, of equals the lower token.
fn likelier(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.x > b.x || (a.x == b.x && a.y < b.y);
}
