// Two bits a weight: half a word quadruple a unit, in whose word i bits 8 b + 2 k belong to weight 16 i + 4 k + b.
#import shared/parts
#import shared/eight

// Weights 4 k .. 4 k + 3 of a word, one a byte.
fn pairs_of(word: u32, k: u32) -> u32 {
    return (word >> (2u * k)) & 0x03030303u;
}

fn eight_pairs(q: vec2<u32>, i: u32) -> vec2<u32> {
    let k = 2u * (i & 1u);
    return vec2<u32>(pairs_of(q[i >> 1u], k), pairs_of(q[i >> 1u], k + 1u));
}
