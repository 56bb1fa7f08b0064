//! Randomness that depends on the configuration and on nothing else.

/// A seed derived from the run's seed and the names and numbers of what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seed(u64);

impl Seed {
    /// The root of a run.
    pub fn new(value: u64) -> Self {
        Self(value)
    }

    /// The seed of a part: the same label and number always give the same seed.
    #[must_use]
    pub fn derive(self, label: &str, number: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("eef seed v1");
        hasher.update(&self.0.to_le_bytes());
        hasher.update(&number.to_le_bytes());
        hasher.update(label.as_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Self(u64::from_le_bytes(bytes))
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// A generator that starts here.
    pub fn rng(self) -> Rng {
        Rng(self.0)
    }
}

/// SplitMix64: small, and stable for ever, which general-purpose generators do not promise.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A uniform number in `[0, 1)` with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether an event of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// A uniform number in `0..n`; 0 where `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        // The product's high half is uniform up to n / 2^64, which no experiment can see.
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// A uniformly chosen element, `None` from an empty slice.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// Shuffles in place (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // First outputs of the reference SplitMix64 from seed 1234567.
        let mut rng = Seed::new(1_234_567).rng();
        let expected =
            [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431];
        for value in expected {
            assert_eq!(rng.next_u64(), value);
        }
    }

    #[test]
    fn seeds_of_different_parts_differ() {
        let root = Seed::new(1);
        assert_eq!(root.derive("task", 3), root.derive("task", 3));
        assert_ne!(root.derive("task", 3), root.derive("task", 4));
        assert_ne!(root.derive("task", 3), root.derive("sample", 3));
    }
}
