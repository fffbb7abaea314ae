// Byte b of a nibble word holds weight b in its low half and weight 4 + b in its high half.
const LOW_SHIFTS = vec4<u32>(0u, 8u, 16u, 24u);
const HIGH_SHIFTS = vec4<u32>(4u, 12u, 20u, 28u);

fn low_nibbles(word: u32) -> vec4<u32> {
    return (vec4<u32>(word) >> LOW_SHIFTS) & vec4<u32>(15u);
}

fn high_nibbles(word: u32) -> vec4<u32> {
    return (vec4<u32>(word) >> HIGH_SHIFTS) & vec4<u32>(15u);
}

fn eight_nibbles(word: u32) -> Eight {
    return Eight(vec4<f32>(low_nibbles(word)), vec4<f32>(high_nibbles(word)));
}
