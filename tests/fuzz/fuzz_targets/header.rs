//! libFuzzer's way into `targets::header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    gabion_fuzz::targets::header(data);
});
