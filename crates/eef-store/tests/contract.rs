//! What every store does, run on each.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::sync::Arc;

use common::{expert, grown, incident, random, task};
use eef_core::{Action, Reward, Seed, StateKey, Trajectory, TrajectoryId};
use eef_store::{AppendReport, MemoryStore, SqliteStore, StoreError, TrajectoryStore};
use proptest::prelude::*;

macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $name() { super::$name(&eef_store::MemoryStore::new()); })*
        }
        mod sqlite {
            $(#[test] fn $name() {
                let folder = tempfile::tempdir().unwrap();
                let store = eef_store::SqliteStore::open(folder.path().join("s.sqlite")).unwrap();
                super::$name(&store);
                assert_eq!(store.verify().unwrap().damages, Vec::<String>::new());
            })*
        }
    };
}

contract!(
    an_empty_store_has_nothing,
    what_is_added_is_given_back,
    adding_the_same_again_changes_nothing,
    other_content_under_one_id_is_refused_and_nothing_is_added,
    a_trajectory_that_breaks_a_rule_is_refused,
    the_best_solution_has_fewest_expert_actions_then_is_newest_shortest_smallest,
    failures_and_final_states_are_no_solutions,
    a_unit_is_complete_with_its_trajectories_and_incidents,
    a_unit_with_other_results_is_refused_and_nothing_is_added,
    lists_are_ordered_by_id,
    records_are_replaced,
    many_threads_may_add,
);

fn ids(trajectories: &[Arc<Trajectory>]) -> Vec<TrajectoryId> {
    trajectories.iter().map(|trajectory| trajectory.id).collect()
}

fn an_empty_store_has_nothing(store: &dyn TrajectoryStore) {
    let unknown = TrajectoryId::derive(&[b"unknown"]);
    assert_eq!(store.get(&unknown).unwrap(), None);
    assert!(!store.contains(&unknown).unwrap());
    assert_eq!(store.best_solution(&StateKey::initial(&task(0))).unwrap(), None);
    assert_eq!(store.n_trajectories().unwrap(), 0);
    assert!(store.experts().unwrap().is_empty() && store.incidents().unwrap().is_empty());
    assert!(!store.unit_is_complete("round 1").unwrap());
    assert_eq!(store.record("phase").unwrap(), None);
    assert_eq!(store.append(&[]).unwrap(), AppendReport::default());
}

fn what_is_added_is_given_back(store: &dyn TrajectoryStore) {
    let teacher = expert(task(0), "strong", &["north", "east", "take"], 0.25);
    // Grown from a stored one, from one in the same call, from one that is not stored, and with
    // another instruction than its parent.
    let child = grown(&teacher, 2, 1, 0, &["west"], 1.0);
    let grandchild = grown(&child, 3, 2, 0, &["south", "south"], 0.5);
    let stranger = grown(&expert(task(1), "absent", &["up", "up"], 1.0), 1, 1, 0, &["down"], 1.0);
    let mut renamed = grown(&teacher, 1, 3, 9, &[], 0.0);
    renamed.instruction = String::from("something else");
    let empty = expert(task(2), "silent", &[], 0.0);
    store.append(std::slice::from_ref(&teacher)).unwrap();
    let rest = [child, grandchild, stranger, renamed, empty];
    assert_eq!(store.append(&rest).unwrap(), AppendReport { n_new: 5, n_known: 0 });
    for trajectory in rest.iter().chain([&teacher]) {
        assert_eq!(store.get(&trajectory.id).unwrap().as_deref(), Some(trajectory));
        assert!(store.contains(&trajectory.id).unwrap());
    }
    assert_eq!(store.n_trajectories().unwrap(), 6);
}

fn adding_the_same_again_changes_nothing(store: &dyn TrajectoryStore) {
    let teacher = expert(task(0), "strong", &["north"], 1.0);
    let child = grown(&teacher, 1, 1, 0, &["west"], 1.0);
    let both = [teacher.clone(), child, teacher];
    assert_eq!(store.append(&both).unwrap(), AppendReport { n_new: 2, n_known: 1 });
    assert_eq!(store.append(&both).unwrap(), AppendReport { n_new: 0, n_known: 3 });
    assert_eq!(store.n_trajectories().unwrap(), 2);
}

fn other_content_under_one_id_is_refused_and_nothing_is_added(store: &dyn TrajectoryStore) {
    let stored = expert(task(0), "strong", &["north"], 1.0);
    store.append(std::slice::from_ref(&stored)).unwrap();
    let mut other = stored.clone();
    other.outcome.reward = Reward::ZERO;
    let fresh = expert(task(1), "strong", &["north"], 1.0);
    match store.append(&[fresh.clone(), other]) {
        Err(StoreError::Conflict { id, stored: one, given }) => {
            assert_eq!(id, stored.id);
            assert_ne!(one, given);
        }
        result => panic!("{result:?}"),
    }
    assert!(!store.contains(&fresh.id).unwrap());
    assert_eq!(store.get(&stored.id).unwrap().as_deref(), Some(&stored));
}

