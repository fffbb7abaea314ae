//! One layer's keys and values: a ring of positions for each key/value head.

use half::f16;

use super::memory::{Parts, Room};
use super::simd::Simd;
use crate::device::{KV_GROUP, KvType, StateOptions, kv_capacity};
use crate::error::Result;
use crate::graph::AttentionPlan;
use crate::quant::{self, TensorType};

/// Keys of so many positions lie side by side, so that a vector holds one dimension of as many positions.
pub(super) const KEYS: usize = 16;
/// Values are padded to a multiple of so many dimensions.
const DIMS: usize = 16;

/// An element type of the cache. A head's elements are stored as units, `PER` elements in each; those of integer types
/// in groups of `KV_GROUP` with one scale.
pub(super) trait Element: 'static {
    type Unit: Copy + Send + Sync + bytemuck::Zeroable;
    /// Elements in a unit: unit j of a group holds the elements j, j + 16 of that group.
    const PER: usize = 1;
    /// Whether elements are to be multiplied by their group's scale.
    const SCALED: bool = false;
    /// Bits of an element.
    const BITS: usize;
    /// Units of a group.
    const UNITS: usize = KV_GROUP / Self::PER;

    /// Element `h` of a unit, unscaled.
    fn get(unit: Self::Unit, h: usize) -> f32;
    /// Element `h` of the first `S::LANES` units, unscaled.
    fn load<S: Simd>(s: S, units: &[Self::Unit], h: usize) -> S::F;
    /// Element `h` of a unit as a number of `BITS` bits.
    fn code(unit: Self::Unit, h: usize) -> u32;
    /// A unit with another element `h`.
    fn with_code(unit: Self::Unit, h: usize, code: u32) -> Self::Unit;
    /// The units of a group and its scale.
    fn encode(x: &[f32; KV_GROUP]) -> ([Self::Unit; KV_GROUP], f16);

    /// Units of `n` elements.
    fn units(n: usize) -> usize {
        n / KV_GROUP * Self::UNITS + Self::UNITS.min(n % KV_GROUP)
    }

    /// Where element `i` lies: its unit, and which of that unit's elements it is.
    #[inline(always)]
    fn place(i: usize) -> (usize, usize) {
        if Self::PER == 1 {
            return (i, 0);
        }
        (i / KV_GROUP * Self::UNITS + i % Self::UNITS, i % KV_GROUP / Self::UNITS)
    }

    /// The inverse: which element a unit's element `h` is.
    #[inline(always)]
    fn dimension(unit: usize, h: usize) -> usize {
        if Self::PER == 1 {
            return unit;
        }
        unit / Self::UNITS * KV_GROUP + h * Self::UNITS + unit % Self::UNITS
    }
}

impl Element for f32 {
    type Unit = f32;
    const BITS: usize = 32;
    fn get(x: f32, _: usize) -> f32 {
        x
    }
    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[f32], _: usize) -> S::F {
        s.load(x)
    }
    fn code(x: f32, _: usize) -> u32 {
        x.to_bits()
    }
    fn with_code(_: f32, _: usize, code: u32) -> f32 {
        f32::from_bits(code)
    }
    fn encode(x: &[f32; KV_GROUP]) -> ([f32; KV_GROUP], f16) {
        (*x, f16::ONE)
    }
}

impl Element for f16 {
    type Unit = f16;
    const BITS: usize = 16;
    fn get(x: f16, _: usize) -> f32 {
        x.to_f32()
    }
    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[f16], _: usize) -> S::F {
        s.load_half(x)
    }
    fn code(x: f16, _: usize) -> u32 {
        x.to_bits().into()
    }
    fn with_code(_: f16, _: usize, code: u32) -> f16 {
        f16::from_bits(code as u16)
    }
    fn encode(x: &[f32; KV_GROUP]) -> ([f16; KV_GROUP], f16) {
        (x.map(f16::from_f32), f16::ONE)
    }
}

/// Bytes, 128 more than the weight of a Q8_0 block.
pub(super) struct Q8;

impl Element for Q8 {
    type Unit = u8;
    const SCALED: bool = true;
    const BITS: usize = 8;
    fn get(q: u8, _: usize) -> f32 {
        f32::from(q) - 128.0
    }
    #[inline(always)]
    fn load<S: Simd>(s: S, q: &[u8], _: usize) -> S::F {
        s.add(s.load_u8(q), s.splat(-128.0))
    }
    fn code(q: u8, _: usize) -> u32 {
        q.into()
    }
    fn with_code(_: u8, _: usize, code: u32) -> u8 {
        code as u8
    }
    fn encode(x: &[f32; KV_GROUP]) -> ([u8; KV_GROUP], f16) {
        let (scale, q) = block::<34>(TensorType::Q8_0, x);
        (std::array::from_fn(|j| q[j] ^ 128), scale)
    }
}

/// Nibbles, as in a Q4_0 block.
pub(super) struct Q4;

