//! Greedy continuations of prompts.

use std::path::Path;

use eef_llama::{Generator, GeneratorConfig, Llama, Packed, Request};
use serde::Deserialize;

use super::{NearTie, Tally, read, refuse};
use crate::AgentError;

/// Where the two likeliest logits are nearer than this, either token may follow.
const NEAR_TIE: f64 = 5e-3;

/// By how much the recorded token's logit may be off, as in the comparison of logits.
const MOST_LOGIT: f64 = 2e-3;

#[derive(Deserialize)]
struct Case {
    prompt_ids: Vec<u32>,
    greedy_ids: Vec<u32>,
    /// Of each token of the continuation.
    top1_top2_gap: Vec<f64>,
}

pub(super) fn compare(llama: &Llama, path: &Path, tally: &mut Tally) -> Result<(), AgentError> {
    let cases: Vec<Case> = read(path)?;
    for (number, case) in cases.iter().enumerate() {
        let is_empty = case.prompt_ids.is_empty() || case.greedy_ids.is_empty();
        if is_empty || case.greedy_ids.len() != case.top1_top2_gap.len() {
            let message =
                format!("case {}: expected a prompt, ids, and a gap for each id", number + 1);
            return Err(refuse(path, message));
        }
        tally.case((number + 1).to_string());
        let mut generator = Generator::new(llama.clone(), GeneratorConfig::default())?;
        let (mut n_same, mut sequence) = (0, 0);
        // After a near tie that went the other way, the recorded token is given and the comparison
        // goes on from there.
        while n_same < case.greedy_ids.len() {
            let expected = &case.greedy_ids[n_same..];
            let prompt = [&case.prompt_ids[..], &case.greedy_ids[..n_same]].concat();
            generator.submit(Request::greedy(sequence, prompt, expected.len()))?;
            let completions = generator.advance()?;
            let found = completions.first().map_or(&[][..], |completion| &completion.tokens);
            let n_agreed = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
            n_same += n_agreed;
            if n_agreed == expected.len() {
                break;
            }
            let (expected, gap) = (expected[n_agreed], case.top1_top2_gap[n_same]);
            let chosen = found.get(n_agreed).copied();
            let read = [&case.prompt_ids[..], &case.greedy_ids[..n_same]].concat();
            let behind =
                if gap < NEAR_TIE { behind_best(llama, read, expected)? } else { f64::MAX };
            match chosen {
                Some(found) if behind < NEAR_TIE + MOST_LOGIT => {
                    let (case, position) = (number + 1, n_same);
                    tally.check.near_ties.push(NearTie { case, position, gap, expected, found });
                }
                _ => {
                    let what = format!("token {n_same} of the continuation (gap {gap})");
                    tally.same(&what, &chosen, &Some(expected));
                    break;
                }
            }
            (n_same, sequence) = (n_same + 1, sequence + 1);
        }
    }
    Ok(())
}

/// How far a token's logit after `tokens` is behind the largest.
fn behind_best(llama: &Llama, tokens: Vec<u32>, token: u32) -> Result<f64, AgentError> {
    let last = tokens.len().saturating_sub(1);
    let hidden = llama.forward_hidden(&Packed::new([tokens])?)?.narrow(0, last, 1);
    let logits: Vec<f32> = llama.logits(hidden).into_data().iter::<f32>().collect();
    let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let of_token = logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
    Ok(f64::from(best) - f64::from(of_token))
}
