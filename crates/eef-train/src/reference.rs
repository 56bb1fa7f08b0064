//! Log-likelihoods of preference pairs under the model at the start, computed once and kept.
//!
//! The file is a line that names the format, the training's fingerprint, two numbers (f64, little
//! endian) for each pair, and the BLAKE3 hash of all that.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use eef_llama::Llama;

use crate::forward::{log_likelihoods, longest_pair_at_once};
use crate::order::micro_batches;
use crate::workers::Workers;
use crate::{PreferencePair, TrainConfig, TrainError, TrainObserver};

const MAGIC: &[u8] = b"eef-train reference v1\n";

/// The file's name in the scratch directory.
pub(crate) const FILE: &str = "reference.bin";

/// Pairs between two looks at whether to stop.
const AT_ONCE: usize = 64;

/// Log-likelihood of chosen and rejected of every pair, read where they are kept, else computed.
///
/// A file that is damaged or another training's is written anew: what it should hold can be had again.
pub(crate) fn reference(
    model: &Llama,
    pairs: &[PreferencePair],
    config: &TrainConfig,
    fingerprint: &str,
    path: &Path,
    observer: &mut dyn TrainObserver,
) -> Result<Vec<[f64; 2]>, TrainError> {
    match fs::read(path) {
        Ok(bytes) => {
            if let Some(found) = parse(&bytes, fingerprint, pairs.len()) {
                return Ok(found);
            }
            tracing::warn!(path = %path.display(), "reference not usable: computed again");
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(TrainError::io("read the reference", path)(error)),
    }
    let workers = Workers::new(config.resolved_workers())?;
    let mut found = Vec::with_capacity(pairs.len());
    observer.scored(0, pairs.len());
    for some in pairs.chunks(AT_ONCE) {
        if observer.should_stop() {
            return Err(TrainError::Interrupted { step: 0, n_steps: config.n_steps(pairs.len()) });
        }
        found.extend(score(model, some, config.micro_batch_tokens, &workers)?);
        observer.scored(found.len(), pairs.len());
    }
    let bytes = print(&found, fingerprint);
    eef_weights::write_atomically(path, |file| file.write_all(&bytes)).map_err(|source| {
        TrainError::Model {
            doing: "keep the reference of",
            path: path.into(),
            source: source.into(),
        }
    })?;
    Ok(found)
}

/// In the order of the pairs, whatever they are run with.
fn score(
    model: &Llama,
    pairs: &[PreferencePair],
    limit: usize,
    workers: &Workers,
) -> Result<Vec<[f64; 2]>, TrainError> {
    let all: Vec<usize> = (0..pairs.len()).collect();
    let pieces = micro_batches(&all, |i| n_tokens(&pairs[i]), limit);
    let job = |_, piece: usize| {
        let piece = &pieces[piece];
        let examples: Vec<_> = piece.iter().flat_map(|&i| pairs[i].examples()).collect();
        if piece.iter().any(|&i| n_tokens(&pairs[i]) > longest_pair_at_once(limit)) {
            // As it is trained.
            let scored = examples.iter().map(|one| log_likelihoods(model, &[*one]));
            return Ok(scored.collect::<Result<Vec<_>, _>>()?.concat());
        }
        log_likelihoods(model, &examples)
    };
    let join = |mut all: Vec<Vec<f64>>, found| {
        all.push(found);
        all
    };
    let scored = workers.fold(pieces.len(), &job, Vec::new(), &join)?;
    let mut found = vec![[0.0; 2]; pairs.len()];
    for (piece, scored) in pieces.iter().zip(scored) {
        for (&pair, scored) in piece.iter().zip(scored.chunks_exact(2)) {
            found[pair] = [scored[0], scored[1]];
        }
    }
    Ok(found)
}

pub(crate) fn n_tokens(pair: &PreferencePair) -> usize {
    pair.examples().iter().map(|example| example.n_tokens()).sum()
}

fn print(found: &[[f64; 2]], fingerprint: &str) -> Vec<u8> {
    let mut bytes = [MAGIC, fingerprint.as_bytes()].concat();
    bytes.extend(found.iter().flatten().flat_map(|number| number.to_le_bytes()));
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    bytes
}

fn parse(bytes: &[u8], fingerprint: &str, n_pairs: usize) -> Option<Vec<[f64; 2]>> {
    let (body, hash) = bytes.split_last_chunk::<{ blake3::OUT_LEN }>()?;
    let numbers = body.strip_prefix(MAGIC)?.strip_prefix(fingerprint.as_bytes())?;
    if blake3::hash(body) != *hash || numbers.len() != n_pairs * 16 {
        return None;
    }
    let (numbers, _) = numbers.as_chunks::<8>();
    let numbers: Vec<f64> = numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    Some(numbers.as_chunks::<2>().0.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_and_a_flipped_bit_is_not_believed() {
        let found = [[-1.25, f64::MIN_POSITIVE], [0.1, -7e300]];
        let bytes = print(&found, "abc");
        assert_eq!(parse(&bytes, "abc", 2).unwrap(), found);
        assert!(parse(&bytes, "abd", 2).is_none());
        assert!(parse(&bytes, "abc", 3).is_none());
        assert!(parse(&bytes[..bytes.len() - 1], "abc", 2).is_none());
        for position in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[position] ^= 4;
            assert!(parse(&flipped, "abc", 2).is_none(), "byte {position}");
        }
    }
}
