/// Independent 64-bit draws (SplitMix64) for one item of one seed.
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(seed: u64, item: u64) -> Self {
        let start = Self(seed).next();
        let mut mix = Self(start ^ item.wrapping_mul(0xd134_2543_de82_ef95));
        Self(mix.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between 0 and 1, in steps of 2^-32, never either.
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 32) as f64 + 0.5) / 4_294_967_296.0
    }
}
