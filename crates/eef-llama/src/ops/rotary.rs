use std::sync::Arc;

use crate::config::RopeScaling;
use crate::ops::Heads;
use crate::ops::simd::vectorised;

/// Cosines and sines of the rotary embedding, by position and frequency.
///
/// A head's first and second half hold the pairs that are rotated together (Hugging Face's order;
/// the original LLaMA files interleave them).
#[derive(Clone, Debug)]
pub(crate) struct Rotary {
    /// `[n_positions * half]`
    pub(crate) cos: Arc<[f32]>,
    pub(crate) sin: Arc<[f32]>,
    /// Half the width of a head.
    pub(crate) half: usize,
}

/// Which way to rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    /// The transpose, as gradients need it.
    Backward,
}

impl Rotary {
    pub(crate) fn new(
        head_dim: usize,
        n_positions: usize,
        theta: f64,
        scaling: RopeScaling,
    ) -> Self {
        let half = head_dim / 2;
        let frequency = |i: usize| {
            let exponent = 2.0 * i as f64 / head_dim as f64;
            // The frequency and the angle are rounded to f32 where transformers rounds them.
            scaling.apply((1.0 / theta.powf(exponent)) as f32)
        };
        let frequencies: Vec<f32> = (0..half).map(frequency).collect();
        let angle = |i: usize| (i / half) as f32 * frequencies[i % half];
        let cos = (0..n_positions * half).map(|i| angle(i).cos()).collect();
        let sin = (0..n_positions * half).map(|i| angle(i).sin()).collect();
        Self { cos, sin, half }
    }

    /// Rotates the queries and keys of joint projections in place, the row at `start` being at
    /// the first of `positions`, and scales queries by one over the root of a head's width.
    pub(crate) fn apply(
        &self,
        qkv: &mut [f32],
        heads: Heads,
        positions: std::ops::Range<usize>,
        direction: Direction,
    ) {
        let table = positions.start * self.half..positions.end * self.half;
        let sign = if direction == Direction::Forward { 1.0 } else { -1.0 };
        let (cos, sin) = (&self.cos[table.clone()], &self.sin[table]);
        rotate(qkv, cos, sin, sign, self.half, heads.n_query, heads.qkv_width());
    }
}

vectorised! {
    /// Rows of `width` columns; a row's heads are its first columns, and the values among them
    /// are left alone.
    fn rotate(
        qkv: &mut [f32], cos: &[f32], sin: &[f32], sign: f32, half: usize, n_query: usize,
        width: usize,
    ) {
        let scale = 1.0 / ((2 * half) as f32).sqrt();
        let dim = 2 * half;
        let n_key_value = (width / dim - n_query) / 2;
        let tables = cos.chunks_exact(half).zip(sin.chunks_exact(half));
        for (row, (cos, sin)) in qkv.chunks_exact_mut(width).zip(tables) {
            let heads = row.chunks_exact_mut(dim).take(n_query + n_key_value);
            for (index, head) in heads.enumerate() {
                let scale = if index < n_query { scale } else { 1.0 };
                let (first, second) = head.split_at_mut(half);
                let pairs = first.iter_mut().zip(second);
                for ((a, b), (cos, sin)) in pairs.zip(cos.iter().zip(sin)) {
                    let (cos, sin) = (cos * scale, sin * sign * scale);
                    (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_follow_the_formula() {
        let rotary = Rotary::new(4, 3, 100.0, RopeScaling::None);
        // Frequencies of a head of 4: 100^0 = 1 and 100^(-1/2) = 0.1.
        let expected = [0.0f32, 0.0, 1.0, 0.1, 2.0, 0.2];
        for (i, angle) in expected.into_iter().enumerate() {
            assert!((rotary.cos[i] - angle.cos()).abs() < 1e-6);
            assert!((rotary.sin[i] - angle.sin()).abs() < 1e-6);
        }
    }

    #[test]
    fn halves_are_rotated_by_hand_computed_angles() {
        let rotary = Rotary::new(4, 8, 100.0, RopeScaling::None);
        let heads = Heads { n_query: 1, n_key_value: 1, dim: 4 };
        // One row at position 2: query (1, 2, 3, 4), key (5, 6, 7, 8), value (9, 10, 11, 12).
        let mut row: Vec<f32> = (1..=12).map(|x| x as f32).collect();
        rotary.apply(&mut row, heads, 2..3, Direction::Forward);
        // Pairs are (1, 3) by 2 radians and (2, 4) by 0.2; queries are halved (the root of 4).
        let expected = [
            -1.572_019_6,
            0.582_727_8,
            -0.169_571_56,
            2.158_802_5, // query
            -8.445_816,
            4.291_045,
            1.633_459_3,
            9.032_549, // key
            9.0,
            10.0,
            11.0,
            12.0, // value
        ];
        for (found, expected) in row.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
        }
    }
}
