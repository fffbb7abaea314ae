// Q4_0: d (q - 8). One word quadruple a unit; the d of two units share a scale word.
#import shared/bytes
#import shared/nibble_unit

fn eight(u: Unit, i: u32) -> Eight {
    let q = eight_nibbles(u.q[i]);
    return Eight(q.lo - 8.0 * POWERS, q.hi - 8.0 * POWERS);
}
