//! `repair`: saves what is sound of a run's damaged store.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use eef_store::{RepairReport, RunLock, SqliteStore};

use crate::context::Context;
use crate::{output, run_directory};

/// Lines of a list that are printed; `--json` gives all of them.
const N_SHOWN: usize = 10;

/// Repairs. No other program works in the directory meanwhile.
pub fn run(context: &Context) -> anyhow::Result<()> {
    // A directory that is named needs no configuration, which may be damaged, too.
    let run = match &context.global.run_dir {
        Some(run) => run.clone(),
        None => run_directory::path(&context.global, &context.config()?, ""),
    };
    if stores(&run).is_empty() {
        let file = run_directory::store_file(&run);
        bail!("{} holds no run: there is no {}", run.display(), file.display());
    }
    let _lock = RunLock::acquire(&run)?;
    let mut records = Vec::new();
    for store in stores(&run) {
        let report = SqliteStore::repair(&store)
            .with_context(|| format!("cannot repair {}", store.display()))?;
        if context.global.json {
            records.push(record(&store, &report));
        } else {
            output::print(&show(&store, &report))?;
        }
        if !report.lost.is_empty() {
            context.progress.note("the command that made the run does again what was lost");
        }
    }
    if context.global.json {
        return output::print_json(&records);
    }
    Ok(())
}

/// The stores of a directory: a run's own, or those of a comparison, one for every seed and method.
fn stores(run: &Path) -> Vec<PathBuf> {
    let is_seed = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seed-"))
    };
    let runs = entries(run).into_iter().filter(is_seed).flat_map(|seed| entries(&seed));
    let all = std::iter::once(run.to_path_buf()).chain(runs);
    all.map(|run| run_directory::store_file(&run))
        .filter(|file| SqliteStore::exists(file))
        .collect()
}

/// What lies in a folder, by name; nothing where it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn show(store: &Path, report: &RepairReport) -> String {
    let store = store.display();
    let holds = format!(
        "{} trajectories, {} complete units of work",
        output::count(report.n_trajectories),
        output::count(report.n_units)
    );
    let Some(copy) = &report.damaged_copy else {
        return format!("{store}: sound, nothing was done: {holds}\n");
    };
    let mut lines = vec![format!("{store}: repaired, kept {holds}")];
    lines.extend(list("damaged", &report.damages));
    lines.extend(list("lost", &report.lost));
    lines.push(format!("  the damaged original is {}", copy.display()));
    lines.join("\n") + "\n"
}

fn list(name: &str, lines: &[String]) -> Vec<String> {
    if lines.is_empty() {
        return vec![format!("  {name}: nothing")];
    }
    let mut shown = vec![format!("  {name}: {}", output::count(lines.len() as u64))];
    shown.extend(lines.iter().take(N_SHOWN).map(|line| format!("    {line}")));
    if lines.len() > N_SHOWN {
        shown.push("    … (--json lists all)".to_owned());
    }
    shown
}

fn record(store: &Path, report: &RepairReport) -> serde_json::Value {
    serde_json::json!({
        "store": store,
        "trajectories": report.n_trajectories,
        "units": report.n_units,
        "damages": report.damages,
        "lost": report.lost,
        "damaged_copy": report.damaged_copy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_has_a_store_for_every_seed_and_method() {
        let folder = tempfile::tempdir().unwrap();
        let runs = ["", "seed-1/eef", "seed-1/rft", "seed-2/eef", "models/eef"];
        for run in runs {
            let run = folder.path().join(run);
            std::fs::create_dir_all(&run).unwrap();
            std::fs::write(run_directory::store_file(&run), "").unwrap();
        }
        let found = stores(folder.path());
        let expected: Vec<PathBuf> = runs[..4]
            .iter()
            .map(|run| run_directory::store_file(&folder.path().join(run)))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(stores(&folder.path().join("none")), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_was_kept_and_lost_is_said() {
        let store = Path::new("runs/a/store.sqlite");
        let mut report = RepairReport {
            n_trajectories: 1234,
            n_units: 5,
            damages: vec!["table unit, row `x`: checksum".to_owned()],
            lost: Vec::new(),
            damaged_copy: Some("runs/a/store.sqlite.damaged".into()),
        };
        assert_eq!(
            show(store, &report),
            "runs/a/store.sqlite: repaired, kept 1,234 trajectories, 5 complete units of work\n\
             \x20 damaged: 1\n    table unit, row `x`: checksum\n  lost: nothing\n\
             \x20 the damaged original is runs/a/store.sqlite.damaged\n"
        );
        report.lost = vec!["row".to_owned(); N_SHOWN + 1];
        let text = show(store, &report);
        assert!(text.contains("  lost: 11\n") && text.contains("--json lists all"), "{text}");
        report.damaged_copy = None;
        let sound = "runs/a/store.sqlite: sound, nothing was done: 1,234 trajectories, ";
        assert!(show(store, &report).starts_with(sound));
    }
}
