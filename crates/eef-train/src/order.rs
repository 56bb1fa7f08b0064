//! Which examples go together, in which order.

use eef_core::Seed;

use crate::Order;

/// The examples of an epoch in their order; shuffled, a permutation that only depends on seed and
/// epoch.
pub(crate) fn epoch_order(n_examples: usize, order: Order, seed: Seed, epoch: usize) -> Vec<usize> {
    let mut examples: Vec<usize> = (0..n_examples).collect();
    if order == Order::Shuffled {
        seed.derive("training order of epoch", epoch as u64).rng().shuffle(&mut examples);
    }
    examples
}

/// Cuts the examples of one optimiser step into micro-batches of about `limit` tokens.
///
/// Examples are sorted by length, longest first, so that those of a micro-batch are alike (a device
/// that pads wastes little), and cut into an even number of pieces with about the same number of
/// tokens: four pieces of 400 keep two threads busier than three of 512 and a rest. The result
/// depends on lengths and order alone, never on how many threads there are.
pub(crate) fn micro_batches(
    examples: &[usize],
    n_tokens: impl Fn(usize) -> usize,
    limit: usize,
) -> Vec<Vec<usize>> {
    let mut sorted = examples.to_vec();
    // Stable: examples of one length stay in the order of the epoch.
    sorted.sort_by_key(|&example| std::cmp::Reverse(n_tokens(example)));
    let total: usize = sorted.iter().map(|&example| n_tokens(example)).sum();
    let n_pieces = match total.div_ceil(limit.max(1)) {
        0 | 1 => 1,
        n => n.next_multiple_of(2),
    };
    let mut pieces = vec![Vec::new(); n_pieces];
    let mut before = 0;
    for example in sorted {
        // An example belongs to the piece in which its middle token lies.
        let middle = before + n_tokens(example) / 2;
        pieces[(middle * n_pieces / total.max(1)).min(n_pieces - 1)].push(example);
        before += n_tokens(example);
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn orders_are_permutations_that_differ_between_epochs() {
        let seed = Seed::new(3);
        let shuffled = |seed, epoch| epoch_order(50, Order::Shuffled, seed, epoch);
        let mut first = shuffled(seed, 0);
        assert_eq!(first, shuffled(seed, 0));
        assert_ne!(first, shuffled(seed, 1));
        assert_ne!(first, shuffled(Seed::new(4), 0));
        first.sort_unstable();
        assert_eq!(first, (0..50).collect::<Vec<_>>());
        assert_eq!(first, epoch_order(50, Order::AsGiven, seed, 1));
    }

    proptest! {
        #[test]
        fn micro_batches_keep_every_example_and_about_the_limit(
            n_tokens in prop::collection::vec(2_usize..200, 1..60),
            limit in 1_usize..600,
        ) {
            let examples: Vec<usize> = (0..n_tokens.len()).collect();
            let pieces = micro_batches(&examples, |example| n_tokens[example], limit);
            let mut seen: Vec<usize> = pieces.iter().flatten().copied().collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, examples);
            let longest = n_tokens.iter().max().unwrap();
            for piece in pieces {
                let total: usize = piece.iter().map(|&example| n_tokens[example]).sum();
                prop_assert!(total <= limit + longest);
            }
        }
    }
}
