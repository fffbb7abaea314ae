// Codebooks: each vector of 16 bits names eight levels of two bits or four of four (runtime/src/device/gpu/planes/grids.rs).
// They stand behind the scales in their plane. Needs VECTORS, how many.
#import shared/parts
#import shared/scales
#import shared/eight

fn vector_at(index: u32) -> u32 {
    let word = scale_word(scale_words() - VECTORS / 2u + index / 2u);
    return (word >> (16u * (index & 1u))) & 0xFFFFu;
}

// Four bit pairs of the low byte, one a byte.
fn spread_pairs(v: u32) -> u32 {
    let c = (v | (v << 12u)) & 0x000F000Fu;
    return (c | (c << 6u)) & 0x03030303u;
}

// Four nibbles, one a byte.
fn spread_nibbles(v: u32) -> u32 {
    let c = (v | (v << 8u)) & 0x00FF00FFu;
    return (c | (c << 4u)) & 0x0F0F0F0Fu;
}

// 64 + g, or 64 - g where a bit of the low four of `signs` is set, for the bytes g of a word, all below 64.
fn with_signs(g: u32, signs: u32) -> u32 {
    let negative = (((signs & 15u) * 0x00204081u) & 0x01010101u) * 255u;
    return 0x40404040u + g - 2u * (g & negative);
}

// Four times 7 bits of signs with an eighth that makes their number even.
fn even_signs(sevens: u32) -> u32 {
    var parity = sevens ^ (sevens >> 4u);
    parity ^= parity >> 2u;
    parity ^= parity >> 1u;
    return sevens | ((parity & 0x01010101u) << 7u);
}

// The same of 28 bits.
fn even_signs_of(packed: u32) -> u32 {
    let bytes = vec4<u32>(packed) >> vec4<u32>(0u, 7u, 14u, 21u);
    let sevens = (bytes & vec4<u32>(127u)) << vec4<u32>(0u, 8u, 16u, 24u);
    return even_signs(sevens.x | sevens.y | sevens.z | sevens.w);
}
