// Nibbles that name one of 16 levels. Needs LEVELS, these as bytes, and their ZERO.
#import shared/planes
#import shared/ones

fn levels_of(nibbles: vec4<u32>) -> vec4<u32> {
    let upper = (nibbles & vec4<u32>(4u)) != vec4<u32>(0u);
    let low = select(vec4<u32>(LEVELS.x), vec4<u32>(LEVELS.y), upper);
    let high = select(vec4<u32>(LEVELS.z), vec4<u32>(LEVELS.w), upper);
    let word = select(low, high, (nibbles & vec4<u32>(8u)) != vec4<u32>(0u));
    return (word >> (8u * (nibbles & vec4<u32>(3u)))) & vec4<u32>(255u);
}

// The four weights in the low halves of a nibble word's bytes.
fn low_levels(word: u32) -> vec4<u32> {
    return levels_of((vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(15u));
}

fn eight(u: Unit, i: u32) -> Eight {
    return Eight(vec4<f32>(low_levels(u.q[i])) - ZERO, vec4<f32>(low_levels(u.q[i] >> 4u)) - ZERO);
}

fn word_of(bytes: vec4<u32>) -> u32 {
    return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    return vec2<u32>(word_of(low_levels(u.q[i])), word_of(low_levels(u.q[i] >> 4u)));
}
