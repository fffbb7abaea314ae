//! A model's tensors in memory: matrices as they stand in the file (mapped where possible), vectors as f32.

use std::sync::Arc;

use super::Cpu;
use super::kernels::{MatrixKernel, kernels};
use super::memory::{Room, zeroed};
use super::state::CpuState;
use crate::device::{Loader, LocalFuture, Precision, State, StateBytes, StateOptions, Weights};
use crate::error::{Error, Result};
use crate::gguf::Mapped;
use crate::graph::{Plan, Weight, WeightId};

enum Bytes {
    Mapped { file: Mapped, offset: usize, len: usize },
    Owned(Vec<u8>),
}

/// A weight matrix or an embedding table.
pub(super) struct Matrix {
    bytes: Bytes,
    pub(super) kernel: MatrixKernel,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_bytes: usize,
}

impl Matrix {
    /// All rows, as encoded in the file.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped { file, offset, len } => &file[*offset..][..*len],
            Bytes::Owned(bytes) => bytes,
        }
    }
    /// Row `r`, encoded.
    pub(super) fn row(&self, r: usize) -> &[u8] {
        &self.bytes()[r * self.row_bytes..][..self.row_bytes]
    }
}

/// A loaded weight.
enum Tensor {
    Matrix(Matrix),
    Vector(Vec<f32>),
}

/// How far loading one weight has come.
enum Slot {
    Missing,
    /// Rows so far; room for all.
    Filling(Vec<u8>),
    Done(Tensor),
}

/// Takes a plan's weights.
pub(super) struct CpuLoader {
    cpu: Arc<Cpu>,
    plan: Arc<Plan>,
    precision: Precision,
    slots: Vec<Slot>,
}

impl CpuLoader {
    pub(super) fn new(cpu: Arc<Cpu>, plan: Arc<Plan>, precision: Precision) -> Self {
        let slots = plan.weights.iter().map(|_| Slot::Missing).collect();
        Self { cpu, plan, precision, slots }
    }

    fn weight(&self, id: WeightId) -> Result<&Weight> {
        self.plan.weights.get(id.0 as usize).ok_or_else(|| Error::Internal("there is no such weight".into()))
    }

    fn finished(&self, weight: &Weight, bytes: Bytes) -> Result<Tensor> {
        let unsupported = || Error::Unsupported(format!("tensor '{}' has type {}", weight.name, weight.ty.name()));
        let kernel = (kernels(self.cpu.level).mat_mul)(weight.ty, self.precision).ok_or_else(unsupported)?;
        let (rows, cols, row_bytes) = (weight.rows, weight.cols, weight.row_bytes());
        let matrix = Matrix { bytes, kernel, rows, cols, row_bytes };
        if weight.matrix {
            return Ok(Tensor::Matrix(matrix));
        }
        let mut vector = zeroed(&weight.name, &[cols])?;
        (kernel.decode)(matrix.row(0), &mut vector);
        Ok(Tensor::Vector(vector))
    }
}

/// Bytes of a whole weight, if they can be addressed here.
fn byte_len(weight: &Weight) -> Result<usize> {
    let too_large = || Error::OutOfMemory { what: weight.name.clone(), bytes: weight.bytes() };
    weight.row_bytes().checked_mul(weight.rows).ok_or_else(too_large)
}

impl Loader for CpuLoader {
    fn adopt(&mut self, id: WeightId, file: &Mapped, offset: usize) -> Result<bool> {
        let weight = self.weight(id)?;
        let len = byte_len(weight)?;
        if offset.checked_add(len).is_none_or(|end| end > file.len()) {
            return Err(Error::Model(format!("tensor '{}' ends after its file does", weight.name)));
        }
        let tensor = self.finished(weight, Bytes::Mapped { file: file.clone(), offset, len })?;
        self.slots[id.0 as usize] = Slot::Done(tensor);
        Ok(true)
    }

