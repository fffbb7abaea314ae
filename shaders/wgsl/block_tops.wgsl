// The likeliest logit of each block, and the block's Σ exp relative to it where that is wanted. An invocation makes a block.
#import shared/order
#import shared/run
// key, token, bits of the sum
@group(0) @binding(3) var<storage, read_write> tops: array<vec4<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= shape.blocks) {
        return;
    }
    var top = vec2<u32>(0u);
    for (var i = 0u; i < 4u * QUADS; i++) {
        let own = logit(id.x + (i / 4u) * shape.blocks, i % 4u);
        top = select(top, own, own.x > top.x);
    }
    var sum = 0.0;
    if (run.log_sum != 0u && top.x > NOTHING) {
        for (var i = 0u; i < 4u * QUADS; i++) {
            let own = logit(id.x + (i / 4u) * shape.blocks, i % 4u).x;
            if (own > NOTHING) {
                sum += exp(value_of(own) - value_of(top.x));
            }
        }
    }
    tops[id.x] = vec4<u32>(top, bitcast<u32>(sum), 0u);
}
