//! The random generator of sampling: PCG-XSH-RR 64/32 (O'Neill 2014), specified here so that it never changes.

const MULTIPLIER: u64 = 6364136223846793005;
const INCREMENT: u64 = 1442695040888963407;

/// 64 bits of state, 32 bits a step. Seeded as the reference does: state 0, step, add the seed, step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = Self { state: 0 };
        rng.next_u32();
        rng.state = rng.state.wrapping_add(seed);
        rng.next_u32();
        rng
    }

    /// 32 uniform bits.
    pub fn next_u32(&mut self) -> u32 {
        let old = self.state;
        self.state = old.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
        let xored = (((old >> 18) ^ old) >> 27) as u32;
        xored.rotate_right((old >> 59) as u32)
    }

    /// Uniform in [0, 1), with 53 bits: two steps, high bits first.
    pub fn next_f64(&mut self) -> f64 {
        let high = u64::from(self.next_u32()) >> 5;
        let low = u64::from(self.next_u32()) >> 6;
        ((high << 26) + low) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    /// Pins the sequence; the values come from an independent implementation (Python integers).
    #[test]
    fn sequence_of_seed_42() {
        let mut rng = Rng::new(42);
        assert_eq!([(); 4].map(|_| rng.next_u32()), SEQUENCE_42);
    }

    const SEQUENCE_42: [u32; 4] = [3270867926, 1795671209, 1924641435, 1143034755];
}
