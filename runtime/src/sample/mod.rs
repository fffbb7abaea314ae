//! Picks the next token from logits: a chain of filters and our own specified random generator, so that a seed gives the
//! same draw through every face and on every platform.

mod rng;

pub use rng::Rng;

use std::cmp::Ordering;

use crate::error::{Error, Result};

/// How to pick a token. The defaults are llama.cpp's, without penalties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplerOptions {
    /// Divides the logits; 0 or less picks the most likely token.
    pub temperature: f32,
    /// Keeps the k most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the fewest tokens whose probabilities reach this sum; 1 or more keeps all.
    pub top_p: f32,
    /// Drops tokens less likely than this times the most likely one; 0 keeps all.
    pub min_p: f32,
    /// Start of the random sequence.
    pub seed: u64,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self { temperature: 0.8, top_k: 40, top_p: 0.95, min_p: 0.05, seed: 0 }
    }
}

impl SamplerOptions {
    /// Always the most likely token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    fn check(&self) -> Result<()> {
        let bad = [self.temperature, self.top_p, self.min_p].iter().any(|v| v.is_nan());
        if bad { Err(Error::InvalidArgument("a sampler option is not a number".into())) } else { Ok(()) }
    }
}

/// A sampler with its random state.
#[derive(Clone, Debug)]
pub struct Sampler {
    options: SamplerOptions,
    rng: Rng,
    /// Candidates of the current draw with their logits, later with their gaps to the best, kept to reuse the memory.
    candidates: Vec<(u32, f32)>,
}

impl Sampler {
    /// A sampler at the start of its random sequence. Fails if an option is NaN.
    pub fn new(options: SamplerOptions) -> Result<Self> {
        options.check()?;
        Ok(Self { options, rng: Rng::new(options.seed), candidates: Vec::new() })
    }

    /// Picks a token. A NaN logit counts as minus infinity; equal logits keep the lower id first. The chain is top-k,
    /// top-p, min-p, temperature, draw.
    pub fn pick(&mut self, logits: &[f32]) -> Result<u32> {
        let best = argmax(logits).map(|id| (id, logits[id as usize]));
        self.choose(best, logits.iter().zip(0..).map(|(&logit, id)| (id, logit)))
    }

    /// Picks a token as `pick` does, given the logits of the `needs()` likeliest tokens and of any others, in any order.
    pub fn pick_among(&mut self, candidates: impl Iterator<Item = (u32, f32)> + Clone) -> Result<u32> {
        let best = candidates.clone().filter(|c| !c.1.is_nan()).min_by(by_logit).filter(|best| best.1.is_finite());
        self.choose(best, candidates)
    }

    fn choose(&mut self, best: Option<(u32, f32)>, candidates: impl Iterator<Item = (u32, f32)>) -> Result<u32> {
        let best = best.ok_or_else(|| Error::Model("no logit is a finite number".into()))?;
        if self.options.temperature <= 0.0 {
            return Ok(best.0);
        }
        self.fill(candidates, best.1);
        self.top_k();
        self.candidates.iter_mut().for_each(|c| c.1 -= best.1);
        self.top_p();
        self.min_p();
        Ok(self.draw())
    }

    /// How many of the likeliest tokens decide a pick; `None` if all do.
    pub fn needs(&self) -> Option<usize> {
        match self.options.top_k {
            _ if self.options.temperature <= 0.0 => Some(1),
            0 => None,
            k => Some(k),
        }
    }

    /// Candidates without those that no option could let through: below 104 (times a temperature above 1) exp() of the gap
    /// to the best is 0 in f32.
    fn fill(&mut self, candidates: impl Iterator<Item = (u32, f32)>, best: f32) {
        self.candidates.clear();
        let floor = -104.0 * self.options.temperature.max(1.0);
        self.candidates.extend(candidates.filter(|c| c.1 - best >= floor));
    }

    fn top_k(&mut self) {
        let k = self.options.top_k;
        if k > 0 && k < self.candidates.len() {
            self.candidates.select_nth_unstable_by(k - 1, by_logit);
            self.candidates.truncate(k);
        }
        self.candidates.sort_unstable_by(by_logit);
    }

    fn top_p(&mut self) {
        if self.options.top_p >= 1.0 {
            return;
        }
        let total: f32 = self.candidates.iter().map(|c| c.1.exp()).sum();
        let mut sum = 0.0;
        let enough = self.candidates.iter().position(|c| {
            sum += c.1.exp() / total;
            sum >= self.options.top_p
        });
        self.candidates.truncate(enough.map_or(self.candidates.len(), |i| i + 1));
    }

    fn min_p(&mut self) {
        if self.options.min_p > 0.0 {
            let floor = self.options.min_p.min(1.0).ln();
            let keep = self.candidates.partition_point(|c| c.1 >= floor);
            self.candidates.truncate(keep.max(1));
        }
    }

