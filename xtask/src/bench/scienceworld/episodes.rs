//! What is played.

use std::fs;
use std::path::Path;

use anyhow::Context;
use eef_scienceworld::teacher::gold_scripts;
use eef_scienceworld::{Game, Jar, PoolOptions, TaskSet, WorkerPool};
use serde::{Deserialize, Serialize};

use crate::prepare_data::tell;

/// An episode and what is done in it.
#[derive(Serialize)]
pub struct Episode {
    #[serde(flatten)]
    pub game: Game,
    pub actions: Vec<String>,
}

/// Recorded episodes with their first actions.
pub fn read(path: &Path, n_actions: usize) -> anyhow::Result<Vec<Episode>> {
    let text = fs::read_to_string(path).map_err(anyhow::Error::from);
    let episodes = text.and_then(|text| parse(&text, n_actions));
    episodes.with_context(|| format!("cannot read episodes in {}", path.display()))
}

/// The simulator's own solution of one variation of each of AgentGym's tasks, its first actions; some
/// of the other tasks' take minutes to find.
pub fn solutions(jar: &Jar, n_actions: usize) -> anyhow::Result<Vec<Episode>> {
    tell("asking the simulator for its solutions");
    let game =
        |name: &str| Game { task: name.to_owned(), variation: 0, simplification: String::new() };
    let games: Vec<Game> = TaskSet::AgentGym.tasks().map(|task| game(task.name)).collect();
    let pool = WorkerPool::new(jar.clone(), PoolOptions::default())?;
    let mut scripts = gold_scripts(&pool, &games)?;
    for script in &mut scripts {
        script.truncate(n_actions);
    }
    let episodes = games.into_iter().zip(scripts);
    Ok(episodes.map(|(game, actions)| Episode { game, actions }).collect())
}

/// One JSON object a line.
fn parse(text: &str, n_actions: usize) -> anyhow::Result<Vec<Episode>> {
    #[derive(Deserialize)]
    struct Recorded {
        #[serde(flatten)]
        game: Game,
        steps: Vec<Step>,
    }
    #[derive(Deserialize)]
    struct Step {
        action: String,
    }
    let episode = |line| -> anyhow::Result<Episode> {
        let Recorded { game, steps } = serde_json::from_str(line)?;
        let actions = steps.into_iter().take(n_actions).map(|step| step.action).collect();
        Ok(Episode { game, actions })
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(episode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_episodes_are_read_with_their_first_actions_alone() {
        let line = r#"{"task": "boil", "variation": 3, "simplification": "easy", "kind": "gold", "#
            .to_owned()
            + r#""steps": [{"action": "wait", "score": 0.5}, {"action": "a"}, {"action": "b"}]}"#;
        let found = parse(&format!("{line}\n\n{line}\n"), 2).unwrap();
        assert_eq!((found.len(), found[1].actions.join(",")), (2, "wait,a".to_owned()));
        // What the package's script reads.
        let written = serde_json::to_value(&found[0]).unwrap();
        let expected = serde_json::json!({
            "task": "boil", "variation": 3, "simplification": "easy", "actions": ["wait", "a"],
        });
        assert_eq!(written, expected);
        assert!(parse("{}", 2).is_err());
    }
}
