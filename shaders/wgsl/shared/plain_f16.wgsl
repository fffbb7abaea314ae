// Inputs in f16 without scales of their own: all are divided by 16, so that none of a model's overflows.
const PLAIN_SCALE: f32 = 0.0625;
