// The levels of IQ4_NL and IQ4_XS, -127 to 113.
const LEVELS = vec4<u32>(0x3F2D1801u, 0x766A5D4Fu, 0xA6998D81u, 0xF1D9C5B5u);
const ZERO: f32 = 128.0;
#import shared/levels
