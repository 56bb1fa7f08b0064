//! Everything that `verify` compares.

use eef_webshop::verify::{FILES, verify};

#[test]
fn nothing_differs_from_the_recordings() {
    let Some(shared) = super::shared() else {
        return;
    };
    let checks = verify(&shared.join("data/webshop"), &shared.join("reference/webshop")).unwrap();
    for check in &checks {
        eprintln!("{}: {} of {} cases differ", check.file, check.mismatches, check.cases);
        assert_eq!(check.first, None);
        assert_eq!(check.mismatches, 0);
        assert!(check.cases > 100);
    }
    assert_eq!(checks.len(), FILES.len());
}
