//! Goals over a catalogue, chosen so that a known share of them needs each skill.

use std::collections::{BTreeMap, BTreeSet};

use eef_core::{Rng, Seed, Split};

use super::WorldConfig;
use super::listing::{Listing, dollars};
use crate::goal::{Goal, GoalOptions};
use crate::page::PAGE_SIZE;

/// What somebody is asked to buy.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntheticGoal {
    /// Which split it belongs to.
    pub split: Split,
    /// Position of the goal's product among the listings.
    pub listing: usize,
    /// What is asked, price limit included.
    pub instruction: String,
    /// The colour asked for.
    pub colour: &'static str,
    /// The size asked for, where the product comes in sizes.
    pub size: Option<&'static str>,
    /// The price limit in cents: a product at that price is still fine.
    pub limit_cents: u32,
    /// What it takes to solve it.
    pub needs: Needs,
}

impl SyntheticGoal {
    /// The option values asked for.
    pub fn options(&self) -> Vec<&'static str> {
        std::iter::once(self.colour).chain(self.size).collect()
    }

    pub(super) fn shop_goal(&self, listing: &Listing) -> Goal {
        let raw = listing.raw_item();
        Goal {
            asin: raw.asin,
            category: raw.category,
            query: raw.query,
            name: raw.name,
            product_category: raw.product_category,
            instruction_text: self.instruction.clone(),
            attributes: listing.attributes(),
            price_upper: f64::from(self.limit_cents) / 100.0,
            goal_options: GoalOptions::Values(
                self.options().into_iter().map(str::to_owned).collect(),
            ),
            weight: 1.0,
            nouns: None,
        }
    }
}

/// What it takes an agent that searches material, style and noun, and then takes the first
/// product that fits by what the results show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Needs {
    /// It stands on the first page and has the colour.
    FirstPage,
    /// It stands on a later page and has the colour.
    Next,
    /// It lacks the colour; another one on the first page has it.
    Back,
    /// It lacks the colour, and it or the one that has it stands on a later page.
    Both,
}

impl Needs {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::FirstPage, Self::Next, Self::Back, Self::Both];
}

/// The answer of the search box: positions of listings, best first.
pub(crate) type Ranking<'a> = dyn Fn(&str) -> Vec<usize> + 'a;

/// Draws the goals of all splits: disjoint in products and in what is asked apart from the price
/// limit, and no two that ask the same.
pub(crate) fn goals(
    config: &WorldConfig,
    listings: &[Listing],
    ranking: &Ranking<'_>,
    seed: Seed,
) -> Vec<SyntheticGoal> {
    let n_goals = [config.n_train, config.n_validation, config.n_test];
    let mut pools = pools(n_goals, config, listings, ranking, seed);
    let mut asked = BTreeSet::new();
    let mut split_of = BTreeMap::new();
    let mut chosen: [Vec<SyntheticGoal>; 3] = Default::default();
    // The rarest first, and the first page last: it has candidates to spare for what others lack.
    for needs in [Needs::Both, Needs::Back, Needs::Next, Needs::FirstPage] {
        let mut missing: [usize; 3] = std::array::from_fn(|split| match needs {
            Needs::FirstPage => n_goals[split] - chosen[split].len(),
            _ => (config.share(needs) * n_goals[split] as f64).round() as usize,
        });
        // One at a time, always for the split that lacks most, so that what runs out runs out
        // for all splits alike.
        while let Some(split) = most_missing(&missing, n_goals) {
            missing[split] -= 1;
            let pool = pools[split].entry(needs).or_default();
            while let Some(candidate) = pool.pop() {
                let listing = &listings[candidate.listing];
                let Candidate { colour, size, limit_cents, .. } = candidate;
                let ask = (listing.query(), colour, size);
                if *split_of.entry(ask.clone()).or_insert(split) == split
                    && asked.insert((ask, limit_cents))
                {
                    chosen[split].push(SyntheticGoal {
                        split: Split::ALL[split],
                        listing: candidate.listing,
                        instruction: candidate.instruction(listing, chosen[split].len()),
                        colour,
                        size,
                        limit_cents,
                        needs,
                    });
                    break;
                }
            }
            if pool.is_empty() {
                missing[split] = 0;
            }
        }
    }
    for (split, goals) in chosen.iter_mut().enumerate() {
        seed.derive("order of the goals", split as u64).rng().shuffle(goals);
    }
    chosen.into_iter().flatten().collect()
}

