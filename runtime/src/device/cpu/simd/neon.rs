//! NEON: follows.
