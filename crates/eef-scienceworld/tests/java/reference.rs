//! Comparison with what the original showed.

use eef_scienceworld::PoolOptions;
use eef_scienceworld::verify::{VerifyOptions, verify};

use crate::{jar, options, shared};

fn nothing_differs(pool: PoolOptions, seed: u64) {
    let (Some(jar), Some(shared)) = (jar(), shared()) else { return };
    let reference = shared.join("reference/scienceworld");
    let checks = verify(&jar, &reference, &VerifyOptions { pool, seed }).unwrap();
    for check in checks {
        eprintln!("{}: {} cases, {} differ", check.file, check.cases, check.mismatches);
        assert_eq!(check.mismatches, 0, "{:?}", check.first);
        // 60 episodes of 2,500 steps, and their starts and ends.
        assert_eq!(check.cases, 2620);
    }
}

#[test]
fn one_worker_shows_what_the_original_showed() {
    nothing_differs(options(), 0);
}

#[test]
fn four_workers_with_several_simulators_each_show_the_same_in_another_order() {
    nothing_differs(PoolOptions { n_workers: 4, simulators_per_worker: 2, ..options() }, 20261123);
}
