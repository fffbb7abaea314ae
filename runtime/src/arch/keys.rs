//! Reads hyperparameters and finds tensors, with range checks.

use super::spec::{ConvSpec, LinearSpec};
use crate::error::{Error, Result};
use crate::gguf::{Header, TensorInfo, Value};
use crate::quant::TensorType;

/// Upper limits on hyperparameters: far above any real model, far below what overflows arithmetic.
const MAX_LAYERS: u32 = 512;
pub(super) const MAX_WIDTH: u32 = 1 << 20;
const MAX_TAPS: u32 = 256;

/// A header seen through one architecture's key prefix.
pub(super) struct Keys<'a> {
    pub(super) header: &'a Header,
    pub(super) arch: &'a str,
}

impl<'a> Keys<'a> {
    pub(super) fn new(header: &'a Header, arch: &'a str) -> Self {
        Self { header, arch }
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.arch)
    }

    pub(super) fn u32(&self, name: &str) -> Result<Option<u32>> {
        Ok(self.header.u32(&self.key(name))?)
    }

    pub(super) fn f32(&self, name: &str) -> Result<Option<f32>> {
        match self.header.f32(&self.key(name))? {
            Some(v) if !v.is_finite() => Err(self.bad(name, format!("{v} is not finite"))),
            v => Ok(v),
        }
    }

    pub(super) fn str(&self, name: &str) -> Result<Option<&'a str>> {
        Ok(self.header.str(&self.key(name))?)
    }

    pub(super) fn bad(&self, name: &str, problem: impl std::fmt::Display) -> Error {
        Error::Model(format!("{}: {problem}", self.key(name)))
    }

    /// A required count in 1..=max.
    fn count(&self, name: &str, max: u32) -> Result<usize> {
        let value = self.u32(name)?.ok_or_else(|| self.bad(name, "is missing"))?;
        self.in_range(name, value, max)
    }

    fn in_range(&self, name: &str, value: u32, max: u32) -> Result<usize> {
        if value == 0 || value > max {
            return Err(self.bad(name, format!("{value} is not in 1..={max}")));
        }
        Ok(value as usize)
    }

    /// A required width in elements.
    pub(super) fn width(&self, name: &str) -> Result<usize> {
        self.count(name, MAX_WIDTH)
    }

    /// An optional width in elements.
    pub(super) fn width_or(&self, name: &str, default: usize) -> Result<usize> {
        self.u32(name)?.map_or(Ok(default), |v| self.in_range(name, v, MAX_WIDTH))
    }

    /// The product of two widths, within the limit on widths.
    pub(super) fn product(&self, name: &str, a: usize, b: usize) -> Result<usize> {
        let product = a.checked_mul(b).filter(|product| *product <= MAX_WIDTH as usize);
        product.ok_or_else(|| self.bad(name, format!("{a} times {b} is too wide")))
    }

    /// How many positions a windowed layer sees; `None` where there is no limit, or the file says 0 (Phi-4).
    pub(super) fn window(&self) -> Result<Option<usize>> {
        let window = self.u32("attention.sliding_window")?.filter(|&window| window > 0);
        window.map(|window| self.in_range("attention.sliding_window", window, MAX_WIDTH)).transpose()
    }

    /// Which layers are windowed: the file tells a period or each layer, else `period` holds. The last layer of each period is
    /// global; a period of 0 has none.
    pub(super) fn sliding(&self, n_layer: usize, period: usize) -> Result<Vec<bool>> {
        let name = "attention.sliding_window_pattern";
        let array = match self.header.get(&self.key(name)) {
            Some(Value::Array(array)) => array,
            _ => {
                let period = self.u32(name)?.map_or(period, |period| period as usize);
                return Ok((0..n_layer).map(|i| period == 0 || i % period < period - 1).collect());
            }
        };
        let pattern = array.iter().take(n_layer).map(|v| match v {
            Value::Bool(sliding) => Some(sliding),
            _ => None,
        });
        let pattern: Option<Vec<bool>> = pattern.collect();
        pattern
            .filter(|pattern| pattern.len() == n_layer)
            .ok_or_else(|| self.bad(name, format!("is not an array of {n_layer} booleans")))
    }

    /// A cap of scores, logits or projections; `None` where there is none.
    pub(super) fn softcap(&self, name: &str) -> Result<Option<f32>> {
        Ok(self.f32(name)?.filter(|&cap| cap > 0.0))
    }

    pub(super) fn bool_or(&self, name: &str, default: bool) -> Result<bool> {
        Ok(self.header.bool(&self.key(name))?.unwrap_or(default))
    }

    /// Layers that an answer takes; blocks that predict further tokens come behind them, and count as blocks.
    pub(super) fn layers(&self) -> Result<usize> {
        let (name, blocks) = ("nextn_predict_layers", self.count("block_count", MAX_LAYERS)?);
        let further = self.u32(name)?.unwrap_or(0) as usize;
        match blocks.checked_sub(further).filter(|&layers| layers > 0) {
            Some(layers) => Ok(layers),
            None => Err(self.bad(name, format!("{further} of {blocks} blocks"))),
        }
    }

    pub(super) fn context_length(&self) -> Result<usize> {
        self.count("context_length", 1 << 30)
    }

    /// A positive float with a default.
    pub(super) fn positive_or(&self, name: &str, default: f32) -> Result<f32> {
        match self.f32(name)? {
            Some(v) if v > 0.0 => Ok(v),
            Some(v) => Err(self.bad(name, format!("{v} is not positive"))),
            None => Ok(default),
        }
    }

    /// A count that a file gives once or per layer; 0 where a layer has none, which only hybrids may have.
    pub(super) fn per_layer(
        &self,
        name: &str,
        n_layer: usize,
        default: Option<usize>,
        hybrid: bool,
    ) -> Result<Vec<usize>> {
        let one = |v: u32| if hybrid && v == 0 { Ok(0) } else { self.in_range(name, v, MAX_WIDTH) };
        let array = match self.header.get(&self.key(name)) {
            Some(Value::Array(array)) => array,
            None => return Ok(vec![default.ok_or_else(|| self.bad(name, "is missing"))?; n_layer]),
            Some(_) => return Ok(vec![one(self.u32(name)?.unwrap_or(0))?; n_layer]),
        };
        if array.len() < n_layer {
            return Err(self.bad(name, format!("has {} entries for {n_layer} layers", array.len())));
        }
        let number = |v: Value<'_>| {
            let v = v.as_i64().and_then(|v| u32::try_from(v).ok());
            one(v.ok_or_else(|| self.bad(name, "is not an array of u32"))?)
        };
        array.iter().take(n_layer).map(number).collect()
    }

    /// A tensor that must be there with exactly this shape.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<String> {
        let tensor = self.header.tensor(name).ok_or_else(|| Error::Model(format!("tensor '{name}' is missing")))?;
        check_shape(tensor, shape)?;
        self.refuse_scale(tensor)?;
        Ok(name.to_owned())
    }

    /// An NVFP4 matrix may have a factor of its own in `<base>.scale`: to ignore it would give wrong answers.
    fn refuse_scale(&self, tensor: &TensorInfo) -> Result<()> {
        let scale = tensor.name.strip_suffix("weight").map(|base| format!("{base}scale"));
        match scale.filter(|scale| tensor.ty() == Some(TensorType::NVFP4) && self.header.tensor(scale).is_some()) {
            Some(scale) => Err(Error::Unsupported(format!("tensor '{}' is NVFP4, scaled by '{scale}'", tensor.name))),
            None => Ok(()),
        }
    }

    /// A tensor that may be missing.
    pub(super) fn optional(&self, name: &str, shape: &[usize]) -> Result<Option<String>> {
        self.header.tensor(name).map(|_| self.tensor(name, shape)).transpose()
    }

    /// Linears over one input, side by side: from one tensor `fused` with the rows of all, where there is one, else each from
    /// its own.
    pub(super) fn linears(&self, fused: &str, parts: &[(String, usize)], inputs: usize) -> Result<Vec<LinearSpec>> {
        let outputs = parts.iter().map(|part| part.1).sum();
        match self.header.tensor(&format!("{fused}.weight")) {
            Some(_) => Ok(vec![self.linear(fused, inputs, outputs)?]),
            None => parts.iter().map(|(base, outputs)| self.linear(base, inputs, *outputs)).collect(),
        }
    }

    /// `<base>.weight` [inputs, outputs] with an optional `<base>.bias` [outputs].
    pub(super) fn linear(&self, base: &str, inputs: usize, outputs: usize) -> Result<LinearSpec> {
        Ok(LinearSpec {
            weight: self.tensor(&format!("{base}.weight"), &[inputs, outputs])?,
            bias: self.optional(&format!("{base}.bias"), &[outputs])?,
            inputs,
            outputs,
        })
    }

    /// A convolution: `<base>.weight` [taps, channels] with an optional `<base>.bias` `[channels]`; the key `taps` tells these.
    pub(super) fn conv(&self, base: &str, taps: &str, channels: usize) -> Result<ConvSpec> {
        let taps = self.count(taps, MAX_TAPS)?;
        Ok(ConvSpec {
            weight: self.tensor(&format!("{base}.weight"), &[taps, channels])?,
            bias: self.optional(&format!("{base}.bias"), &[channels])?,
            taps,
            channels,
        })
    }

    /// Matrices of one shape in one tensor, `<base>.weight` [inputs, outputs, n], with an optional `<base>.bias` [outputs, n].
    pub(super) fn stacked(&self, base: &str, inputs: usize, outputs: usize, n: usize) -> Result<LinearSpec> {
        Ok(LinearSpec {
            weight: self.tensor(&format!("{base}.weight"), &[inputs, outputs, n])?,
            bias: self.optional(&format!("{base}.bias"), &[outputs, n])?,
            inputs,
            outputs,
        })
    }
}

fn check_shape(tensor: &TensorInfo, shape: &[usize]) -> Result<()> {
    let wanted = |i: usize| shape.get(i).map_or(1, |&n| n as u64);
    if (0..4).all(|i| tensor.dims[i] == wanted(i)) {
        return Ok(());
    }
    Err(Error::Model(format!("tensor '{}' has shape {:?}, wanted {shape:?}", tensor.name, tensor.dims)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{Parse, Writer};

    #[test]
    fn a_scaled_matrix_is_refused() {
        let file = Writer::new().tensor("a.weight", TensorType::NVFP4, &[64], vec![0; 36]);
        let scaled = file.clone().tensor("a.scale", TensorType::F32, &[1], vec![0; 4]);
        let found = |file: Writer| {
            let bytes = file.to_bytes();
            let Ok(Parse::Done(header)) = Header::parse(&bytes, Some(bytes.len() as u64)) else {
                panic!("the file is sound")
            };
            Keys::new(&header, "").tensor("a.weight", &[64])
        };
        assert!(found(file).is_ok());
        assert!(matches!(found(scaled), Err(Error::Unsupported(_))));
    }
}