    fn draw(&mut self) -> u32 {
        let weight = |c: &(u32, f32)| f64::from((c.1 / self.options.temperature).exp());
        let total: f64 = self.candidates.iter().map(weight).sum();
        let mut left = self.rng.next_f64() * total;
        for candidate in &self.candidates {
            left -= weight(candidate);
            if left < 0.0 {
                return candidate.0;
            }
        }
        self.candidates[0].0
    }
}

/// The likeliest first, of equals the lower id; both zeros are one.
fn by_logit(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
    (b.1 + 0.0).total_cmp(&(a.1 + 0.0)).then(a.0.cmp(&b.0))
}

/// The id of the largest logit, the lowest of equals; `None` if none is finite.
pub fn argmax(logits: &[f32]) -> Option<u32> {
    let mut best = (None, f32::NEG_INFINITY);
    for (&logit, id) in logits.iter().zip(0..) {
        if logit > best.1 {
            best = (Some(id), logit);
        }
    }
    best.0.filter(|_| best.1.is_finite())
}

/// ln Σ exp(logit), in f64. NaN logits count as minus infinity.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let gaps = logits.iter().map(|&l| l - max).filter(|gap| !gap.is_nan());
    f64::from(max) + gaps.map(|gap| f64::from(gap).exp()).sum::<f64>().ln()
}

/// The `k` most likely tokens with their log-probabilities, most likely first.
pub fn top_logprobs(logits: &[f32], k: usize) -> Vec<(u32, f32)> {
    likeliest(logits.iter().zip(0..).map(|(&logit, id)| (id, logit)), log_sum_exp(logits), k)
}

/// The same of those tokens only that `candidates` brings with their logits, `norm` being ln Σ exp of all.
pub(crate) fn likeliest(candidates: impl Iterator<Item = (u32, f32)>, norm: f64, k: usize) -> Vec<(u32, f32)> {
    let mut all: Vec<(u32, f32)> = candidates.filter(|c| !c.1.is_nan()).collect();
    let k = k.min(all.len());
    if k == 0 {
        return Vec::new();
    }
    all.select_nth_unstable_by(k - 1, by_logit);
    all.truncate(k);
    all.sort_unstable_by(by_logit);
    all.iter().map(|&(id, l)| (id, (f64::from(l) - norm) as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: SamplerOptions = SamplerOptions { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed: 7 };

    fn pick(options: SamplerOptions, logits: &[f32]) -> Vec<u32> {
        let mut sampler = Sampler::new(options).unwrap();
        (0..200).map(|_| sampler.pick(logits).unwrap()).collect()
    }

    #[test]
    fn greedy_takes_the_first_of_equals() {
        assert_eq!(pick(SamplerOptions::greedy(), &[1.0, 3.0, 3.0, f32::NAN])[0], 1);
    }

    #[test]
    fn no_finite_logit_is_an_error() {
        for logits in [&[f32::NAN, f32::NEG_INFINITY][..], &[]] {
            assert!(Sampler::new(SamplerOptions::default()).unwrap().pick(logits).is_err());
        }
    }

    #[test]
    fn filters_keep_what_they_say() {
        let seen = |options| {
            let mut ids = pick(options, &[2.0, 1.0, 0.0, -1.0]); // p = .644 .237 .087 .032
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        assert_eq!(seen(OPEN), [0, 1, 2, 3]);
        assert_eq!(seen(SamplerOptions { top_k: 2, ..OPEN }), [0, 1]);
        assert_eq!(seen(SamplerOptions { top_p: 0.8, ..OPEN }), [0, 1]);
        assert_eq!(seen(SamplerOptions { min_p: 0.1, ..OPEN }), [0, 1, 2]);
        assert_eq!(seen(SamplerOptions { top_k: 1, ..OPEN }), [0]);
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let mut sampler = Sampler::new(OPEN).unwrap();
        let zeros = (0..20_000).filter(|_| sampler.pick(&[1.0, 0.0]).unwrap() == 0).count();
        let wanted = 20_000.0 / (1.0 + (-1.0f64).exp());
        assert!((zeros as f64 - wanted).abs() < 300.0, "{zeros} of 20000, wanted {wanted}");
    }

    #[test]
    fn a_seed_repeats() {
        let options = SamplerOptions { seed: 42, ..Default::default() };
        assert_eq!(pick(options, &[1.0, 1.1, 0.9]), pick(options, &[1.0, 1.1, 0.9]));
        assert_ne!(pick(OPEN, &[1.0, 1.1, 0.9]), pick(SamplerOptions { seed: 8, ..OPEN }, &[1.0, 1.1, 0.9]));
    }

    #[test]
    fn logprobs_sum_to_one() {
        let top = top_logprobs(&[3.0, -1.0, 0.5], 3);
        assert_eq!(top.iter().map(|t| t.0).collect::<Vec<_>>(), [0, 2, 1]);
        assert!((top.iter().map(|t| f64::from(t.1).exp()).sum::<f64>() - 1.0).abs() < 1e-6);
    }
}
