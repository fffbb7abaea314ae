// Words of 32 bits that may hold two halves.
alias Word = u32;
fn packed(v: vec2<f32>) -> Word {
    return pack2x16float(v);
}
fn unpacked(word: Word) -> vec2<f32> {
    return unpack2x16float(word);
}
