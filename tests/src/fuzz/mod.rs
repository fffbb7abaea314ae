//! Fuzzing: what a target does with its input, and the inputs it starts from. `tests/fuzz` links the targets to libFuzzer;
//! the test `fuzz` replays inputs through them on every run of the tests.

pub mod seeds;
pub mod targets;
