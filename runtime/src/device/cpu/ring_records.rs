//! A ring's keys and values as records (`device/record.rs`), and its copy.

use half::f16;

use super::cache::{Cache, Element, KEYS, Ring, with_ring};
use crate::device::record::Section;

/// Where the units of a key or value, or its scales, lie: the first, and how far apart they are.
struct Place {
    first: usize,
    step: usize,
}

impl Place {
    fn new(section: &Section, capacity: usize, width: usize, kv_head: usize, pos: usize) -> Self {
        let slot = pos % capacity;
        match section.values {
            true => Self { first: (kv_head * capacity + slot) * width, step: 1 },
            false => Self { first: (kv_head * capacity + slot / KEYS * KEYS) * width + slot % KEYS, step: KEYS },
        }
    }

    fn of(&self, i: usize) -> usize {
        self.first + i * self.step
    }
}

impl<E: Element> Ring<E> {
    fn save(&self, section: &Section, out: &mut [u8]) {
        let s = &self.shape;
        let (units, scales, width) = match section.values {
            true => (&self.values, &self.value_scales, s.value_units),
            false => (&self.keys, &self.key_scales, s.key_units),
        };
        let elements = section.record - 4 * s.groups.div_ceil(2);
        for (kv_head, pos, place) in section.records() {
            let record = &mut out[place];
            let unit = Place::new(section, s.capacity, width, kv_head, pos);
            for i in 0..section.head_dim {
                let (u, h) = E::place(i);
                put(record, E::BITS, i, E::code(units[unit.of(u)], h));
            }
            let scale = Place::new(section, s.capacity, s.groups, kv_head, pos);
            (0..s.groups).for_each(|g| put(&mut record[elements..], 16, g, scales[scale.of(g)].to_bits().into()));
        }
    }

    fn load(&mut self, section: &Section, saved: &[u8]) {
        let s = self.shape;
        let (units, scales, width) = match section.values {
            true => (&mut self.values, &mut self.value_scales, s.value_units),
            false => (&mut self.keys, &mut self.key_scales, s.key_units),
        };
        let elements = section.record - 4 * s.groups.div_ceil(2);
        // a shorter ring keeps the last positions, which come last
        for (kv_head, pos, place) in section.records() {
            let record = &saved[place];
            let unit = Place::new(section, s.capacity, width, kv_head, pos);
            for i in 0..section.head_dim {
                let (u, h) = E::place(i);
                let unit = &mut units[unit.of(u)];
                *unit = E::with_code(*unit, h, get(record, E::BITS, i));
            }
            let scale = Place::new(section, s.capacity, s.groups, kv_head, pos);
            (0..s.groups).for_each(|g| scales[scale.of(g)] = f16::from_bits(get(&record[elements..], 16, g) as u16));
        }
    }

    /// Takes the first slots of another ring of the same shape; the others stay untouched memory.
    fn copy_from(&mut self, other: &Self, slots: usize) {
        let s = self.shape;
        let slots = (slots.next_multiple_of(KEYS).min(s.capacity), s.capacity);
        copy_slots(&mut self.keys, &other.keys, slots, s.key_units);
        copy_slots(&mut self.values, &other.values, slots, s.value_units);
        copy_slots(&mut self.key_scales, &other.key_scales, slots, s.groups);
        copy_slots(&mut self.value_scales, &other.value_scales, slots, s.groups);
    }
}

/// The first of all slots of every head.
fn copy_slots<T: Copy>(to: &mut [T], from: &[T], (slots, capacity): (usize, usize), width: usize) {
    let heads = to.chunks_exact_mut((capacity * width).max(1)).zip(from.chunks_exact((capacity * width).max(1)));
    heads.for_each(|(to, from)| to[..slots * width].copy_from_slice(&from[..slots * width]));
}

impl Cache {
    pub(super) fn save(&self, section: &Section, out: &mut [u8]) {
        with_ring!(self, Cache, ring => ring.save(section, out))
    }

    pub(super) fn load(&mut self, section: &Section, saved: &[u8]) {
        with_ring!(self, Cache, ring => ring.load(section, saved))
    }

    /// Takes what another cache of the same layer holds below position `written`.
    pub(super) fn copy_from(&mut self, other: &Self, written: usize) {
        match (self, other) {
            (Cache::F16(to), Cache::F16(from)) => to.copy_from(from, written),
            (Cache::F32(to), Cache::F32(from)) => to.copy_from(from, written),
            (Cache::Q8(to), Cache::Q8(from)) => to.copy_from(from, written),
            (Cache::Q4(to), Cache::Q4(from)) => to.copy_from(from, written),
            _ => unreachable!("caches of one session's options have one type"),
        }
    }
}

/// Sets number `i` of so many bits among bytes that are zero there.
fn put(bytes: &mut [u8], bits: usize, i: usize, code: u32) {
    match bits {
        4 => bytes[i / 2] |= (code << (4 * (i % 2))) as u8,
        _ => bytes[i * bits / 8..][..bits / 8].copy_from_slice(&code.to_le_bytes()[..bits / 8]),
    }
}

fn get(bytes: &[u8], bits: usize, i: usize) -> u32 {
    if bits == 4 {
        return u32::from(bytes[i / 2] >> (4 * (i % 2)) & 15);
    }
    let mut code = [0; 4];
    code[..bits / 8].copy_from_slice(&bytes[i * bits / 8..][..bits / 8]);
    u32::from_le_bytes(code)
}
