//! How fast all threads together copy memory: the limit that token generation is measured against.

use std::hint::black_box;

#[cfg(not(target_arch = "wasm32"))]
use std::time::Instant;
#[cfg(target_arch = "wasm32")]
use web_time::Instant;

use super::memory::{Line, Parts, zeroed};
use super::pool::Pool;
use crate::error::Result;

/// Bytes of each of the two arrays: more than caches hold, if they are not a server's.
const BYTES: usize = if cfg!(target_arch = "wasm32") { 32 << 20 } else { 256 << 20 };
/// Bytes that a thread copies at once.
const PIECE: usize = 1 << 20;
/// Copies, of which the fastest counts: whatever else the machine does only slows one down.
const COPIES: usize = 6;

/// Bytes read and written per second.
pub(super) fn copy(pool: &Pool) -> Result<f64> {
    let lines = BYTES / size_of::<Line>();
    let mut from: Vec<Line> = zeroed("copied memory", &[lines])?;
    let mut to: Vec<Line> = zeroed("copied memory", &[lines])?;
    // pages that nobody wrote are all the same one
    bytemuck::cast_slice_mut::<Line, u8>(&mut from).fill(1);
    let fastest = (0..COPIES).map(|_| once(pool, &from, &mut to)).fold(f64::INFINITY, f64::min);
    Ok(2.0 * BYTES as f64 / fastest)
}

/// Seconds of one copy.
fn once(pool: &Pool, from: &[Line], to: &mut [Line]) -> f64 {
    let start = Instant::now();
    let (piece, parts) = (PIECE / size_of::<Line>(), Parts::new(to));
    pool.run(BYTES / PIECE, &|_, item| {
        // SAFETY: each piece is written once.
        unsafe { parts.part(item * piece, piece) }.copy_from_slice(&from[item * piece..][..piece]);
    });
    black_box(to);
    start.elapsed().as_secs_f64()
}
