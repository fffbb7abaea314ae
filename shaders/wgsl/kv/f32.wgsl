// A cache of float32: two elements a word.
alias Word = vec2<f32>;
fn packed(v: vec2<f32>) -> Word {
    return v;
}
fn unpacked(word: Word) -> vec2<f32> {
    return word;
}
#import kv/floats
