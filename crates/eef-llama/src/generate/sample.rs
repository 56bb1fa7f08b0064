use crate::ops::simd::{exponentials, maximum, sum_of_exponentials, vectorised};
use crate::random::Draws;

/// Logits divided by less could overflow, and infinities choose without a word what nobody asked
/// for. At this temperature, a logit that is larger by a thousandth has all the probability.
pub(crate) const SMALLEST_TEMPERATURE: f32 = 1e-6;

/// How the next token is chosen from logits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) temperature: f32,
    pub(crate) top_p: f32,
    pub(crate) top_k: Option<usize>,
    pub(crate) min_p: f32,
    pub(crate) seed: u64,
    /// Which token of the answer this is.
    pub(crate) index: usize,
}

/// The chosen token and its log-probability at temperature 1.
pub(crate) fn sample(logits: &[f32], choice: Choice) -> (u32, f32) {
    let mut normaliser = [0.0];
    log_normaliser(logits, &mut normaliser);
    let token = if choice.temperature == 0.0 {
        likeliest(logits)
    } else {
        let mut weights = logits.to_vec();
        scaled_exponentials(&mut weights, 1.0 / choice.temperature);
        let draw = Draws::new(choice.seed, choice.index as u64).uniform();
        if choice.top_p < 1.0 || choice.top_k.is_some() || choice.min_p > 0.0 {
            draw_from_likeliest(&weights, choice, draw)
        } else {
            draw_from(weights.iter().copied().enumerate(), draw)
        }
    };
    (token as u32, logits[token] - normaliser[0])
}

/// The first of the largest values.
fn likeliest(logits: &[f32]) -> usize {
    let better = |best: usize, at: usize| if logits[at] > logits[best] { at } else { best };
    (1..logits.len()).fold(0, better)
}

/// The item at a share of `draw` of the total weight.
fn draw_from(weights: impl Iterator<Item = (usize, f32)> + Clone, draw: f64) -> usize {
    let total: f64 = weights.clone().map(|(_, weight)| f64::from(weight)).sum();
    let mut left = draw * total;
    let mut last = 0;
    for (item, weight) in weights {
        // The last item with any weight is the answer where rounding leaves a remainder.
        if weight > 0.0 {
            last = item;
        }
        left -= f64::from(weight);
        if left < 0.0 {
            break;
        }
    }
    last
}

/// Draws from what `top_k`, then `top_p`, then `min_p` leave; each leaves the likeliest at least.
fn draw_from_likeliest(weights: &[f32], choice: Choice, draw: f64) -> usize {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    let likelier = |a: &usize, b: &usize| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b));
    if let Some(k) = choice.top_k.filter(|k| *k < order.len()) {
        // Sorting what is dropped at once would be most of the work.
        order.select_nth_unstable_by(k, likelier);
        order.truncate(k);
    }
    order.sort_unstable_by(likelier);
    if choice.top_p < 1.0 {
        let total: f64 = order.iter().map(|token| f64::from(weights[*token])).sum();
        let mut covered = 0.0;
        let reached = order.iter().position(|token| {
            covered += f64::from(weights[*token]);
            covered >= f64::from(choice.top_p) * total
        });
        order.truncate(reached.map_or(order.len(), |at| at + 1));
    }
    let least = choice.min_p * weights[order[0]];
    order.truncate(order.partition_point(|token| weights[*token] >= least).max(1));
    draw_from(order.iter().map(|token| (*token, weights[*token])), draw)
}

