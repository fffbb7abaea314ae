// Twice the numbers of 4 bits (E2M1): 0, 1, 2, 3, 4, 6, 8, 12, and the same below zero.
const LEVELS = vec4<u32>(0x0F0E0D0Cu, 0x18141210u, 0x090A0B0Cu, 0x00040608u);
const ZERO: f32 = 12.0;
#import shared/levels
