//! Counting cases and keeping the first difference.

use serde::Serialize;
use serde_json::json;

use super::Mismatch;

/// What the comparison of one episode came to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) cases: usize,
    pub(super) mismatches: usize,
    pub(super) first: Option<Mismatch>,
    /// Whether the case under way has differed already.
    differs: bool,
    case: String,
}

impl Tally {
    /// Begins a case.
    pub(super) fn case(&mut self, name: String) {
        self.cases += 1;
        self.differs = false;
        self.case = name;
    }

    /// Compares a value of the case.
    pub(super) fn same<T: PartialEq + Serialize>(
        &mut self,
        what: &'static str,
        found: &T,
        expected: &T,
    ) {
        if found == expected || self.differs {
            return;
        }
        self.differs = true;
        self.mismatches += 1;
        if self.first.is_none() {
            let (expected, found) = (json!(expected), json!(found));
            self.first = Some(Mismatch { case: self.case.clone(), what, expected, found });
        }
    }
}