fn most_missing(missing: &[usize; 3], n_goals: [usize; 3]) -> Option<usize> {
    let share = |split: usize| missing[split] as f64 / n_goals[split].max(1) as f64;
    (0..3).filter(|&split| missing[split] > 0).max_by(|&a, &b| share(a).total_cmp(&share(b)))
}

/// Per split, what its products allow to ask, by what it needs and in random order.
fn pools(
    n_goals: [usize; 3],
    config: &WorldConfig,
    listings: &[Listing],
    ranking: &Ranking<'_>,
    seed: Seed,
) -> [BTreeMap<Needs, Vec<Candidate>>; 3] {
    let mut products: Vec<usize> = (0..listings.len()).collect();
    seed.derive("products of the splits", 0).rng().shuffle(&mut products);
    let mut ranks: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let n_all = n_goals.iter().sum::<usize>().max(1);
    let mut n_before = 0;
    std::array::from_fn(|split| {
        let share = |n_goals: usize| products.len() * n_goals / n_all;
        let mine = &products[share(n_before)..share(n_before + n_goals[split])];
        n_before += n_goals[split];
        let mut rng = seed.derive("candidates", split as u64).rng();
        let mut candidates: Vec<Candidate> = mine
            .iter()
            .flat_map(|&product| candidates(config, listings, product, &mut rng))
            .collect();
        rng.shuffle(&mut candidates);
        let mut pool: BTreeMap<Needs, Vec<Candidate>> = BTreeMap::new();
        for candidate in candidates {
            let listing = &listings[candidate.listing];
            let ranked = ranks.entry(listing.query()).or_insert_with_key(|query| ranking(query));
            if let Some(needs) = needs(&candidate, listing, listings, ranked) {
                pool.entry(needs).or_default().push(candidate);
            }
        }
        pool
    })
}

#[derive(Clone, Debug)]
struct Candidate {
    listing: usize,
    colour: &'static str,
    size: Option<&'static str>,
    limit_cents: u32,
}

impl Candidate {
    fn fits(&self, wanted: &Listing, offered: &Listing) -> bool {
        offered.noun == wanted.noun
            && offered.material == wanted.material
            && offered.style == wanted.style
            && offered.cents <= self.limit_cents
    }

    fn instruction(&self, listing: &Listing, number: usize) -> String {
        let Listing { material, style, noun, .. } = listing;
        let colour = self.colour;
        let options = match self.size {
            Some(size) => format!("{colour} and size {size}"),
            None => colour.to_owned(),
        };
        let text = match number % 3 {
            0 => format!("i am looking for a {material} {style} {noun} in {options}"),
            1 => format!("i need a {material} {style} {noun} in color {options}"),
            _ => format!("find me a {material} {style} {noun} in {options}"),
        };
        format!("{text}, and price lower than {} dollars", dollars(self.limit_cents))
    }
}

/// One size only of each colour: else what comes in sizes would be asked for most.
fn candidates(
    config: &WorldConfig,
    listings: &[Listing],
    product: usize,
    rng: &mut Rng,
) -> Vec<Candidate> {
    let listing = &listings[product];
    let next_ten = listing.cents / 1000 * 1000 + 1000;
    let mut candidates = Vec::new();
    for &colour in &listing.colours {
        let size = rng.choose(&listing.sizes).copied();
        for slack in config.limit_slack_tens.clone() {
            let limit_cents = next_ten + 1000 * slack as u32;
            candidates.push(Candidate { listing: product, colour, size, limit_cents });
        }
    }
    candidates
}

/// What the first product that fits, and the first that has the colour too, demand.
fn needs(
    candidate: &Candidate,
    wanted: &Listing,
    listings: &[Listing],
    ranked: &[usize],
) -> Option<Needs> {
    let fitting = |&(_, &product): &(usize, &usize)| candidate.fits(wanted, &listings[product]);
    let mut fits = ranked.iter().enumerate().filter(fitting);
    let (rank, &first) = fits.next()?;
    if listings[first].colours.contains(&candidate.colour) {
        return Some(if rank < PAGE_SIZE { Needs::FirstPage } else { Needs::Next });
    }
    let (rank, &second) = fits.next()?;
    // A third visit would make a task longer than the skill is worth.
    listings[second].colours.contains(&candidate.colour).then_some(if rank < PAGE_SIZE {
        Needs::Back
    } else {
        Needs::Both
    })
}
