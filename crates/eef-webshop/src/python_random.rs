//! The order that Python's `random.shuffle` gives a list: the original's goals stand in it.

/// The Mersenne Twister MT19937 of Matsumoto and Nishimura, seeded as Python seeds it.
struct Twister {
    state: [u32; N],
    next: usize,
}

const N: usize = 624;
const M: usize = 397;

impl Twister {
    /// `random.seed(seed)` for a seed below 2³².
    fn new(seed: u32) -> Self {
        let mut state = [0_u32; N];
        state[0] = 19_650_218;
        for i in 1..N {
            let last = state[i - 1];
            state[i] = (last ^ (last >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        let mut i = 1;
        // A key of one word is mixed in as often as there are words of state.
        for _ in 0..N {
            let last = state[i - 1];
            state[i] =
                (state[i] ^ (last ^ (last >> 30)).wrapping_mul(1_664_525)).wrapping_add(seed);
            i = Self::after(&mut state, i);
        }
        for _ in 1..N {
            let last = state[i - 1];
            state[i] = (state[i] ^ (last ^ (last >> 30)).wrapping_mul(1_566_083_941))
                .wrapping_sub(i as u32);
            i = Self::after(&mut state, i);
        }
        state[0] = 0x8000_0000;
        Self { state, next: N }
    }

    fn after(state: &mut [u32; N], i: usize) -> usize {
        if i + 1 < N {
            return i + 1;
        }
        state[0] = state[N - 1];
        1
    }

    fn word(&mut self) -> u32 {
        if self.next == N {
            for i in 0..N {
                let mixed = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
                let odd = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + M) % N] ^ (mixed >> 1) ^ odd;
            }
            self.next = 0;
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// Below `n`, which is above 0: as many bits as `n` has, drawn anew until they are.
    fn below(&mut self, n: u32) -> u32 {
        let n_bits = 32 - n.leading_zeros();
        loop {
            let drawn = self.word() >> (32 - n_bits);
            if drawn < n {
                return drawn;
            }
        }
    }
}

/// `list(range(n))` after `random.seed(seed)` and `random.shuffle`.
pub(crate) fn shuffled(n: usize, seed: u32) -> Vec<usize> {
    let mut twister = Twister::new(seed);
    let mut list: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        list.swap(i, twister.below(i as u32 + 1) as usize);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_pythons() {
        // random.seed(233); numbers = list(range(13)); random.shuffle(numbers)
        assert_eq!(shuffled(13, 233), EXPECTED);
        // The human goals of all of WebShop.
        assert_eq!(shuffled(12_087, 233)[..5], [8655, 10304, 6940, 2750, 3667]);
        assert_eq!(shuffled(1, 233), [0]);
        assert!(shuffled(0, 233).is_empty());
    }

    const EXPECTED: [usize; 13] = [11, 9, 5, 6, 0, 1, 4, 7, 3, 8, 2, 12, 10];
}
