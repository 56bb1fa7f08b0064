/// How the numbers of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ElementType {
    /// 32-bit floats.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of an `f32`.
    BF16,
}

impl ElementType {
    /// The type with a safetensors name, if it is one that can be read.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "F32" => Some(Self::F32),
            "F16" => Some(Self::F16),
            "BF16" => Some(Self::BF16),
            _ => None,
        }
    }

    /// Its safetensors name.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
        }
    }

    /// The name by which a `config.json` and torch know it.
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
        }
    }

    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    /// Little-endian bytes as `f32` values; every value of each type is exact in `f32`.
    pub(crate) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => {
                let words = bytes.chunks_exact(4);
                words.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            }
            Self::F16 => {
                let halves = bytes.chunks_exact(2);
                halves.map(|b| f32_from_f16(u16::from_le_bytes([b[0], b[1]]))).collect()
            }
            Self::BF16 => {
                let halves = bytes.chunks_exact(2);
                let widen = |b: &[u8]| u32::from(u16::from_le_bytes([b[0], b[1]])) << 16;
                halves.map(|b| f32::from_bits(widen(b))).collect()
            }
        }
    }
}

pub(crate) fn f32_from_f16(bits: u16) -> f32 {
    half::f16::from_bits(bits).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_widened() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f32.powi(-24)),
            (0x83ff, -1023.0 * 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0x7c00, f32::INFINITY),
            (0x8000, -0.0),
        ];
        for (bits, expected) in cases {
            assert_eq!(f32_from_f16(bits).to_bits(), f32::to_bits(expected), "{bits:04x}");
        }
        assert!(f32_from_f16(0x7e00).is_nan());
        assert_eq!(ElementType::BF16.decode(&[0x80, 0x3f, 0x20, 0xc1]), [1.0, -10.0]);
    }
}