fn a_trajectory_that_breaks_a_rule_is_refused(store: &dyn TrajectoryStore) {
    let teacher = expert(task(0), "strong", &["north", "east"], 1.0);
    let mut short = grown(&teacher, 2, 1, 0, &["west"], 1.0);
    short.steps.truncate(1);
    let mut unequal = grown(&teacher, 0, 1, 0, &["west"], 1.0);
    unequal.steps[0].sampled.as_mut().unwrap().log_probabilities.pop();
    let mut not_finite = grown(&teacher, 0, 1, 0, &["west"], 1.0);
    not_finite.steps[0].sampled.as_mut().unwrap().log_probabilities[0] = f32::NAN;
    for wrong in [short, unequal, not_finite] {
        let result = store.append(&[wrong]);
        assert!(matches!(result, Err(StoreError::Invalid { .. })), "{result:?}");
    }
    assert_eq!(store.n_trajectories().unwrap(), 0);
}

fn the_best_solution_has_fewest_expert_actions_then_is_newest_shortest_smallest(
    store: &dyn TrajectoryStore,
) {
    let start = StateKey::initial(&task(0));
    let best = || store.best_solution(&start).unwrap();
    let teacher = expert(task(0), "strong", &["a", "b", "c"], 1.0);
    store.append(std::slice::from_ref(&teacher)).unwrap();
    assert_eq!(best(), Some(teacher.id));
    // In the paper's Figure 1 the solution with the shorter expert prefix wins.
    let late = grown(&teacher, 2, 1, 0, &["d"], 1.0);
    let early = grown(&teacher, 1, 1, 0, &["e", "f"], 1.0);
    store.append(&[early.clone(), late.clone()]).unwrap();
    assert_eq!(best(), Some(early.id));
    let newer = grown(&teacher, 1, 2, 0, &["e", "f", "g", "h"], 1.0);
    store.append(std::slice::from_ref(&newer)).unwrap();
    assert_eq!(best(), Some(newer.id));
    let shorter = grown(&teacher, 1, 2, 1, &["e", "f", "g"], 1.0);
    store.append(std::slice::from_ref(&shorter)).unwrap();
    assert_eq!(best(), Some(shorter.id));
    let twin = grown(&teacher, 1, 2, 2, &["e", "f", "x"], 1.0);
    store.append(std::slice::from_ref(&twin)).unwrap();
    assert_eq!(best(), Some(shorter.id.min(twin.id)));
    // Only two of them pass through the state after a and b.
    let second = start.after(&Action::new("a")).after(&Action::new("b"));
    assert_eq!(store.best_solution(&second).unwrap(), Some(late.id));
}

fn failures_and_final_states_are_no_solutions(store: &dyn TrajectoryStore) {
    let failed = expert(task(0), "weak", &["a"], 0.999);
    let solved = expert(task(1), "strong", &["a"], 1.0);
    store.append(&[failed, solved.clone()]).unwrap();
    assert_eq!(store.best_solution(&StateKey::initial(&task(0))).unwrap(), None);
    let keys = solved.state_keys();
    assert_eq!(store.best_solution(&keys[0]).unwrap(), Some(solved.id));
    assert_eq!(store.best_solution(&keys[1]).unwrap(), None, "there is no action left to train");
}

fn a_unit_is_complete_with_its_trajectories_and_incidents(store: &dyn TrajectoryStore) {
    let teacher = expert(task(0), "strong", &["a", "b"], 1.0);
    let child = grown(&teacher, 1, 1, 0, &["c"], 1.0);
    let members = [child, teacher];
    let incidents = [incident(task(5), 1), incident(task(0), 0)];
    let report = store.append_unit("round 1, unit 0", &members, &incidents).unwrap();
    assert_eq!(report, AppendReport { n_new: 2, n_known: 0 });
    let unit = store.unit("round 1, unit 0").unwrap().unwrap();
    assert_eq!(unit.trajectories, [members[0].id, members[1].id]);
    assert_eq!(unit.incidents, incidents);
    assert!(store.unit_is_complete("round 1, unit 0").unwrap());
    assert!(!store.unit_is_complete("round 1, unit 1").unwrap());
    let again = store.append_unit("round 1, unit 0", &members, &incidents).unwrap();
    assert_eq!(again, AppendReport { n_new: 0, n_known: 2 });
    store.append_unit("round 0", &[], &incidents[1..]).unwrap();
    let [first, second] = incidents;
    assert_eq!(store.incidents().unwrap(), [second.clone(), first, second]);
}

