// Half a unit of weights in signed bytes.
alias Weights = vec4<u32>;
// What still counts as zero among them.
const REST: f32 = select(ZERO, 0.0, ZERO == 128.0);

fn weights(u: Unit, half: u32) -> Weights {
    let q = vec4<u32>(eight_bytes(u, 2u * half), eight_bytes(u, 2u * half + 1u));
    return select(q, q ^ vec4<u32>(0x80808080u), ZERO == 128.0);
}

fn product(w: Weights, x: Sixteen) -> f32 {
    return products(w, x.q);
}
