//! What each baseline trains on.

mod common;

use std::collections::BTreeSet;

use common::{expert, id, rollout, task};
use eef_core::{Seed, TrajectoryId};
use eef_select::{Solution, all_experts, behaviour_cloning, dart_uniform, rejection_all};

fn ids(solutions: &[Solution]) -> Vec<TrajectoryId> {
    assert!(solutions.iter().all(|solution| solution.train_from == 0));
    solutions.iter().map(|solution| solution.trajectory).collect()
}

#[test]
fn behaviour_cloning_takes_the_positives_of_the_named_experts_only() {
    let won = expert("won", task(0), &["a", "b"], true);
    let lost = expert("lost", task(1), &["a"], false);
    let empty = expert("empty", task(2), &[], true);
    let own = rollout("own", &won, 0, &["c"], 2, true);
    let trajectories = [won, lost, empty, own];
    let teacher = ["teacher".into()];
    assert_eq!(ids(&behaviour_cloning(&trajectories, &teacher)), [id("won")]);
    assert_eq!(ids(&all_experts(&trajectories, &teacher)), [id("won"), id("lost")]);
    assert!(behaviour_cloning(&trajectories, &["another".into()]).is_empty());
}

#[test]
fn dart_gives_every_solved_task_the_same_weight() {
    let teacher = expert("expert", task(0), &["a", "b"], true);
    let other = expert("other", task(1), &["a"], true);
    let trajectories = [
        rollout("old", &teacher, 0, &["c"], 2, true),
        rollout("new", &teacher, 0, &["d", "e"], 3, true),
        rollout("same as new", &teacher, 0, &["d", "e"], 2, true),
        rollout("failed", &teacher, 0, &["f"], 3, false),
        teacher,
        other,
    ];
    assert_eq!(rejection_all(&trajectories).len(), 5);
    let mut drawn = BTreeSet::new();
    for seed in (0..200).map(Seed::new) {
        let one = ids(&dart_uniform(&trajectories, 1, seed));
        assert_eq!((one.len(), one[1]), (2, id("other")));
        drawn.insert(one[0]);
        let all = ids(&dart_uniform(&trajectories, 9, seed));
        assert_eq!(one[0], all[0]);
        // One of the two that act alike, both other ways, and the other task's.
        assert_eq!((all.len(), all[3]), (4, id("other")));
        assert!(all.contains(&id("old")) && all.contains(&id("expert")));
        assert_eq!(all, ids(&dart_uniform(&trajectories, 9, seed)));
        // What is drawn does not depend on what else there is.
        let longer: Vec<_> = trajectories.iter().rev().cloned().collect();
        assert_eq!(all, ids(&dart_uniform(&longer, 9, seed)));
    }
    // Long and short ones alike, of whatever round.
    assert_eq!(drawn, ["old", "new", "same as new", "expert"].map(id).into());
}
