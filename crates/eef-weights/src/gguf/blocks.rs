//! How GGUF stores numbers: blocks of a few bits each, with scales.
//!
//! Source of the layouts: ggml's `ggml-quants.c`. All values are computed in `f32`, products before
//! sums, as the reference does.

use crate::ElementType;
use crate::element::f32_from_f16;

/// How the numbers of a tensor are stored in a GGUF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GgufType {
    /// 32-bit floats.
    F32,
    /// Half precision.
    F16,
    /// The upper half of an `f32`.
    Bf16,
    /// 32 numbers of 4 bits around 8, with a scale.
    Q4_0,
    /// 32 numbers of 4 bits, with a scale and a minimum.
    Q4_1,
    /// 32 numbers of 5 bits around 16, with a scale.
    Q5_0,
    /// 32 numbers of 5 bits, with a scale and a minimum.
    Q5_1,
    /// 32 numbers of 8 bits, with a scale.
    Q8_0,
    /// 256 numbers of 4 bits in 8 groups, with scales and minima of 6 bits.
    Q4K,
    /// The same with 5 bits.
    Q5K,
    /// 256 numbers of 6 bits in 16 groups, with scales of 8 bits.
    Q6K,
}

/// Numbers of the small blocks.
const SMALL: usize = 32;
/// Numbers of the large ones.
const LARGE: usize = 256;

impl GgufType {
    /// The type of a number in a tensor's header.
    pub(super) fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::Bf16,
            _ => return None,
        })
    }

    /// Numbers and bytes of one block.
    pub(super) fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q4_0 => (SMALL, 2 + 16),
            Self::Q4_1 => (SMALL, 4 + 16),
            Self::Q5_0 => (SMALL, 2 + 4 + 16),
            Self::Q5_1 => (SMALL, 4 + 4 + 16),
            Self::Q8_0 => (SMALL, 2 + 32),
            Self::Q4K => (LARGE, 4 + 12 + 128),
            Self::Q5K => (LARGE, 4 + 12 + 32 + 128),
            Self::Q6K => (LARGE, 128 + 64 + 16 + 2),
        }
    }

    /// Whole blocks as numbers.
    pub(super) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => ElementType::F32.decode(bytes),
            Self::F16 => ElementType::F16.decode(bytes),
            Self::Bf16 => ElementType::BF16.decode(bytes),
            Self::Q4_0 => blocks(self, bytes, |block, out| {
                let scale = half(block, 0);
                nibbles(&block[2..], out, |q, _| (q - 8) as f32 * scale);
            }),
            Self::Q4_1 => blocks(self, bytes, |block, out| {
                let (scale, minimum) = (half(block, 0), half(block, 2));
                nibbles(&block[4..], out, |q, _| q as f32 * scale + minimum);
            }),
            Self::Q5_0 => blocks(self, bytes, |block, out| {
                let (scale, high) = (half(block, 0), word(block, 2));
                let fifth = |place: usize| ((high >> place & 1) << 4) as i32;
                nibbles(&block[6..], out, |q, place| (q + fifth(place) - 16) as f32 * scale);
            }),
            Self::Q5_1 => blocks(self, bytes, |block, out| {
                let (scale, minimum, high) = (half(block, 0), half(block, 2), word(block, 4));
                let fifth = |place: usize| ((high >> place & 1) << 4) as i32;
                nibbles(&block[8..], out, |q, place| (q + fifth(place)) as f32 * scale + minimum);
            }),
            Self::Q8_0 => blocks(self, bytes, |block, out| {
                let scale = half(block, 0);
                for (value, byte) in out.iter_mut().zip(&block[2..]) {
                    *value = f32::from(*byte as i8) * scale;
                }
            }),
            Self::Q4K => blocks(self, bytes, |block, out| {
                let scales = Scales::of(block);
                for (group, values) in out.chunks_exact_mut(SMALL).enumerate() {
                    let (scale, minimum) = scales.get(group);
                    let (bytes, shift) = (&block[16 + group / 2 * 32..], group % 2 * 4);
                    for (value, byte) in values.iter_mut().zip(bytes) {
                        *value = scale * f32::from(byte >> shift & 15) - minimum;
                    }
                }
            }),
            Self::Q5K => blocks(self, bytes, |block, out| {
                let scales = Scales::of(block);
                let high = &block[16..48];
                for (group, values) in out.chunks_exact_mut(SMALL).enumerate() {
                    let (scale, minimum) = scales.get(group);
                    let (bytes, shift) = (&block[48 + group / 2 * 32..], group % 2 * 4);
                    for ((value, byte), high) in values.iter_mut().zip(bytes).zip(high) {
                        let fifth = (high >> group & 1) << 4;
                        *value = scale * f32::from((byte >> shift & 15) + fifth) - minimum;
                    }
                }
            }),
            Self::Q6K => blocks(self, bytes, sixths),
        }
    }
}

