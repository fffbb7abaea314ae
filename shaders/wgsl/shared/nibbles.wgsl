// Byte b of a nibble word holds weight b in its low half and weight 4 + b in its high half.
fn nibble_bytes(word: u32) -> vec2<u32> {
    return vec2<u32>(word, word >> 4u) & vec2<u32>(0x0F0F0F0Fu);
}
