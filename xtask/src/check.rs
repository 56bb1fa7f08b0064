//! `cargo xtask check`: everything that a change must pass, the cheapest first.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::{dependencies, outside, process};

#[derive(Args)]
pub struct CheckArguments {
    /// Run only these steps (see `--list`)
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Leave these steps out
    #[arg(long, value_delimiter = ',')]
    skip: Vec<String>,
    /// Name the steps and stop
    #[arg(long)]
    list: bool,
}

struct Step {
    name: &'static str,
    about: &'static str,
    run: fn() -> anyhow::Result<()>,
}

/// In the order in which they run.
const STEPS: [Step; 9] = [
    Step { name: "fmt", about: "the code is formatted", run: format },
    Step {
        name: "dependencies",
        about: "crates depend in one direction; the registry takes their keywords",
        run: dependencies::check,
    },
    Step {
        name: "package",
        about: "every crate's files can be packed (not compiled again)",
        run: package,
    },
    Step { name: "clippy", about: "no warning in any target without CUDA", run: clippy },
    Step { name: "docs", about: "documentation builds without warnings", run: docs },
    Step { name: "features", about: "the workspace compiles with each feature", run: features },
    Step { name: "test", about: "unit, integration and documentation tests", run: test },
    Step { name: "examples", about: "every library's example runs", run: examples },
    Step {
        name: "outside",
        about: "each crate without Burn compiles alone, outside the workspace",
        run: outside::check_outside_project,
    },
];

/// Runs the chosen steps.
pub fn run(arguments: &CheckArguments) -> anyhow::Result<()> {
    if arguments.list {
        for step in &STEPS {
            say(&format!("{:<14} {}", step.name, step.about));
        }
        return Ok(());
    }
    for name in arguments.only.iter().chain(&arguments.skip) {
        if !STEPS.iter().any(|step| step.name == name) {
            let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
            bail!("there is no step `{name}`: the steps are {}", known.join(", "));
        }
    }
    for step in &STEPS {
        let named = |names: &[String]| names.iter().any(|name| name == step.name);
        if named(&arguments.skip) || !(arguments.only.is_empty() || named(&arguments.only)) {
            continue;
        }
        say(&format!("check: {} ({})", step.name, step.about));
        let start = Instant::now();
        (step.run)().with_context(|| format!("check `{}`", step.name))?;
        say(&format!("check: {} passed in {:.0} s", step.name, start.elapsed().as_secs_f64()));
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "what a check is doing is for people")]
fn say(line: &str) {
    eprintln!("{line}");
}

fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    process::run(&mut process::cargo(arguments)?)
}

fn format() -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"])
}

fn package() -> anyhow::Result<()> {
    // Verifying would compile Burn once more for every crate; `test` has compiled the same sources.
    cargo(&["package", "--workspace", "--no-verify", "--allow-dirty", "--quiet"])
}

fn clippy() -> anyhow::Result<()> {
    // One profile for everything: what build scripts and macros compile to is shared.
    let arguments = ["clippy", "--workspace", "--all-targets", "--release", "--locked"];
    cargo(&[&arguments[..], &["--", "-D", "warnings"]].concat())
}

fn docs() -> anyhow::Result<()> {
    let arguments = ["doc", "--workspace", "--no-deps", "--release", "--locked"];
    let mut command = process::cargo(&[&arguments[..], &["--exclude", "xtask"]].concat())?;
    process::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

fn features() -> anyhow::Result<()> {
    // The workspace as a whole, so that nothing but the feature differs and little is compiled
    // again; the step `outside` compiles the crates without Burn alone.
    for feature in FEATURES {
        cargo(&["check", "--workspace", "--release", "--locked", "--features", feature])?;
    }
    // What only a machine with a GPU runs must compile everywhere.
    let arguments = ["check", "--workspace", "--release", "--locked", "--test", "cuda"];
    cargo(&[&arguments[..], &["--features", "eef-cli/cuda"]].concat())
}

/// Every feature, or one that forwards to it; the default has none. (`eef-train/tui` is on in the
/// workspace: the CLI has the dashboard.)
const FEATURES: [&str; 3] = ["eef-core/testing", "eef/testing", "eef-cli/cuda"];

fn test() -> anyhow::Result<()> {
    // The release profile: tests of models are numeric work, and the main job shares the build.
    cargo(&["test", "--workspace", "--release", "--locked"])
}

fn examples() -> anyhow::Result<()> {
    let mut arguments = vec!["build", "--workspace", "--release", "--locked", "--examples"];
    arguments.extend(["--features", "eef-core/testing,eef/testing"]);
    cargo(&arguments)?;
    let folder = process::target_folder()?.join("release").join("examples");
    for example in EXAMPLES {
        let program = folder.join(example);
        let output = Command::new(&program)
            .current_dir(process::workspace_root()?)
            .output()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the example {example} failed: {}", errors.trim());
    }
    Ok(())
}

/// One example of each crate that others may use alone.
const EXAMPLES: [&str; 13] = [
    "episode",
    "figure_1",
    "fine_tune",
    "generate",
    "keep",
    "list_tensors",
    "many_episodes",
    "mask",
    "one_episode",
    "shop",
    "tell",
    "tune_a_llama",
    "tune_in_a_corridor",
];