    fn rows(&mut self, id: WeightId, first: usize, bytes: &[u8]) -> Result<()> {
        let weight = self.weight(id)?.clone();
        let len = byte_len(&weight)?;
        let slot = std::mem::replace(&mut self.slots[id.0 as usize], Slot::Missing);
        let mut filled = match slot {
            Slot::Missing => reserve(&weight, len)?,
            Slot::Filling(filled) => filled,
            Slot::Done(_) => return Err(Error::Internal(format!("tensor '{}' was loaded twice", weight.name))),
        };
        if filled.len() != first * weight.row_bytes() || bytes.len() > len - filled.len() {
            return Err(Error::Internal(format!("rows of tensor '{}' came out of order", weight.name)));
        }
        filled.extend_from_slice(bytes);
        self.slots[id.0 as usize] = if filled.len() == len {
            Slot::Done(self.finished(&weight, Bytes::Owned(filled))?)
        } else {
            Slot::Filling(filled)
        };
        Ok(())
    }

    fn finish(self: Box<Self>) -> LocalFuture<'static, Result<Arc<dyn Weights>>> {
        Box::pin(async move {
            let named = self.slots.into_iter().zip(&self.plan.weights);
            let tensors = named.map(|(slot, weight)| match slot {
                Slot::Done(tensor) => Ok(tensor),
                _ => Err(Error::Internal(format!("tensor '{}' was not loaded whole", weight.name))),
            });
            let tensors = tensors.collect::<Result<_>>()?;
            Ok(Arc::new(CpuWeights { cpu: self.cpu, plan: self.plan, tensors }) as Arc<dyn Weights>)
        })
    }
}

fn reserve(weight: &Weight, len: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let failed = |_| Error::OutOfMemory { what: format!("tensor '{}'", weight.name), bytes: len as u64 };
    bytes.try_reserve_exact(len).map_err(failed)?;
    Ok(bytes)
}

/// All of a plan's weights.
pub(super) struct CpuWeights {
    pub(super) cpu: Arc<Cpu>,
    pub(super) plan: Arc<Plan>,
    tensors: Vec<Tensor>,
}

/// Bytes that a plan's weights take: matrices as in the file, vectors as f32.
pub(super) fn weight_bytes(plan: &Plan) -> u64 {
    let bytes = |weight: &Weight| if weight.matrix { weight.bytes() } else { 4 * weight.cols as u64 };
    plan.weights.iter().map(bytes).fold(0, u64::saturating_add)
}

/// Bytes that a session will take: it is made without memory.
pub(super) fn state_bytes(cpu: Arc<Cpu>, plan: Arc<Plan>, options: &StateOptions) -> Result<StateBytes> {
    let weights = Arc::new(CpuWeights { cpu, plan, tensors: Vec::new() });
    Ok(CpuState::within(weights, options, &Room::dry(), &Room::dry())?.bytes)
}

impl CpuWeights {
    /// A weight that is used as a matrix; `check` has seen to it that it is one.
    pub(super) fn matrix(&self, id: WeightId) -> &Matrix {
        match &self.tensors[id.0 as usize] {
            Tensor::Matrix(matrix) => matrix,
            Tensor::Vector(_) => unreachable!("checked: a matrix"),
        }
    }
    /// A weight that is used as a vector.
    pub(super) fn vector(&self, id: WeightId) -> &[f32] {
        match &self.tensors[id.0 as usize] {
            Tensor::Vector(vector) => vector,
            Tensor::Matrix(_) => unreachable!("checked: a vector"),
        }
    }
}

impl Weights for CpuWeights {
    fn state(self: Arc<Self>, options: &StateOptions) -> Result<Box<dyn State>> {
        Ok(Box::new(CpuState::new(self, options)?))
    }
    /// Mapped tensors count too: they take memory as soon as they are used.
    fn bytes(&self) -> u64 {
        let bytes = |tensor: &Tensor| match tensor {
            Tensor::Matrix(matrix) => matrix.bytes().len(),
            Tensor::Vector(vector) => size_of_val(&vector[..]),
        };
        self.tensors.iter().map(|tensor| bytes(tensor) as u64).sum()
    }
}
