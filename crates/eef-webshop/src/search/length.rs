//! Lucene's one-byte lengths.

/// `SmallFloat.intToByte4`: 24 exact values, then 3 bits of mantissa.
pub(super) fn encode_length(length: u32) -> u8 {
    if length < 24 {
        return length as u8;
    }
    let rest = length - 24;
    let n_bits = 32 - rest.leading_zeros();
    let code = if n_bits < 4 {
        rest
    } else {
        let shift = n_bits - 4;
        ((rest >> shift) & 7) | ((shift + 1) << 3)
    };
    24 + code as u8
}

/// The length that a byte stands for (`SmallFloat.byte4ToInt`).
pub(super) fn decode_length(byte: u8) -> u32 {
    if byte < 24 {
        return u32::from(byte);
    }
    let code = u32::from(byte) - 24;
    let mantissa = code & 7;
    24_u32.saturating_add(match code >> 3 {
        0 => mantissa,
        exponent => (mantissa | 8) << (exponent - 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_rounded_down_and_never_by_more_than_an_eighth() {
        for length in 0..100_000 {
            let decoded = decode_length(encode_length(length));
            assert!(decoded <= length && length - decoded <= length / 8, "{length} {decoded}");
            assert!(length >= 40 || decoded == length);
        }
        assert!((0..=255).all(|byte| byte == 0 || decode_length(byte) > decode_length(byte - 1)));
    }
}
