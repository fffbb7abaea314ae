//! Which instructions the CPU path uses.

/// A set of kernels, from the plainest to the fastest of each architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// Scalar code, the oracle for everything else. Computes with f32 activations whatever the precision.
    Reference,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// The same and AVX-VNNI.
    AvxVnni,
    /// x86-64 with AVX-512 F, BW, DQ, VL and VNNI.
    Avx512Vnni,
    /// aarch64 with NEON.
    Neon,
    /// The same and its dot product extension.
    NeonDot,
    /// WebAssembly built with simd128.
    Simd128,
}

impl Level {
    /// Every level of any machine, the faster of each architecture later.
    pub const ALL: &[Level] = {
        use Level::*;
        &[Reference, Avx2, AvxVnni, Avx512Vnni, Neon, NeonDot, Simd128]
    };

    /// The fastest level this machine has.
    pub fn best() -> Self {
        Self::ALL.iter().copied().rfind(|level| level.is_available()).unwrap_or(Level::Reference)
    }

    /// Whether this machine can run it.
    pub fn is_available(self) -> bool {
        self == Level::Reference || has(self)
    }

    /// Its name, e.g. `AVX-512 VNNI`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Reference => "reference",
            Level::Avx2 => "AVX2",
            Level::AvxVnni => "AVX-VNNI",
            Level::Avx512Vnni => "AVX-512 VNNI",
            Level::Neon => "NEON",
            Level::NeonDot => "NEON dotprod",
            Level::Simd128 => "simd128",
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has(level: Level) -> bool {
    macro_rules! all {
        ($($feature:tt),*) => { $(is_x86_feature_detected!($feature))&&* };
    }
    let avx2 = all!("avx2", "fma", "f16c");
    match level {
        Level::Avx2 => avx2,
        Level::AvxVnni => avx2 && all!("avxvnni"),
        Level::Avx512Vnni => avx2 && all!("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni"),
        _ => false,
    }
}

#[cfg(target_arch = "aarch64")]
fn has(level: Level) -> bool {
    match level {
        Level::Neon => true,
        Level::NeonDot => std::arch::is_aarch64_feature_detected!("dotprod"),
        _ => false,
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has(level: Level) -> bool {
    level == Level::Simd128 && cfg!(all(target_arch = "wasm32", target_feature = "simd128"))
}
