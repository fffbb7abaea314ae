// IQ4_NL: d level. One word quadruple a unit; the d of two units share a scale word.
#import shared/iq4_levels
#import shared/nibble_unit
