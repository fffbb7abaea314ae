// Weights that are read as they are: see shared/bytes.
const POWERS = vec4<f32>(1.0);
