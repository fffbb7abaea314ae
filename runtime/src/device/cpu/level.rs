//! Which instructions the CPU path uses.

/// A set of kernels, from the plainest to the fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// Scalar code, the oracle for everything else. Computes with f32 activations whatever the precision.
    Reference,
}

impl Level {
    /// Every level, plainest first.
    pub const ALL: &[Level] = &[Level::Reference];

    /// The fastest level this machine has.
    pub fn best() -> Self {
        Self::ALL.iter().copied().rfind(|level| level.is_available()).unwrap_or(Level::Reference)
    }

    /// Whether this machine can run it.
    pub fn is_available(self) -> bool {
        match self {
            Level::Reference => true,
        }
    }

    /// Its name, e.g. `AVX-512 VNNI`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Reference => "reference",
        }
    }
}
