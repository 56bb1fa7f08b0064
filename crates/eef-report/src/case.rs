//! Cases (appendices A.10 and A.11): a task that one method wins and another loses.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use eef_core::{TaskId, Trajectory};

use crate::table::escaped;

/// Longest observation that is shown, in characters.
const N_SHOWN: usize = 220;

/// Two trajectories of one task, of which one won.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseStudy {
    /// Who won, and who lost, as tables name them.
    pub methods: [String; 2],
    /// The winner's trajectory.
    pub won: Arc<Trajectory>,
    /// The other's.
    pub lost: Arc<Trajectory>,
}

/// Tasks that the first list wins and the second loses, `n` at most: first those in which `is_telling`
/// holds of the winner and not of the loser, then by the task.
pub fn find_cases(
    methods: [&str; 2],
    winners: &[Arc<Trajectory>],
    losers: &[Arc<Trajectory>],
    is_telling: &dyn Fn(&Trajectory) -> bool,
    n: usize,
) -> Vec<CaseStudy> {
    let lost: BTreeMap<&TaskId, &Arc<Trajectory>> =
        (losers.iter()).filter(|one| !one.is_positive()).map(|one| (&one.task, one)).collect();
    let pair = |won: &Arc<Trajectory>| {
        let lost = Arc::clone(lost.get(&won.task)?);
        Some(CaseStudy { methods: methods.map(str::to_owned), won: Arc::clone(won), lost })
    };
    let mut cases: Vec<CaseStudy> =
        winners.iter().filter(|one| one.is_positive()).filter_map(pair).collect();
    cases.sort_by_key(|case| {
        let is_telling = is_telling(&case.won) && !is_telling(&case.lost);
        (!is_telling, case.won.task.clone())
    });
    cases.truncate(n);
    cases
}

impl CaseStudy {
    /// The first step at which the two do something else, from 0; the shorter one's end where one is
    /// the other's beginning.
    pub fn deciding_step(&self) -> usize {
        let pairs = self.won.steps.iter().zip(&self.lost.steps);
        pairs.take_while(|(won, lost)| won.action == lost.action).count()
    }

    /// Side by side as Markdown, the deciding step marked.
    pub fn markdown(&self) -> String {
        let [winner, loser] = self.headings();
        let mut text = format!(
            "### {}\n\n{}\n\n|  | {winner} | {loser} |\n|---|---|---|\n",
            self.won.task,
            escaped(&short(&self.won.instruction)),
        );
        for (mark, cells) in self.steps() {
            let [won, lost] = cells.map(|cell| {
                cell.map_or_else(String::new, |(action, observation)| {
                    // A page may hold what Markdown would take for tags.
                    let observation = escaped(&observation);
                    format!("`{}` {observation}", action.replace('`', "'")).replace('|', "\\|")
                })
            });
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(text, "| {mark} | {won} | {lost} |");
        }
        text
    }

    /// The same as HTML.
    pub fn html(&self) -> String {
        let [winner, loser] = self.headings();
        let mut text = format!(
            "<h3>{}</h3>\n<p>{}</p>\n<table class=\"case\">\n<tr><th></th><th>{}</th><th>{}</th></tr>\n",
            escaped(&self.won.task.to_string()),
            escaped(&short(&self.won.instruction)),
            escaped(&winner),
            escaped(&loser),
        );
        for (mark, cells) in self.steps() {
            let [won, lost] = cells.map(|cell| {
                cell.map_or_else(String::new, |(action, observation)| {
                    format!("<code>{}</code> {}", escaped(&action), escaped(&observation))
                })
            });
            let mark = mark.replace("**", "");
            let _ = writeln!(text, "<tr><td>{mark}</td><td>{won}</td><td>{lost}</td></tr>");
        }
        text.push_str("</table>\n");
        text
    }

    fn headings(&self) -> [String; 2] {
        let [winner, loser] = &self.methods;
        [format!("{winner}, won"), format!("{loser}, reward {:.2}", self.lost.outcome.reward.get())]
    }

    /// Each step's number, and what either did and saw in it.
    fn steps(&self) -> impl Iterator<Item = (String, [Option<(String, String)>; 2])> {
        let deciding = self.deciding_step();
        (0..self.won.steps.len().max(self.lost.steps.len())).map(move |index| {
            let number = (index + 1).to_string();
            let mark = if index == deciding { format!("**{number}, here**") } else { number };
            let cells = [&self.won, &self.lost].map(|trajectory| {
                let step = trajectory.steps.get(index)?;
                Some((short(step.action.as_str()), short(step.observation.as_str())))
            });
            (mark, cells)
        })
    }
}

/// A text on one line, not longer than a few.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(N_SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
