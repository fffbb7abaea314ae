//! wasm simd128: follows.
