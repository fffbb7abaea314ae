//! Names the library as the linker wants it: rustc writes no SONAME, and without one a program records the path it was
//! linked with.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // 0 is the version of the ABI, GABION_ABI_VERSION: it changes only when an old program could no longer run
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("windows") => {}
        Ok("macos" | "ios") => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libgabion.0.dylib");
        }
        _ => println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libgabion.so.0"),
    }
}
