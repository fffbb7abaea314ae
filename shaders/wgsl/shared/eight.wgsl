// Weights that are bytes below 128, as floats. Needs ZERO and `eight_bytes`.
#import shared/bytes

fn eight(u: Unit, i: u32) -> Eight {
    let q = eight_bytes(u, i);
    return Eight(bytes_of(q.x) - ZERO * POWERS, bytes_of(q.y) - ZERO * POWERS);
}
