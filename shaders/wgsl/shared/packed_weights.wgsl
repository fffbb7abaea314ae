// Half a unit of weights as packed inputs want them.
#import shared/packed
#ifdef LEVEL_INT8
#import shared/int8_weights
#else
#import shared/f16_weights
#endif

// What the products of half a unit come to: p is their sum, s the scale and the sum of its inputs.
fn unpacked(a: vec2<f32>, p: f32, s: vec2<f32>) -> f32 {
    let sum = a.x * p * s.x;
    if (HAS_OFFSET || REST > 0.0) {
        return sum + (a.y - REST * a.x) * s.y;
    }
    return sum;
}
