// Weights as bytes, those of `eight_bytes(u, i)` below 128. A byte b stands for b - ZERO.
//
// As floats, a byte is read where it lies, as b * 2^(8 i), and input i of four is multiplied by 2^(-8 i) to make up for it: both
// are exact, and cost less than shifting every weight down.
const POWERS = vec4<f32>(1.0, 256.0, 65536.0, 16777216.0);
const BYTE_MASKS = vec4<u32>(0xFFu, 0xFF00u, 0xFF0000u, 0xFF000000u);

// The four bytes; the last is signed, the others are not.
fn bytes_of(word: u32) -> vec4<f32> {
    return vec4<f32>(bitcast<vec4<i32>>(vec4<u32>(word) & BYTE_MASKS));
}
