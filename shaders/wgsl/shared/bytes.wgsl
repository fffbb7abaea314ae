// Weights as the bytes of words. A byte is read where it lies, as b * 2^(8 i), and input i of four is multiplied by 2^(-8 i)
// to make up for it: both are exact, and cost less than shifting every weight down.
const POWERS = vec4<f32>(1.0, 256.0, 65536.0, 16777216.0);
const BYTE_MASKS = vec4<u32>(0xFFu, 0xFF00u, 0xFF0000u, 0xFF000000u);
const NIBBLE_MASKS = vec4<u32>(0xFu, 0xF00u, 0xF0000u, 0xF000000u);

// The four bytes; the last is signed, the others are not.
fn bytes_of(word: u32) -> vec4<f32> {
    return vec4<f32>(bitcast<vec4<i32>>(vec4<u32>(word) & BYTE_MASKS));
}

fn low_nibbles(word: u32) -> vec4<f32> {
    return vec4<f32>(bitcast<vec4<i32>>(vec4<u32>(word) & NIBBLE_MASKS));
}

// Byte b of a nibble word holds weight b in its low half and weight 4 + b in its high half.
fn eight_nibbles(word: u32) -> Eight {
    return Eight(low_nibbles(word), low_nibbles(word >> 4u));
}
