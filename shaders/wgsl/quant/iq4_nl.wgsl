// IQ4_NL: d level. One word quadruple a unit; the d of two units share a scale word.
#import shared/iq4_levels
#import shared/nibble_unit

fn eight(u: Unit, i: u32) -> Eight {
    return eight_levels(u.q[i]);
}