impl Element for Q4 {
    type Unit = u8;
    const PER: usize = 2;
    const SCALED: bool = true;
    const BITS: usize = 4;
    fn get(q: u8, h: usize) -> f32 {
        f32::from(q >> (4 * h) & 15) - 8.0
    }
    #[inline(always)]
    fn load<S: Simd>(s: S, q: &[u8], h: usize) -> S::F {
        let mut nibbles = [0; 16];
        for (nibble, q) in nibbles.iter_mut().zip(&q[..S::LANES]) {
            *nibble = q >> (4 * h) & 15;
        }
        s.add(s.load_u8(&nibbles), s.splat(-8.0))
    }
    fn code(q: u8, h: usize) -> u32 {
        u32::from(q >> (4 * h) & 15)
    }
    fn with_code(q: u8, h: usize, code: u32) -> u8 {
        q & !(15 << (4 * h)) | ((code & 15) << (4 * h)) as u8
    }
    fn encode(x: &[f32; KV_GROUP]) -> ([u8; KV_GROUP], f16) {
        let (scale, q) = block::<18>(TensorType::Q4_0, x);
        (std::array::from_fn(|j| q.get(j).copied().unwrap_or_default()), scale)
    }
}

/// A block of a weights' type: its scale, and what follows that.
fn block<const BYTES: usize>(ty: TensorType, x: &[f32; KV_GROUP]) -> (f16, [u8; BYTES]) {
    let mut bytes = [0; BYTES];
    quant::format(ty).expect("a registered type").quantize(x, &mut bytes);
    let scale = f16::from_le_bytes([bytes[0], bytes[1]]);
    bytes.rotate_left(2);
    (scale, bytes)
}

/// Keys [kv_heads][capacity / KEYS][key_units][KEYS] and values [kv_heads][capacity][value_units], with scales of their
/// groups, [kv_heads][capacity / KEYS][groups][KEYS] and [kv_heads][capacity][groups]; position p lies in slot
/// p % capacity. Where keys are values too, there are no values.
pub(super) struct Ring<E: Element> {
    pub(super) keys: Vec<E::Unit>,
    pub(super) values: Vec<E::Unit>,
    pub(super) key_scales: Vec<f16>,
    pub(super) value_scales: Vec<f16>,
    pub(super) shape: Shape,
}

#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// A multiple of `KEYS`.
    pub(super) capacity: usize,
    /// Dimensions of a head and padding, whose values are rubbish.
    pub(super) value_width: usize,
    pub(super) key_units: usize,
    pub(super) value_units: usize,
    /// Scales of a key or value; 0 if there are none.
    pub(super) groups: usize,
    /// `AttentionPlan::keys_only`
    pub(super) keys_only: bool,
}

impl<E: Element> Ring<E> {
    fn new(plan: &AttentionPlan, options: &StateOptions, room: &Room) -> Result<Self> {
        let (heads, head_dim) = (if plan.kv_from.is_some() { 0 } else { plan.kv_heads }, plan.head_dim);
        let capacity = kv_capacity(plan.window, options).div_ceil(KEYS).saturating_mul(KEYS);
        let value_width = head_dim.next_multiple_of(DIMS);
        let (key_units, value_units) = (E::units(head_dim), E::units(value_width));
        let groups = if E::SCALED { head_dim.div_ceil(KV_GROUP) } else { 0 };
        let values = if plan.keys_only { 0 } else { heads };
        Ok(Self {
            keys: room.zeroed("the KV cache", &[heads, capacity, key_units])?,
            values: room.zeroed("the KV cache", &[values, capacity, value_units])?,
            key_scales: room.zeroed("the KV cache", &[heads, capacity, groups])?,
            value_scales: room.zeroed("the KV cache", &[values, capacity, groups])?,
            shape: Shape { capacity, value_width, key_units, value_units, groups, keys_only: plan.keys_only },
        })
    }

    /// The keys of `KEYS` positions from `pos` (a multiple of it) on, [key_units][KEYS], and their scales,
    /// [groups][KEYS].
    #[inline(always)]
    pub(super) fn key_block(&self, kv_head: usize, pos: usize) -> (&[E::Unit], &[f16]) {
        let s = &self.shape;
        let slot = kv_head * s.capacity + pos % s.capacity;
        let keys = &self.keys[slot * s.key_units..][..KEYS * s.key_units];
        (keys, &self.key_scales[slot * s.groups..][..KEYS * s.groups])
    }

    /// The values of one head, [capacity][value_units], and their scales, [capacity][groups].
    #[inline(always)]
    pub(super) fn head_values(&self, kv_head: usize) -> (&[E::Unit], &[f16]) {
        let s = &self.shape;
        let (units, scales) = (s.capacity * s.value_units, s.capacity * s.groups);
        (&self.values[kv_head * units..][..units], &self.value_scales[kv_head * scales..][..scales])
    }

    /// Dimension `d` of a key.
    pub(super) fn key(&self, kv_head: usize, pos: usize, d: usize) -> f32 {
        let (keys, scales) = self.key_block(kv_head, pos / KEYS * KEYS);
        let (unit, h) = E::place(d);
        let scale = if E::SCALED { scales[d / KV_GROUP * KEYS + pos % KEYS].to_f32() } else { 1.0 };
        scale * E::get(keys[unit * KEYS + pos % KEYS], h)
    }

