//! Tree search over stored trajectories (beyond the paper).

use std::collections::{BTreeMap, BTreeSet};

use eef_core::{StateKey, Trajectory};

/// A state to start from: one along a stored trajectory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The trajectory, by its place among those given.
    pub trajectory: usize,
    /// Its actions before the state: more than none, fewer than it has.
    pub n_actions: usize,
}

/// A state of the tree.
#[derive(Debug)]
struct Node {
    /// A way there.
    branch: Branch,
    /// States one action later, in the order in which trajectories reach them.
    children: Vec<usize>,
    /// Trajectories that pass through it or end in it.
    n_visits: u32,
    /// Sum of their rewards.
    reward: f64,
    /// Whether rollouts can still start here.
    is_free: bool,
    /// The same, here or later.
    is_open: bool,
}

/// The next state of a task from which a rollout tells most; `None` where rollouts were started from
/// every state.
///
/// The trajectories of one task, whoever made them, are a tree: those that share their first actions
/// share those states. From its root the search goes to the state with the highest upper confidence
/// bound on the mean reward (UCT, Kocsis and Szepesvári 2006), where starting a new rollout at the
/// state itself competes with going on to the states after it, and stops where the new rollout wins.
/// Unlike the paper's grid it may branch off from the policy's own rollouts, and it asks first where
/// trajectories earned most.
///
/// `asked` are the states from which rollouts started already; the root is never proposed: its
/// rollout is the first type of exploration. `exploration` weighs what is little known against what
/// was good (UCT's constant, in units of reward).
pub fn next_branch(
    trajectories: &[&Trajectory],
    asked: &BTreeSet<StateKey>,
    exploration: f64,
) -> Option<Branch> {
    let mut nodes = tree(trajectories, asked);
    // Children come after their parents.
    for node in (0..nodes.len()).rev() {
        nodes[node].is_open =
            nodes[node].is_free || nodes[node].children.iter().any(|&child| nodes[child].is_open);
    }
    let mut at = 0;
    loop {
        let node = nodes.get(at).filter(|node| node.is_open)?;
        let bound = |reward: f64, n: u32| {
            let n = f64::from(n);
            reward / n + exploration * (f64::from(node.n_visits).ln() / n).sqrt()
        };
        // A rollout from here is one more trajectory through here, of which none is known yet.
        let stay = node.is_free.then(|| bound(node.reward / f64::from(node.n_visits), 1));
        let children = node.children.iter().filter(|&&child| nodes[child].is_open);
        let scored =
            children.map(|&child| (child, bound(nodes[child].reward, nodes[child].n_visits)));
        // Of equals the first: what was tried first, and the earlier state.
        let best = scored.fold(None, |best: Option<(usize, f64)>, (child, score)| match best {
            Some((_, of_best)) if of_best >= score => best,
            _ => Some((child, score)),
        });
        match (stay, best) {
            (Some(stay), Some((_, score))) if stay >= score => return Some(node.branch),
            (Some(_), None) => return Some(node.branch),
            (_, Some((child, _))) => at = child,
            (None, None) => return None,
        }
    }
}

/// The tree of the trajectories' states, the root first.
fn tree(trajectories: &[&Trajectory], asked: &BTreeSet<StateKey>) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut known: BTreeMap<StateKey, usize> = BTreeMap::new();
    for (place, trajectory) in trajectories.iter().enumerate() {
        let mut before: Option<usize> = None;
        for (n_actions, state) in trajectory.state_keys().into_iter().enumerate() {
            let node = *known.entry(state).or_insert_with(|| {
                nodes.push(Node {
                    branch: Branch { trajectory: place, n_actions },
                    children: Vec::new(),
                    n_visits: 0,
                    reward: 0.0,
                    is_free: false,
                    is_open: false,
                });
                let node = nodes.len() - 1;
                if let Some(before) = before {
                    nodes[before].children.push(node);
                }
                node
            });
            nodes[node].n_visits += 1;
            nodes[node].reward += trajectory.outcome.reward.get();
            // What ends here for one may go on for none: nothing is left to do in a last state.
            if n_actions > 0 && n_actions < trajectory.n_actions() && !asked.contains(&state) {
                nodes[node].is_free = true;
                nodes[node].branch = Branch { trajectory: place, n_actions };
            }
            before = Some(node);
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use eef_core::{
        Action, Author, EpisodeEnd, Observation, Origin, Outcome, Reward, Split, Step, TaskId,
        TrajectoryId,
    };

    use super::*;

    /// A trajectory of the actions that the letters name.
    fn trajectory(letters: &str, reward: f64) -> Trajectory {
        let step = |letter: char| Step {
            reply: letter.to_string(),
            action: Action::new(letter),
            observation: Observation::default(),
            author: Author::Policy,
            sampled: None,
        };
        Trajectory {
            id: TrajectoryId::derive(&[letters.as_bytes()]),
            task: TaskId::new("made by hand", Split::Train, 0),
            instruction: String::new(),
            first_observation: Observation::default(),
            steps: letters.chars().map(step).collect(),
            origin: Origin::Rollout { round: 2, sample: 0, parent: None },
            outcome: Outcome { end: EpisodeEnd::Terminated, reward: Reward::new(reward).unwrap() },
        }
    }

    /// The states in the order in which they are asked for, where every rollout fails at once.
    fn order(trajectories: &[Trajectory], exploration: f64) -> Vec<(usize, usize)> {
        let trajectories: Vec<&Trajectory> = trajectories.iter().collect();
        let mut asked = BTreeSet::new();
        let mut order = Vec::new();
        while let Some(Branch { trajectory, n_actions }) =
            next_branch(&trajectories, &asked, exploration)
        {
            let state = trajectories[trajectory].state_keys()[n_actions];
            assert!(asked.insert(state), "asked twice");
            order.push((trajectory, n_actions));
        }
        order
    }

    #[test]
    fn every_state_but_first_and_last_is_asked_for_once() {
        let trajectories = [trajectory("abc", 0.0), trajectory("abd", 0.0), trajectory("ae", 0.5)];
        let mut found = order(&trajectories, 0.5);
        found.sort_unstable();
        // `a` belongs to all three, `ab` to two; the last trajectory that goes on names the way.
        assert_eq!(found, [(1, 2), (2, 1)]);
        assert!(order(&[trajectory("a", 0.0)], 0.5).is_empty(), "nothing between");
        assert!(order(&[], 0.5).is_empty());
    }

    #[test]
    fn without_curiosity_the_branch_that_earned_most_comes_first() {
        let trajectories = [trajectory("abcd", 0.1), trajectory("xyz", 0.6), trajectory("pq", 0.3)];
        let expected = [(1, 1), (1, 2), (2, 1), (0, 1), (0, 2), (0, 3)];
        assert_eq!(order(&trajectories, 0.0), expected);
    }

    #[test]
    fn what_was_tried_often_gives_way_to_what_is_little_known() {
        let good = ["ab", "ac", "ad", "ae", "af", "ag"].map(|letters| trajectory(letters, 0.2));
        let mut trajectories = good.to_vec();
        trajectories.push(trajectory("xy", 0.1));
        assert_eq!(order(&trajectories, 0.0)[0], (5, 1));
        assert_eq!(order(&trajectories, 0.5)[0], (6, 1));
    }
}