fn a_unit_with_other_results_is_refused_and_nothing_is_added(store: &dyn TrajectoryStore) {
    store.append_unit("unit", &[], &[incident(task(0), 0)]).unwrap();
    let fresh = expert(task(0), "strong", &["a"], 1.0);
    let result = store.append_unit("unit", std::slice::from_ref(&fresh), &[incident(task(0), 0)]);
    assert!(matches!(result, Err(StoreError::UnitConflict { .. })), "{result:?}");
    let result = store.append_unit("unit", &[], &[incident(task(0), 2)]);
    assert!(matches!(result, Err(StoreError::UnitConflict { .. })), "{result:?}");
    assert!(!store.contains(&fresh.id).unwrap());
    assert_eq!(store.incidents().unwrap(), [incident(task(0), 0)]);
}

fn lists_are_ordered_by_id(store: &dyn TrajectoryStore) {
    let all = random(&mut Seed::new(5).rng(), 60);
    store.append(&all).unwrap();
    let select = |keep: &dyn Fn(&Trajectory) -> bool| {
        let mut ids: Vec<TrajectoryId> =
            all.iter().filter(|one| keep(one)).map(|one| one.id).collect();
        ids.sort_unstable();
        ids
    };
    let experts = select(&|one| one.origin.round() == 0);
    assert!(experts.len() > 2);
    assert_eq!(ids(&store.experts().unwrap()), experts);
    assert_eq!(ids(&store.by_round(0).unwrap()), experts);
    assert_eq!(ids(&store.by_round(2).unwrap()), select(&|one| one.origin.round() == 2));
    let positives = select(&|one| one.is_positive() && one.task == task(1));
    assert!(positives.len() > 2);
    assert_eq!(ids(&store.positives_of(&task(1)).unwrap()), positives);
    let mut by_round: Vec<_> = all.iter().map(|one| (one.origin.round(), one.id)).collect();
    by_round.sort_unstable();
    let by_round: Vec<TrajectoryId> = by_round.into_iter().map(|(_, id)| id).collect();
    assert_eq!(store.ids().unwrap(), by_round);
}

fn records_are_replaced(store: &dyn TrajectoryStore) {
    store.put_record("phase", b"explore").unwrap();
    store.put_record("other", b"").unwrap();
    store.put_record("phase", b"train \0").unwrap();
    assert_eq!(store.record("phase").unwrap().as_deref(), Some(b"train \0".as_slice()));
    assert_eq!(store.record("other").unwrap().as_deref(), Some(b"".as_slice()));
}

fn many_threads_may_add(store: &dyn TrajectoryStore) {
    let all = random(&mut Seed::new(9).rng(), 64);
    std::thread::scope(|scope| {
        for (number, part) in all.chunks(4).enumerate() {
            scope.spawn(move || {
                store.append_unit(&format!("unit {number}"), part, &[]).unwrap();
            });
        }
    });
    assert_eq!(store.n_trajectories().unwrap(), 64);
    for trajectory in &all {
        assert_eq!(store.get(&trajectory.id).unwrap().as_deref(), Some(trajectory));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(24), ..ProptestConfig::default() })]

    /// Whatever is added in whatever order and portions, the two stores answer alike.
    #[test]
    fn memory_and_sqlite_agree(seed: u64, n in 1_usize..40) {
        let mut rng = Seed::new(seed).rng();
        let mut all = random(&mut rng, n);
        rng.shuffle(&mut all);
        let folder = tempfile::tempdir().unwrap();
        let memory = MemoryStore::new();
        let path = folder.path().join("s.sqlite");
        let sqlite = SqliteStore::open(&path).unwrap();
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let n_added = 1 + rng.below(rest.len());
            let report = memory.append(&rest[..n_added]).unwrap();
            prop_assert_eq!(sqlite.append(&rest[..n_added]).unwrap(), report);
            rest = &rest[n_added / 2 + 1..];
        }
        drop(sqlite);
        let sqlite = SqliteStore::open(&path).unwrap();
        prop_assert!(sqlite.verify().unwrap().is_sound());
        prop_assert_eq!(sqlite.ids().unwrap(), memory.ids().unwrap());
        prop_assert_eq!(sqlite.experts().unwrap(), memory.experts().unwrap());
        for round in 0..4 {
            prop_assert_eq!(sqlite.by_round(round).unwrap(), memory.by_round(round).unwrap());
        }
        for trajectory in &all {
            prop_assert_eq!(sqlite.get(&trajectory.id).unwrap(), memory.get(&trajectory.id).unwrap());
            let task = &trajectory.task;
            prop_assert_eq!(sqlite.positives_of(task).unwrap(), memory.positives_of(task).unwrap());
            for state in trajectory.state_keys() {
                let best = memory.best_solution(&state).unwrap();
                prop_assert_eq!(sqlite.best_solution(&state).unwrap(), best);
            }
        }
    }
}

/// `PROPTEST_CASES` raises the number of cases.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