vectorised! {
    fn log_normaliser(logits: &[f32], result: &mut [f32; 1]) {
        let largest = maximum(logits);
        result[0] = largest + sum_of_exponentials(logits, largest).ln();
    }

    fn scaled_exponentials(logits: &mut [f32], factor: f32) {
        let largest = maximum(logits) * factor;
        for logit in logits.iter_mut() {
            *logit *= factor;
        }
        exponentials(logits, largest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [1.0, 2.0, 0.5, 2.0, -3.0];
    const PLAIN: Choice =
        Choice { temperature: 1.0, top_p: 1.0, top_k: None, min_p: 0.0, seed: 0, index: 0 };

    fn choose(temperature: f32, top_p: f32, seed: u64) -> (u32, f32) {
        sample(&LOGITS, Choice { temperature, top_p, seed, ..PLAIN })
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest() {
        let (token, log_probability) = choose(0.0, 1.0, 0);
        assert_eq!(token, 1);
        let total: f32 = LOGITS.iter().map(|x| x.exp()).sum();
        assert!((log_probability - (2.0 - total.ln())).abs() < 1e-6);
    }

    #[test]
    fn frequencies_follow_the_temperature() {
        for temperature in [0.5, 1.0, 2.0] {
            let weight = |x: f32| f64::from(x / temperature).exp();
            let total: f64 = LOGITS.iter().map(|x| weight(*x)).sum();
            let mut counts = [0u32; 5];
            for seed in 0..20_000 {
                counts[choose(temperature, 1.0, seed).0 as usize] += 1;
            }
            for (count, logit) in counts.iter().zip(LOGITS) {
                let (found, expected) = (f64::from(*count) / 20_000.0, weight(logit) / total);
                assert!((found - expected).abs() < 0.015, "{found} is not {expected}");
            }
        }
    }

    #[test]
    fn the_smallest_temperature_takes_the_likeliest() {
        let logits = [-60.0, 59.0, 60.0, -1e4, 59.9];
        for seed in 0..100 {
            for top_p in [0.5, 1.0] {
                let choice = Choice { temperature: SMALLEST_TEMPERATURE, top_p, seed, ..PLAIN };
                let (token, log_probability) = sample(&logits, choice);
                assert_eq!(token, 2);
                assert!(log_probability.is_finite());
            }
        }
    }

    #[test]
    fn top_p_keeps_the_fewest_that_reach_it() {
        // The two largest have 0.39 each, the next 0.14.
        let tokens = |top_p| {
            let drawn = (0..500).map(|seed| choose(1.0, top_p, seed).0);
            drawn.collect::<std::collections::BTreeSet<u32>>()
        };
        assert_eq!(tokens(0.3), [1].into());
        assert_eq!(tokens(0.7), [1, 3].into());
        assert_eq!(tokens(0.9), [0, 1, 3].into());
    }

    #[test]
    fn top_k_top_p_and_min_p_apply_in_this_order() {
        let tokens = |top_k, top_p, min_p| {
            let choice = |seed| Choice { top_p, top_k, min_p, seed, ..PLAIN };
            let drawn = (0..500).map(|seed| sample(&LOGITS, choice(seed)).0);
            drawn.collect::<std::collections::BTreeSet<u32>>()
        };
        assert_eq!(tokens(Some(1), 1.0, 0.0), [1].into());
        assert_eq!(tokens(Some(3), 1.0, 0.0), [0, 1, 3].into());
        assert_eq!(tokens(Some(9), 1.0, 0.0), [0, 1, 2, 3, 4].into());
        // 0.81 is reached by three of all tokens, but by two of the three likeliest: 0.84 of 1.
        assert_eq!(tokens(None, 0.81, 0.0), [0, 1, 3].into());
        assert_eq!(tokens(Some(3), 0.81, 0.0), [1, 3].into());
        // The third is 0.37 times as likely as the first.
        assert_eq!(tokens(None, 1.0, 0.36), [0, 1, 3].into());
        assert_eq!(tokens(None, 1.0, 0.38), [1, 3].into());
        assert_eq!(tokens(None, 1.0, 1.0), [1, 3].into());
        assert_eq!(tokens(None, 0.3, 1.0), [1].into());
    }

    #[test]
    fn the_same_seed_and_index_draw_the_same() {
        let at = |seed, index| sample(&[0.0; 1000], Choice { seed, index, ..PLAIN }).0;
        assert_eq!(at(3, 4), at(3, 4));
        assert_ne!(at(3, 4), at(3, 5));
        assert_ne!(at(3, 4), at(4, 4));
    }
}
