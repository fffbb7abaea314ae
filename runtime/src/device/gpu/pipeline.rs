//! Compute pipelines, compiled once per shader and set of override constants, with bindings found by name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use gabion_shaders::{Binding, Kind, Shader};

use super::Gpu;
use super::plane::texel_format;
use crate::error::{Error, Result};

/// Values of a shader's `override` constants.
pub(super) type Constants = Vec<(&'static str, u32)>;

/// A compiled kernel.
pub(super) struct Pipeline {
    pub(super) shader: &'static Shader,
    pub(super) pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

/// Every pipeline of a device.
pub(super) struct Cache {
    pub(super) made: Mutex<HashMap<(&'static str, Constants), Arc<Pipeline>>>,
    /// What the driver keeps of its work, where it does.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) driver: Option<super::driver_cache::DriverCache>,
}

/// What a kernel is bound to.
#[derive(Clone)]
pub(super) enum Slice {
    /// Part of a buffer; `bytes` is `None` where it reaches to its end.
    Buffer { buffer: wgpu::Buffer, offset: u64, bytes: Option<u64> },
    /// A whole texture.
    Texture(wgpu::TextureView),
}

impl Slice {
    pub(super) fn whole(buffer: &wgpu::Buffer) -> Self {
        Self::part(buffer, 0, None)
    }

    pub(super) fn part(buffer: &wgpu::Buffer, offset: u64, bytes: Option<u64>) -> Self {
        Self::Buffer { buffer: buffer.clone(), offset, bytes }
    }

    fn binding(&self) -> wgpu::BindingResource<'_> {
        match self {
            Self::Buffer { buffer, offset, bytes } => {
                let size = bytes.and_then(wgpu::BufferSize::new);
                wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: *offset, size })
            }
            Self::Texture(view) => wgpu::BindingResource::TextureView(view),
        }
    }
}

impl Gpu {
    /// The pipeline of the shader `name` with these constants.
    pub(super) fn pipeline(&self, name: &str, constants: &Constants) -> Result<Arc<Pipeline>> {
        let shader = gabion_shaders::shader(name).ok_or_else(|| Error::Internal(format!("no shader '{name}'")))?;
        let key = (shader.name, constants.clone());
        let mut made = self.pipelines.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = made.get(&key) {
            return Ok(pipeline.clone());
        }
        let pipeline = Arc::new(self.compile(shader, constants));
        self.check()?;
        made.insert(key, pipeline.clone());
        Ok(pipeline)
    }

    /// The driver's memory of what it compiled in earlier processes.
    fn driver_cache(&self) -> Option<&wgpu::PipelineCache> {
        #[cfg(not(target_arch = "wasm32"))]
        return self.pipelines.driver.as_ref().map(|driver| driver.used());
        #[cfg(target_arch = "wasm32")]
        return None;
    }

    fn compile(&self, shader: &'static Shader, constants: &Constants) -> Pipeline {
        let label = Some(shader.name);
        let source = wgpu::ShaderSource::Wgsl(shader.source().into());
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor { label, source });
        let entries: Vec<_> = shader.bindings.iter().map(layout_entry).collect();
        let layout =
            self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let constants: Vec<_> = constants.iter().map(|&(name, value)| (name, f64::from(value))).collect();
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: self.driver_cache(),
        });
        Pipeline { shader, pipeline, layout }
    }

    /// Binds `buffers` by name; every binding of the shader must be among them.
    pub(super) fn bind(&self, pipeline: &Pipeline, buffers: &[(&str, Slice)]) -> Result<wgpu::BindGroup> {
        let entry = |binding: &Binding| {
            let found = buffers.iter().find(|(name, _)| *name == binding.name);
            let (_, slice) = found.ok_or_else(|| {
                Error::Internal(format!("{}: nothing is bound to '{}'", pipeline.shader.name, binding.name))
            })?;
            Ok(wgpu::BindGroupEntry { binding: binding.index, resource: slice.binding() })
        };
        let entries = pipeline.shader.bindings.iter().map(entry).collect::<Result<Vec<_>>>()?;
        Ok(self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(pipeline.shader.name),
            layout: &pipeline.layout,
            entries: &entries,
        }))
    }
}

fn layout_entry(binding: &Binding) -> wgpu::BindGroupLayoutEntry {
    let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
    let ty = match binding.kind {
        Kind::Uniform { .. } => buffer(wgpu::BufferBindingType::Uniform),
        Kind::Storage { read_only } => buffer(wgpu::BufferBindingType::Storage { read_only }),
        Kind::Texture { words } => wgpu::BindingType::StorageTexture {
            access: wgpu::StorageTextureAccess::ReadOnly,
            format: texel_format(words as usize),
            view_dimension: wgpu::TextureViewDimension::D2,
        },
    };
    wgpu::BindGroupLayoutEntry { binding: binding.index, visibility: wgpu::ShaderStages::COMPUTE, ty, count: None }
}

/// The bytes of a shader's uniform struct with these fields; all of them must be given, and no others.
pub(super) fn uniform(shader: &Shader, values: &[(&str, u32)]) -> Result<Vec<u8>> {
    let wrong = |what: String| Error::Internal(format!("{}: {what}", shader.name));
    let (size, fields) = shader
        .bindings
        .iter()
        .find_map(|binding| match binding.kind {
            Kind::Uniform { size, fields } => Some((size, fields)),
            Kind::Storage { .. } | Kind::Texture { .. } => None,
        })
        .ok_or_else(|| wrong("it has no uniform".into()))?;
    if values.len() != fields.len() {
        return Err(wrong(format!("{} values for {} fields", values.len(), fields.len())));
    }
    let mut bytes = vec![0; size as usize];
    for (name, offset) in fields {
        let value = values.iter().find(|value| value.0 == *name).ok_or_else(|| wrong(format!("no value of {name}")))?;
        bytes[*offset as usize..][..4].copy_from_slice(&value.1.to_le_bytes());
    }
    Ok(bytes)
}
