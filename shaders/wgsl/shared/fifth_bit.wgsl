// Nibbles with a fifth bit from a second word, bit i of which belongs to weight i of the unit.
#import shared/nibbles

fn bits_of(word: u32, first: u32) -> vec4<u32> {
    return ((vec4<u32>(word) >> (vec4<u32>(0u, 1u, 2u, 3u) + first)) & vec4<u32>(1u)) << vec4<u32>(4u);
}

fn eight_of_five_bits(word: u32, high: u32, i: u32) -> Eight {
    let lo = low_nibbles(word) | bits_of(high, 8u * i);
    let hi = high_nibbles(word) | bits_of(high, 8u * i + 4u);
    return Eight(vec4<f32>(lo), vec4<f32>(hi));
}
