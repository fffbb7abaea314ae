//! The WGSL compute shaders of gabion, as text with reflected bindings.
//!
//! Each file in `wgsl/` is one kernel with the entry point `main` and bind group 0; `wgsl/shared` and `wgsl/quant` are
//! imported by them; `wgsl/permutations` lists what is built. The build script preprocesses and validates every
//! permutation, so a shader that is listed here parses, type-checks and keeps WebGPU's default limits.
#![warn(missing_docs)]

/// What a binding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A uniform struct.
    Uniform {
        /// Its size in bytes.
        size: u32,
        /// Its 4-byte fields: name and byte offset.
        fields: &'static [(&'static str, u32)],
    },
    /// A storage buffer.
    Storage {
        /// Whether the shader only reads it.
        read_only: bool,
    },
    /// A storage texture in two dimensions that the shader reads.
    Texture {
        /// Unsigned words of a texel: one or four.
        words: u32,
    },
}

/// One binding of group 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The `@binding` number.
    pub index: u32,
    /// The variable's name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
}

/// One permutation of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Shader {
    /// File name, then the value of each axis: `mat_vec.q4_1`.
    pub name: &'static str,
    /// Its bindings by index.
    pub bindings: &'static [Binding],
    /// Invocations per workgroup, overrides at their defaults.
    pub workgroup_size: [u32; 3],
    /// Numbers of what its text is made of.
    pieces: &'static [u16],
}

impl Shader {
    /// WGSL; the entry point is `main`.
    pub fn source(&self) -> String {
        self.pieces.iter().map(|&piece| PIECES[usize::from(piece)]).collect()
    }
}

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// The shader of that name.
pub fn shader(name: &str) -> Option<&'static Shader> {
    SHADERS.binary_search_by(|shader| shader.name.cmp(name)).ok().map(|at| &SHADERS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shader_is_found_by_name() {
        assert!(!SHADERS.is_empty());
        for each in SHADERS {
            assert_eq!(shader(each.name).map(|found| found.name), Some(each.name));
        }
        assert!(shader("mat_vec.q9_9").is_none());
    }

    #[test]
    fn uniform_fields_lie_inside_their_struct() {
        for binding in SHADERS.iter().flat_map(|shader| shader.bindings) {
            if let Kind::Uniform { size, fields } = binding.kind {
                assert!(fields.iter().all(|(_, offset)| offset + 4 <= size), "{binding:?}");
            }
        }
    }
}
