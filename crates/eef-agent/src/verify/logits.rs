//! The likeliest tokens at every position of a prompt.

use std::path::Path;

use eef_llama::{Llama, Packed};
use serde::Deserialize;

use super::{Tally, read, refuse};
use crate::AgentError;

/// Logits nearer than this may change places.
const SMALLEST_GAP: f64 = 1e-3;
/// How far a logit may be off.
const MOST: f64 = 2e-3;

#[derive(Deserialize)]
struct Case {
    ids: Vec<u32>,
    /// `[position][rank]`
    top20_ids: Vec<Vec<u32>>,
    top20_logits: Vec<Vec<f64>>,
    /// Of each token after the first.
    target_logprob: Option<Vec<f64>>,
}

pub(super) fn compare(llama: &Llama, path: &Path, tally: &mut Tally) -> Result<(), AgentError> {
    let cases: Vec<Case> = read(path)?;
    for (number, case) in cases.iter().enumerate() {
        let n = case.ids.len();
        let is_whole = case.top20_ids.len() == n
            && case.top20_logits.len() == n
            && case.top20_ids.iter().zip(&case.top20_logits).all(|(a, b)| a.len() == b.len())
            && case.top20_ids.iter().all(|ids| !ids.is_empty())
            && case.target_logprob.as_ref().is_none_or(|next| next.len() + 1 == n);
        if !is_whole {
            let message = format!("case {}: expected one row for each of {n} ids", number + 1);
            return Err(refuse(path, message));
        }
        let hidden = llama.forward_hidden(&Packed::new([&case.ids])?)?;
        let logits: Vec<f64> = llama.logits(hidden).into_data().iter::<f64>().collect();
        for (position, row) in logits.chunks_exact(llama.config().vocab_size).enumerate() {
            tally.case(format!("{} position {position}", number + 1));
            let (ids, expected) = (&case.top20_ids[position], &case.top20_logits[position]);
            compare_row(row, ids, expected, tally);
            if let Some(next) = case.target_logprob.as_ref().and_then(|next| next.get(position)) {
                let found = log_probability(row, case.ids[position + 1]);
                let what = "log-probability of the next token";
                tally.near(what, [found, *next], (found - next).abs(), MOST);
            }
        }
    }
    Ok(())
}

fn compare_row(row: &[f64], ids: &[u32], expected: &[f64], tally: &mut Tally) {
    let mut order: Vec<u32> = (0..row.len() as u32).collect();
    order.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b)));
    for (rank, (id, expected_logit)) in ids.iter().zip(expected).enumerate() {
        let Some(logit) = row.get(*id as usize) else {
            tally.same("token id below the vocabulary's size", &row.len(), &(*id as usize));
            continue;
        };
        let what = format!("logit of token {id}");
        tally.near(&what, [*logit, *expected_logit], (logit - expected_logit).abs(), MOST);
        let gap = |other: Option<&f64>| other.map_or(f64::MAX, |o| (o - expected_logit).abs());
        let before = rank.checked_sub(1).and_then(|before| expected.get(before));
        // What follows the last one recorded is not known: there, the order is that of the logits.
        let is_apart = gap(before) > SMALLEST_GAP
            && gap(expected.get(rank + 1)) > SMALLEST_GAP
            && (rank + 1 < expected.len() || {
                let here = order.get(rank).map_or(f64::MAX, |id| row[*id as usize]);
                (here - logit).abs() > SMALLEST_GAP
            });
        if is_apart && let Some(found) = order.get(rank) {
            tally.same(&format!("token of rank {rank}"), found, id);
        }
    }
}

fn log_probability(row: &[f64], id: u32) -> f64 {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|logit| (logit - largest).exp()).sum();
    row.get(id as usize).map_or(f64::NAN, |logit| logit - largest - sum.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mismatches(row: &[f64], ids: &[u32], expected: &[f64]) -> usize {
        let mut tally = Tally::new("logits_top20.json");
        tally.case("1".to_owned());
        compare_row(row, ids, expected, &mut tally);
        tally.check.mismatches
    }

    #[test]
    fn orders_count_where_logits_are_apart() {
        let row = [0.0, 3.0, 2.0, 1.0];
        assert_eq!(mismatches(&row, &[1, 2], &[3.0, 2.0]), 0);
        assert_eq!(mismatches(&row, &[1, 2], &[3.0, 2.0015]), 0);
        assert_eq!(mismatches(&row, &[1, 2], &[3.0, 2.0025]), 1);
        assert_eq!(mismatches(&row, &[1, 3], &[3.0, 1.0]), 1, "2 comes before 3");
        assert_eq!(mismatches(&row, &[9], &[3.0]), 1);
        let tied = [2.0, 1.9995, 1.0];
        assert_eq!(mismatches(&tied, &[1, 0, 2], &[2.0, 1.9995, 1.0]), 0);
        assert_eq!(mismatches(&[f64::NAN, 1.0], &[0], &[1.0]), 1);
    }

    #[test]
    fn log_probabilities_are_normalised() {
        let row = [1.0, 2.0];
        let total: f64 = (0..2).map(|id| log_probability(&row, id).exp()).sum();
        assert!((total - 1.0).abs() < 1e-12);
        assert!(log_probability(&row, 2).is_nan());
    }
}
