// Q4_0: d (q - 8). One word quadruple a unit; the d of two units share a scale word.
#import shared/nibble_unit
#import shared/nibbles
#import shared/eight
const ZERO: f32 = 8.0;

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    return nibble_bytes(u.q[i]);
}
