//! What each baseline trains on.

mod common;

use std::collections::BTreeSet;

use common::{expert, id, rollout, task};
use eef_core::{Seed, TaskId, TrajectoryId};
use eef_select::{
    Solution, all_experts, behaviour_cloning, contrast, dart_prop2diff, dart_uniform, failure_rate,
    rejection_all,
};

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

#[test]
fn dart_gives_harder_tasks_more_weight() {
    let teachers = [0, 1, 2]
        .map(|index| expert(&format!("expert {index}"), task(index), &["a", "b"], index != 2));
    let mut trajectories = teachers.to_vec();
    for teacher in &teachers[..2] {
        for action in ["c", "d", "e", "f"] {
            let name = format!("{} {action}", teacher.task);
            trajectories.push(rollout(&name, teacher, 0, &[action], 2, true));
        }
    }
    // Task 1 fails twice as often as task 0, task 2 always; but nobody solved task 2.
    let rate = |task: &TaskId| [0.3, 0.6, 1.0][task.index() as usize];
    let drawn = dart_prop2diff(&trajectories, 4, rate, Seed::new(1));
    let n_of = |index| {
        let of_task = |solution: &&Solution| {
            let id = solution.trajectory;
            trajectories.iter().any(|one| one.id == id && one.task == task(index))
        };
        drawn.iter().filter(of_task).count()
    };
    assert_eq!([n_of(0), n_of(1), n_of(2)], [2, 4, 0]);
    let easy = |task: &TaskId| [0.01, 0.6, 0.5][task.index() as usize];
    assert_eq!(dart_prop2diff(&trajectories, 4, easy, Seed::new(1)).len(), 1 + 4);
    assert!(dart_prop2diff(&[], 4, rate, Seed::new(1)).is_empty());
    assert_eq!(
        [failure_rate(0, 0), failure_rate(1, 1), failure_rate(0, 2)],
        [0.5, 2.0 / 3.0, 0.25]
    );
}

#[test]
fn eto_prefers_the_higher_reward_and_cuts_what_fails_for_long() {
    let won = expert("won", task(0), &["a", "b"], true);
    let lost = expert("lost", task(1), &["a"], false);
    let experts = [won.clone(), lost.clone(), expert("empty", task(1), &[], true)];
    let rollouts = [
        rollout("short", &won, 0, &["x"], 2, false),
        rollout("long", &won, 0, &["x"; 20], 2, false),
        rollout("alike", &won, 0, &["y"], 2, true),
        rollout("better", &lost, 0, &["y", "z"], 2, true),
        rollout("as bad", &lost, 0, &["z"], 2, false),
        rollout("of nobody", &expert("other", task(2), &["a"], true), 0, &["z"], 2, false),
    ];
    let pairs: Vec<_> = contrast(&experts, &rollouts, 5)
        .into_iter()
        .map(|pair| (pair.chosen, pair.rejected, pair.n_rejected_actions))
        .collect();
    let expected = [
        (id("won"), id("short"), 1),
        (id("won"), id("long"), 2 + 5),
        (id("better"), id("lost"), 1),
    ];
    assert_eq!(pairs, expected);
}