    /// Dimension `d` of a value.
    pub(super) fn value(&self, kv_head: usize, pos: usize, d: usize) -> f32 {
        if self.shape.keys_only {
            return self.key(kv_head, pos, d);
        }
        let ((values, scales), slot) = (self.head_values(kv_head), pos % self.shape.capacity);
        let (unit, h) = E::place(d);
        let scale = if E::SCALED { scales[slot * self.shape.groups + d / KV_GROUP].to_f32() } else { 1.0 };
        scale * E::get(values[slot * self.shape.value_units + unit], h)
    }

    fn writer(&mut self) -> Writer<'_, E> {
        Writer {
            keys: Parts::new(&mut self.keys),
            values: Parts::new(&mut self.values),
            key_scales: Parts::new(&mut self.key_scales),
            value_scales: Parts::new(&mut self.value_scales),
            shape: self.shape,
        }
    }
}

/// Lets threads store different positions at once.
pub(super) struct Writer<'a, E: Element> {
    keys: Parts<'a, E::Unit>,
    values: Parts<'a, E::Unit>,
    key_scales: Parts<'a, f16>,
    value_scales: Parts<'a, f16>,
    shape: Shape,
}

impl<E: Element> Writer<'_, E> {
    /// # Safety
    /// No two threads may store the same head and position modulo the capacity at once.
    unsafe fn store(&self, kv_head: usize, pos: usize, key: &[f32], value: &[f32]) {
        let (s, slot) = (&self.shape, pos % self.shape.capacity);
        let (block, row) = (kv_head * s.capacity + slot / KEYS * KEYS, kv_head * s.capacity + slot);
        for (g, (key, value)) in key.chunks(KV_GROUP).zip(value.chunks(KV_GROUP)).enumerate() {
            let ((k, k_scale), (v, v_scale)) = (E::encode(&padded(key)), E::encode(&padded(value)));
            for j in 0..E::UNITS.min(key.len()) {
                let unit = g * E::UNITS + j;
                // SAFETY: the caller's promise keeps threads apart.
                unsafe {
                    self.keys.set(block * s.key_units + unit * KEYS + slot % KEYS, k[j]);
                    if !s.keys_only {
                        self.values.set(row * s.value_units + unit, v[j]);
                    }
                }
            }
            if E::SCALED {
                // SAFETY: as above.
                unsafe {
                    self.key_scales.set(block * s.groups + g * KEYS + slot % KEYS, k_scale);
                    if !s.keys_only {
                        self.value_scales.set(row * s.groups + g, v_scale);
                    }
                }
            }
        }
    }
}

/// A group, with zeros where the head ends.
fn padded(x: &[f32]) -> [f32; KV_GROUP] {
    std::array::from_fn(|i| x.get(i).copied().unwrap_or_default())
}

/// A layer's cache of any element type.
pub(super) enum Cache {
    F16(Ring<f16>),
    F32(Ring<f32>),
    Q8(Ring<Q8>),
    Q4(Ring<Q4>),
}

/// `Writer` of any element type.
pub(super) enum CacheWriter<'a> {
    F16(Writer<'a, f16>),
    F32(Writer<'a, f32>),
    Q8(Writer<'a, Q8>),
    Q4(Writer<'a, Q4>),
}

/// Calls something generic over the element type with the ring (or writer) in a cache.
macro_rules! with_ring {
    ($cache:expr, $kind:ident, $ring:ident => $call:expr) => {
        match $cache {
            $kind::F16($ring) => $call,
            $kind::F32($ring) => $call,
            $kind::Q8($ring) => $call,
            $kind::Q4($ring) => $call,
        }
    };
}
pub(super) use with_ring;

impl Cache {
    pub(super) fn new(plan: &AttentionPlan, options: &StateOptions, room: &Room) -> Result<Self> {
        Ok(match options.kv {
            KvType::F16 => Cache::F16(Ring::new(plan, options, room)?),
            KvType::F32 => Cache::F32(Ring::new(plan, options, room)?),
            KvType::Q8_0 => Cache::Q8(Ring::new(plan, options, room)?),
            KvType::Q4_0 => Cache::Q4(Ring::new(plan, options, room)?),
        })
    }

    pub(super) fn writer(&mut self) -> CacheWriter<'_> {
        match self {
            Cache::F16(ring) => CacheWriter::F16(ring.writer()),
            Cache::F32(ring) => CacheWriter::F32(ring.writer()),
            Cache::Q8(ring) => CacheWriter::Q8(ring.writer()),
            Cache::Q4(ring) => CacheWriter::Q4(ring.writer()),
        }
    }
}

impl CacheWriter<'_> {
    /// Stores the key and value of one head at a position.
    ///
    /// # Safety
    /// No two threads may store the same head and position modulo the capacity at once.
    pub(super) unsafe fn store(&self, kv_head: usize, pos: usize, key: &[f32], value: &[f32]) {
        // SAFETY: the caller's promise.
        with_ring!(self, CacheWriter, writer => unsafe { writer.store(kv_head, pos, key, value) })
    }
}
