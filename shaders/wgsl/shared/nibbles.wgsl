// Byte b of a nibble word holds weight b in its low half and weight 4 + b in its high half.
const LOW_SHIFTS = vec4<u32>(0u, 8u, 16u, 24u);
const HIGH_SHIFTS = vec4<u32>(4u, 12u, 20u, 28u);

fn low_nibbles(word: u32) -> vec4<u32> {
    return (vec4<u32>(word) >> LOW_SHIFTS) & vec4<u32>(15u);
}

fn high_nibbles(word: u32) -> vec4<u32> {
    return (vec4<u32>(word) >> HIGH_SHIFTS) & vec4<u32>(15u);
}

// Nibbles as signed numbers of four bits: shifted to the top, then down with their sign.
fn eight_signed_nibbles(word: u32) -> Eight {
    let lo = bitcast<vec4<i32>>(vec4<u32>(word) << (28u - LOW_SHIFTS)) >> vec4<u32>(28u);
    let hi = bitcast<vec4<i32>>(vec4<u32>(word) << (28u - HIGH_SHIFTS)) >> vec4<u32>(28u);
    return Eight(vec4<f32>(lo), vec4<f32>(hi));
}

fn eight_nibbles(word: u32) -> Eight {
    return Eight(vec4<f32>(low_nibbles(word)), vec4<f32>(high_nibbles(word)));
}
