//! Chance that repeats: SplitMix64, so that a seed means the same records in every version of every library.

use uuid::{Builder, Uuid};

/// A generator of numbers. See Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// Numbers that have nothing to do with those of another name under the same seed.
    pub fn named(seed: u64, name: &str) -> Chance {
        // FNV-1a: the standard library's hashes may change with its version.
        let hash =
            name.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Chance(seed ^ hash)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, and never, 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number from `low` to `high`, both included. The bias of the remainder does not matter here.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let range = high.abs_diff(low).saturating_add(1);
        low.saturating_add_unsigned(self.next() % range)
    }

    /// The same for numbers of any width.
    pub fn between_wide(&mut self, low: i128, high: i128) -> i128 {
        let range = high.abs_diff(low).saturating_add(1);
        let drawn = if range <= u128::from(u64::MAX) {
            u128::from(self.next() % range as u64)
        } else {
            (u128::from(self.next()) << 64 | u128::from(self.next())) % range
        };
        low.saturating_add_unsigned(drawn)
    }

    /// True for this share of calls.
    pub fn share(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// An index below `len`, which is at least 1.
    pub fn index(&mut self, len: usize) -> usize {
        (self.next() % len as u64) as usize
    }

    /// One of the choices, of which there is at least one.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// A number below `n`, which is at least 1: 0 the most often, then 1, as Zipf's law has it with this exponent.
    pub fn rank(&mut self, n: u64, skew: f64) -> u64 {
        let (unit, top, rest) = (self.unit(), n as f64 + 1.0, 1.0 - skew);
        let drawn =
            if rest.abs() < 1e-9 { top.powf(unit) } else { ((top.powf(rest) - 1.0) * unit + 1.0).powf(1.0 / rest) };
        (drawn as u64).saturating_sub(1).min(n - 1)
    }

    pub fn uuid(&mut self) -> Uuid {
        let bytes = (u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes();
        Builder::from_random_bytes(bytes).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skew_makes_the_first_the_most_frequent_and_none_impossible() {
        let mut chance = Chance::new(1);
        let mut counts = [0u32; 20];
        (0..100_000).for_each(|_| counts[chance.rank(20, 1.1) as usize] += 1);
        assert!(counts.windows(2).all(|w| w[0] > w[1] / 2), "{counts:?}");
        assert!(counts[0] > 4 * counts[9] && counts[19] > 500, "{counts:?}");
    }
}
