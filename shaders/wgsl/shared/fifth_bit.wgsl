// Nibbles with a fifth bit: for weight b of quadruple k of the unit (two quadruples a nibble word) it is bit 8 b + k of `high`.
#import shared/bytes

fn fifth_bits(high: u32, k: u32) -> u32 {
    return ((high >> k) & 0x01010101u) << 4u;
}

fn eight_of_five_bits(word: u32, high: u32, i: u32) -> Eight {
    let lo = (word & 0x0F0F0F0Fu) | fifth_bits(high, 2u * i);
    let hi = ((word >> 4u) & 0x0F0F0F0Fu) | fifth_bits(high, 2u * i + 1u);
    return Eight(bytes_of(lo), bytes_of(hi));
}
