// Nibbles with a fifth bit: for weight b of quadruple k of the unit (two quadruples a nibble word) it is bit 8 b + k of `high`.
#import shared/nibbles
#import shared/eight

fn fifth_bits(high: u32, k: u32) -> u32 {
    return ((high >> k) & 0x01010101u) << 4u;
}

fn bytes_of_five_bits(word: u32, high: u32, i: u32) -> vec2<u32> {
    return nibble_bytes(word) | vec2<u32>(fifth_bits(high, 2u * i), fifth_bits(high, 2u * i + 1u));
}