/// Decodes block after block.
fn blocks(kind: GgufType, bytes: &[u8], decode: impl Fn(&[u8], &mut [f32])) -> Vec<f32> {
    let (n_numbers, n_bytes) = kind.block();
    let mut values = vec![0.0; bytes.len() / n_bytes * n_numbers];
    let outputs = values.chunks_exact_mut(n_numbers);
    for (block, output) in bytes.chunks_exact(n_bytes).zip(outputs) {
        decode(block, output);
    }
    values
}

/// The lower halves of 16 bytes, then the upper ones.
fn nibbles(bytes: &[u8], out: &mut [f32], value: impl Fn(i32, usize) -> f32) {
    let (lower, upper) = out.split_at_mut(16);
    for (place, byte) in bytes.iter().take(16).enumerate() {
        lower[place] = value(i32::from(byte & 15), place);
        upper[place] = value(i32::from(byte >> 4), place + 16);
    }
}

/// The 6-bit scales and minima of a large block's 8 groups.
struct Scales<'a> {
    scale: f32,
    minimum: f32,
    packed: &'a [u8],
}

impl<'a> Scales<'a> {
    fn of(block: &'a [u8]) -> Self {
        Self { scale: half(block, 0), minimum: half(block, 2), packed: &block[4..16] }
    }

    fn get(&self, group: usize) -> (f32, f32) {
        let at = |place: usize| self.packed[place];
        let (scale, minimum) = if group < 4 {
            (at(group) & 63, at(group + 4) & 63)
        } else {
            // The upper two bits lie above the 6 bits of the first groups.
            let both = at(group + 4);
            ((both & 15) | (at(group - 4) >> 6) << 4, (both >> 4) | (at(group) >> 6) << 4)
        };
        (self.scale * f32::from(scale), self.minimum * f32::from(minimum))
    }
}

/// A block of `Q6K`.
fn sixths(block: &[u8], out: &mut [f32]) {
    let (low, high, scales, scale) =
        (&block[..128], &block[128..192], &block[192..208], half(block, 208));
    for (part, values) in out.chunks_exact_mut(128).enumerate() {
        for (place, value) in values.iter_mut().enumerate() {
            let (quarter, column) = (place / 32, place % 32);
            // Quarters 0 and 1 are the lower halves of 64 bytes, 2 and 3 the upper ones.
            let byte = low[part * 64 + quarter % 2 * 32 + column] >> (quarter / 2 * 4) & 15;
            let upper = high[part * 32 + column] >> (quarter * 2) & 3;
            let group = f32::from(scales[part * 8 + place / 16] as i8);
            *value = scale * group * f32::from((byte | upper << 4) as i8 - 32);
        }
    }
}

fn half(block: &[u8], at: usize) -> f32 {
    f32_from_f16(u16::from_le_bytes([block[at], block[at + 1]]))
}

fn word(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}
