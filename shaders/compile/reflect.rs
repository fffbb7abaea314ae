//! Validates a shader and reads its bindings, uniform fields and workgroup size from it.

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{
    AddressSpace, BinaryOperator, Expression, GlobalVariable, ImageClass, Literal, Module, StorageAccess,
    StorageFormat, TypeInner,
};

/// Core WGSL that naga guards because OpenGL ES lacks it: `unpack2x16float` and `pack2x16float`.
/// The rest is what kernels of other levels than `base` need.
const CAPABILITIES: Capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32
    .union(Capabilities::SUBGROUP)
    .union(Capabilities::SHADER_INT64)
    .union(Capabilities::SHADER_FLOAT16)
    .union(Capabilities::COOPERATIVE_MATRIX);

/// The limits that WebGPU guarantees on every adapter.
const MAX_STORAGE_BUFFERS: usize = 8;
const MAX_WORKGROUP_BYTES: u32 = 16 << 10;
const MAX_INVOCATIONS: u32 = 256;

pub(crate) struct Reflection {
    /// Rust expressions of type `Binding`, by binding index.
    pub(crate) bindings: Vec<String>,
    pub(crate) workgroup_size: [u32; 3],
}

pub(crate) fn reflect(name: &str, source: &str) -> Result<Reflection, String> {
    let module = naga::front::wgsl::parse_str(source)
        .map_err(|e| format!("shader {name}:\n{}", e.emit_to_string_with_path(source, name)))?;
    Validator::new(ValidationFlags::all(), CAPABILITIES)
        .validate(&module)
        .map_err(|e| format!("shader {name}:\n{}", e.emit_to_string_with_path(source, name)))?;
    let globals: Vec<&GlobalVariable> = module.global_variables.iter().map(|(_, global)| global).collect();
    let reflection = Reflection { bindings: bindings(&module, &globals)?, workgroup_size: workgroup_size(&module)? };
    check_limits(&module, &globals, &reflection).map_err(|e| format!("shader {name}: {e}"))?;
    Ok(reflection)
}

fn bindings(module: &Module, globals: &[&GlobalVariable]) -> Result<Vec<String>, String> {
    let mut bound: Vec<_> = globals.iter().filter_map(|g| Some((g.binding?, *g))).collect();
    bound.sort_by_key(|(binding, _)| binding.binding);
    if bound.iter().any(|(binding, _)| binding.group != 0) {
        return Err("all bindings belong to group 0".into());
    }
    bound.iter().map(|(at, global)| binding(module, at.binding, global)).collect()
}

fn binding(module: &Module, index: u32, global: &GlobalVariable) -> Result<String, String> {
    let name = global.name.as_deref().unwrap_or("");
    let kind = match global.space {
        AddressSpace::Uniform => uniform(module, global)?,
        AddressSpace::Storage { access } => {
            format!("Kind::Storage {{ read_only: {} }}", !access.contains(StorageAccess::STORE))
        }
        AddressSpace::Handle => texture(module, global)?,
        space => return Err(format!("{name}: address space {space:?} is not bound")),
    };
    Ok(format!("Binding {{ index: {index}, name: {name:?}, kind: {kind} }}"))
}

/// A storage texture that is read.
fn texture(module: &Module, global: &GlobalVariable) -> Result<String, String> {
    let TypeInner::Image { class: ImageClass::Storage { format, access: StorageAccess::LOAD }, .. } =
        module.types[global.ty].inner
    else {
        return Err("a texture is a storage texture that is only read".into());
    };
    let words = match format {
        StorageFormat::R32Uint => 1,
        StorageFormat::Rgba32Uint => 4,
        format => return Err(format!("texels of {format:?}")),
    };
    Ok(format!("Kind::Texture {{ words: {words} }}"))
}

fn uniform(module: &Module, global: &GlobalVariable) -> Result<String, String> {
    let TypeInner::Struct { members, span } = &module.types[global.ty].inner else {
        return Err("a uniform is a struct of 4-byte fields".into());
    };
    let fields: Vec<String> =
        members.iter().map(|m| format!("({:?}, {})", m.name.as_deref().unwrap_or(""), m.offset)).collect();
    Ok(format!("Kind::Uniform {{ size: {span}, fields: &[{}] }}", fields.join(", ")))
}

/// The size of the only entry point, overrides at their defaults.
fn workgroup_size(module: &Module) -> Result<[u32; 3], String> {
    let [entry] = module.entry_points.as_slice() else { return Err("a shader has one entry point".into()) };
    let mut size = entry.workgroup_size;
    for (axis, expression) in entry.workgroup_size_overrides.iter().flatten().enumerate() {
        if let Some(expression) = expression {
            size[axis] = default_value(module, *expression).ok_or("a workgroup size without a default")?;
        }
    }
    Ok(size)
}

fn default_value(module: &Module, expression: naga::Handle<Expression>) -> Option<u32> {
    match module.global_expressions[expression] {
        Expression::Literal(Literal::U32(value)) => Some(value),
        Expression::Literal(Literal::I32(value)) => u32::try_from(value).ok(),
        Expression::Override(handle) => default_value(module, module.overrides[handle].init?),
        Expression::Binary { op: BinaryOperator::Multiply, left, right } => {
            Some(default_value(module, left)? * default_value(module, right)?)
        }
        _ => None,
    }
}

fn check_limits(module: &Module, globals: &[&GlobalVariable], reflection: &Reflection) -> Result<(), String> {
    let storage = globals.iter().filter(|g| matches!(g.space, AddressSpace::Storage { .. })).count();
    let workgroup = globals.iter().filter(|g| g.space == AddressSpace::WorkGroup);
    let bytes: u32 = workgroup.map(|g| module.types[g.ty].inner.size(module.to_ctx())).sum();
    let invocations: u32 = reflection.workgroup_size.iter().product();
    for (what, value, limit) in [
        ("storage buffers", storage as u32, MAX_STORAGE_BUFFERS as u32),
        ("bytes of workgroup memory", bytes, MAX_WORKGROUP_BYTES),
        ("invocations", invocations, MAX_INVOCATIONS),
    ] {
        if value > limit {
            return Err(format!("{value} {what}, WebGPU guarantees {limit}"));
        }
    }
    Ok(())
}
