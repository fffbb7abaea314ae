// Nibbles that name one of 16 levels. Needs LEVELS, the levels as bytes, and their BIAS.
#import shared/planes
#import shared/ones

fn levels_of(nibbles: vec4<u32>) -> vec4<f32> {
    let upper = (nibbles & vec4<u32>(4u)) != vec4<u32>(0u);
    let low = select(vec4<u32>(LEVELS.x), vec4<u32>(LEVELS.y), upper);
    let high = select(vec4<u32>(LEVELS.z), vec4<u32>(LEVELS.w), upper);
    let word = select(low, high, (nibbles & vec4<u32>(8u)) != vec4<u32>(0u));
    return vec4<f32>((word >> (8u * (nibbles & vec4<u32>(3u)))) & vec4<u32>(255u)) - BIAS;
}

// Byte b of a nibble word holds weight b in its low half and weight 4 + b in its high half.
fn eight_levels(word: u32) -> Eight {
    let bytes = vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u);
    return Eight(levels_of(bytes & vec4<u32>(15u)), levels_of((bytes >> vec4<u32>(4u)) & vec4<u32>(15u)));
}
