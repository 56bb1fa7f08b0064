//! Bodies: a trajectory's texts and tokens, without what its parent holds already.

use eef_core::{Observation, SampledTokens, Step, Trajectory};
use serde::{Deserialize, Serialize};

use crate::record::StepRecord;

/// The texts, version 1 of a record. Absent fields are the parent's.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instruction: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_observation: Option<String>,
    steps: Vec<StepRecord>,
}

/// Compressed bytes and the length that they have when they are not.
pub(super) struct Body {
    pub(super) length: i64,
    pub(super) compressed: Vec<u8>,
}

/// No body is larger: what claims to be is damaged.
const MAX_LENGTH: i64 = 1 << 30;

/// Level 3 is zstd's default: higher levels gain a few percent here and cost several times more.
const LEVEL: i32 = 3;

impl Body {
    fn compress(plain: &[u8]) -> Result<Self, String> {
        let compressed = zstd::bulk::compress(plain, LEVEL)
            .map_err(|error| format!("cannot compress a body: {error}"))?;
        Ok(Self { length: plain.len() as i64, compressed })
    }

    fn decompress(&self) -> Result<Vec<u8>, String> {
        if !(0..=MAX_LENGTH).contains(&self.length) {
            return Err(format!("a body of {} bytes, at most {MAX_LENGTH} expected", self.length));
        }
        zstd::bulk::decompress(&self.compressed, self.length as usize)
            .map_err(|error| format!("cannot decompress a body: {error}"))
    }
}

/// How many leading steps a trajectory has in common with its parent, tokens included.
pub(super) fn n_shared(trajectory: &Trajectory, parent: &Trajectory) -> usize {
    let pairs = trajectory.steps.iter().zip(&parent.steps);
    pairs.take_while(|(own, parents)| same(own, parents)).count()
}

/// Equal to the last bit: `==` holds 0 and −0 for equal.
fn same(one: &Step, other: &Step) -> bool {
    let bits = |step: &Step| {
        step.sampled.as_ref().map(|sampled| {
            let values = sampled.log_probabilities.iter().map(|value| value.to_bits());
            values.collect::<Vec<u32>>()
        })
    };
    one == other && bits(one) == bits(other)
}

/// The texts from step `from` on, without what equals the parent's.
pub(super) fn encode_texts(
    trajectory: &Trajectory,
    parent: Option<&Trajectory>,
    from: usize,
) -> Result<Body, String> {
    let instruction = &trajectory.instruction;
    let first = &trajectory.first_observation;
    let texts = Texts {
        instruction: parent
            .is_none_or(|parent| parent.instruction != *instruction)
            .then(|| instruction.clone()),
        first_observation: parent
            .is_none_or(|parent| parent.first_observation != *first)
            .then(|| first.as_str().to_owned()),
        steps: trajectory.steps[from..].iter().map(StepRecord::texts).collect(),
    };
    let plain = serde_json::to_vec(&texts).map_err(|error| error.to_string())?;
    Body::compress(&plain)
}

/// What a body says.
pub(super) struct Decoded {
    pub(super) instruction: String,
    pub(super) first_observation: Observation,
    pub(super) steps: Vec<Step>,
}

/// The texts of a trajectory whose first `n_shared` steps are its parent's.
pub(super) fn decode_texts(
    body: &Body,
    parent: Option<(&Trajectory, usize)>,
) -> Result<Decoded, String> {
    let texts: Texts = serde_json::from_slice(&body.decompress()?)
        .map_err(|error| format!("the body is no record: {error}"))?;
    let lacks = |what: &str| format!("the body lacks its {what} and has no parent to take it from");
    let instruction = texts
        .instruction
        .or_else(|| parent.map(|(parent, _)| parent.instruction.clone()))
        .ok_or_else(|| lacks("instruction"))?;
    let first_observation = texts
        .first_observation
        .map(Observation::new)
        .or_else(|| parent.map(|(parent, _)| parent.first_observation.clone()))
        .ok_or_else(|| lacks("first observation"))?;
    let mut steps = match parent {
        None => Vec::new(),
        Some((parent, n_shared)) => {
            let shared = parent.steps.get(..n_shared).ok_or_else(|| {
                format!("it shares {n_shared} steps, its parent has {}", parent.steps.len())
            })?;
            shared.to_vec()
        }
    };
    steps.extend(texts.steps.into_iter().map(StepRecord::into_step));
    Ok(Decoded { instruction, first_observation, steps })
}

/// The tokens from step `from` on; `None` where there are none. For each step that has some, in
/// little-endian order: step, tokenizer hash, number of ids, ids, number of log-probabilities,
/// log-probabilities.
pub(super) fn encode_tokens(trajectory: &Trajectory, from: usize) -> Result<Option<Body>, String> {
    let mut plain = Vec::new();
    for (index, step) in trajectory.steps.iter().enumerate().skip(from) {
        let Some(sampled) = &step.sampled else {
            continue;
        };
        plain.extend((index as u64).to_le_bytes());
        plain.extend(sampled.tokenizer.to_le_bytes());
        plain.extend((sampled.ids.len() as u64).to_le_bytes());
        plain.extend(sampled.ids.iter().flat_map(|id| id.to_le_bytes()));
        plain.extend((sampled.log_probabilities.len() as u64).to_le_bytes());
        let values = sampled.log_probabilities.iter();
        plain.extend(values.flat_map(|value| value.to_bits().to_le_bytes()));
    }
    (!plain.is_empty()).then(|| Body::compress(&plain)).transpose()
}

/// Puts tokens back into their steps.
pub(super) fn decode_tokens(body: &Body, steps: &mut [Step]) -> Result<(), String> {
    let plain = body.decompress()?;
    let mut rest = plain.as_slice();
    while !rest.is_empty() {
        let index = take_u64(&mut rest)? as usize;
        let tokenizer = take_u64(&mut rest)?;
        let ids = take_words(&mut rest)?;
        let log_probabilities = take_words(&mut rest)?.into_iter().map(f32::from_bits).collect();
        let n_steps = steps.len();
        let step = steps
            .get_mut(index)
            .ok_or_else(|| format!("tokens for step {index} of a trajectory of {n_steps}"))?;
        step.sampled = Some(SampledTokens { tokenizer, ids, log_probabilities });
    }
    Ok(())
}

fn take<'a>(rest: &mut &'a [u8], n_bytes: usize) -> Result<&'a [u8], String> {
    let (head, tail) = rest.split_at_checked(n_bytes).ok_or("the tokens end too early")?;
    *rest = tail;
    Ok(head)
}

fn take_u64(rest: &mut &[u8]) -> Result<u64, String> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(take(rest, 8)?);
    Ok(u64::from_le_bytes(bytes))
}

fn take_words(rest: &mut &[u8]) -> Result<Vec<u32>, String> {
    let n_words = take_u64(rest)? as usize;
    let bytes = take(rest, n_words.checked_mul(4).ok_or("a list of tokens is too long")?)?;
    let words = bytes.chunks_exact(4);
    Ok(words.map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect())
}
