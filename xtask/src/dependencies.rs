//! The direction of dependencies between the workspace's crates (ARCHITECTURE.md, invariants), and
//! what a package registry asks of their keywords.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::process;

/// Crates that may reach Burn.
const MAY_REACH_BURN: [&str; 4] = ["eef-llama", "eef-train", "eef-agent", "eef-cli"];

/// Crates whose direct dependencies, whoever publishes them, are these and no others: with nothing
/// but the vocabulary there is no randomness and no serialisation to use.
const STAND_ON: [(&str, &[&str]); 1] = [("eef-select", &["eef-core"])];

/// For each crate the workspace crates that it depends on directly, outside its tests.
const ALLOWED: [(&str, &[&str]); 15] = [
    ("eef-core", &[]),
    ("eef-select", &["eef-core"]),
    ("eef-webshop", &["eef-core"]),
    ("eef-scienceworld", &["eef-core"]),
    ("eef-chat", &["eef-core"]),
    ("eef-weights", &[]),
    ("eef-store", &["eef-core"]),
    ("eef-rollout", &["eef-core"]),
    ("eef-llama", &["eef-weights"]),
    ("eef-train", &["eef-core", "eef-llama", "eef-weights"]),
    ("eef-agent", &["eef-chat", "eef-core", "eef-llama", "eef-train"]),
    ("eef", &["eef-core", "eef-rollout", "eef-select", "eef-store"]),
    ("eef-report", &["eef", "eef-core"]),
    (
        "eef-cli",
        &[
            "eef",
            "eef-agent",
            "eef-chat",
            "eef-core",
            "eef-llama",
            "eef-report",
            "eef-rollout",
            "eef-scienceworld",
            "eef-select",
            "eef-store",
            "eef-train",
            "eef-webshop",
            "eef-weights",
        ],
    ),
    (
        "xtask",
        &[
            "eef-chat",
            "eef-core",
            "eef-rollout",
            "eef-scienceworld",
            "eef-store",
            "eef-webshop",
            "eef-weights",
        ],
    ),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    keywords: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
}

#[derive(Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// Dependencies by crate name.
type Edges = BTreeMap<String, BTreeSet<String>>;

#[derive(Default)]
struct Graph {
    /// What a crate is compiled with, its build scripts too.
    normal: Edges,
    /// What its tests and examples are compiled with besides.
    of_tests: Edges,
}

/// Checks the workspace as it is.
pub fn check() -> anyhow::Result<()> {
    let metadata = metadata()?;
    let names: BTreeMap<&str, &str> = metadata
        .packages
        .iter()
        .map(|package| (package.id.as_str(), package.name.as_str()))
        .collect();
    let name_of = |id: &str| names.get(id).map_or_else(|| id.to_owned(), |name| (*name).to_owned());
    let mut graph = Graph::default();
    for node in &metadata.resolve.nodes {
        let of_tests = |kind: &DependencyKind| kind.kind.as_deref() == Some("dev");
        for dependency in &node.deps {
            let kinds = &dependency.dep_kinds;
            // Two versions of one package share a name here, which only makes the check stricter.
            let add = |edges: &mut Edges| {
                edges.entry(name_of(&node.id)).or_default().insert(name_of(&dependency.pkg));
            };
            if kinds.is_empty() || !kinds.iter().all(of_tests) {
                add(&mut graph.normal);
            }
            if kinds.iter().any(of_tests) {
                add(&mut graph.of_tests);
            }
        }
    }
    let members: BTreeSet<String> =
        metadata.workspace_members.iter().map(|id| name_of(id)).collect();
    let mut faults = faults(&graph, &members);
    for package in &metadata.packages {
        if metadata.workspace_members.contains(&package.id) {
            faults.extend(keyword_faults(&package.name, &package.keywords));
        }
    }
    if !faults.is_empty() {
        bail!("{} faults in the manifests:\n  {}", faults.len(), faults.join("\n  "));
    }
    Ok(())
}

/// The libraries that others may use without compiling Burn.
#[cfg(test)]
pub(crate) fn without_burn() -> impl Iterator<Item = &'static str> {
    let crates = ALLOWED.into_iter().map(|(name, _)| name);
    crates.filter(|name| !MAY_REACH_BURN.contains(name) && *name != "xtask")
}

fn metadata() -> anyhow::Result<Metadata> {
    let mut command = process::cargo(&["metadata", "--format-version", "1", "--locked"])?;
    serde_json::from_str(&process::output(&mut command)?)
        .context("`cargo metadata` printed something unexpected")
}

/// What is wrong, a line each.
fn faults(graph: &Graph, members: &BTreeSet<String>) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let alone: BTreeMap<&str, &[&str]> = STAND_ON.into_iter().collect();
    let mut faults = Vec::new();
    for member in members {
        let name = member.as_str();
        let Some(allowed) = allowed.get(name) else {
            faults.push(format!("{name} is not in the table of xtask/src/dependencies.rs"));
            continue;
        };
        let direct: Vec<&str> =
            graph.normal.get(name).into_iter().flatten().map(String::as_str).collect();
        for dependency in &direct {
            if members.contains(*dependency) && !allowed.contains(dependency) {
                faults.push(format!("{name} must not depend on {dependency}"));
            }
            if alone.get(name).is_some_and(|alone| !alone.contains(dependency)) {
                faults.push(format!("{name} must not depend on {dependency}: it stands alone"));
            }
        }
        for dependency in allowed.iter().filter(|dependency| !direct.contains(dependency)) {
            faults.push(format!(
                "{name} does not depend on {dependency}: take it out of the table of \
                 xtask/src/dependencies.rs"
            ));
        }
        if MAY_REACH_BURN.contains(&name) {
            continue;
        }
        let is_burn = |found: BTreeSet<String>| found.iter().any(|name| name.starts_with("burn"));
        if is_burn(reachable(&graph.normal, direct.iter().copied())) {
            faults.push(format!("{name} must not reach Burn"));
        }
        let of_tests = graph.of_tests.get(name).into_iter().flatten();
        if is_burn(reachable(&graph.normal, of_tests.map(String::as_str))) {
            faults.push(format!("the tests of {name} must not reach Burn"));
        }
    }
    faults
}

/// What the registry crates.io refuses in the keywords of a package.
fn keyword_faults(package: &str, keywords: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    if keywords.len() > 5 {
        faults.push(format!("{package} has {} keywords: at most 5 are taken", keywords.len()));
    }
    for keyword in keywords {
        let is_word = keyword.starts_with(|first: char| first.is_ascii_alphanumeric())
            && keyword.chars().all(|c| c.is_ascii_alphanumeric() || "-_+".contains(c));
        if keyword.len() > 20 || !is_word {
            faults.push(format!(
                "{package} has the keyword `{keyword}`: expected at most 20 ASCII letters, digits, \
                 -, _ or +, the first a letter or a digit"
            ));
        }
    }
    faults
}

/// The crates named and whatever they depend on.
fn reachable<'a>(edges: &Edges, from: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = from.map(str::to_owned).collect();
    let mut waiting: Vec<String> = found.iter().cloned().collect();
    while let Some(name) = waiting.pop() {
        for dependency in edges.get(&name).into_iter().flatten() {
            if found.insert(dependency.clone()) {
                waiting.push(dependency.clone());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The edges of a few crates, beside which the table names others.
    fn edges(edges: &[(&str, &str)]) -> Edges {
        let mut found = Edges::new();
        for (from, to) in edges {
            found.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        found
    }

    fn members(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_crate_that_reaches_burn_through_another_is_reported() {
        let normal = edges(&[("eef-select", "eef-core"), ("eef-core", "burn-tensor")]);
        let graph = Graph { normal, ..Graph::default() };
        let faults = faults(&graph, &members(&["eef-select", "eef-core"]));
        assert_eq!(faults, ["eef-core must not reach Burn", "eef-select must not reach Burn"]);
    }

    #[test]
    fn a_crate_whose_tests_alone_reach_burn_is_reported() {
        let normal = edges(&[("eef-select", "eef-core"), ("eef-llama", "burn")]);
        let graph = Graph { normal, of_tests: edges(&[("eef-select", "eef-llama")]) };
        let faults = faults(&graph, &members(&["eef-select", "eef-core"]));
        assert_eq!(faults, ["the tests of eef-select must not reach Burn"]);
    }

    #[test]
    fn a_dependency_against_the_direction_is_reported() {
        let normal = edges(&[("eef-core", "eef-store"), ("eef-store", "eef-core")]);
        let graph = Graph { normal, ..Graph::default() };
        let faults = faults(&graph, &members(&["eef-store", "eef-core"]));
        assert_eq!(faults, ["eef-core must not depend on eef-store"]);
    }

    #[test]
    fn a_crate_that_stands_alone_may_use_nobody_elses() {
        let normal = edges(&[("eef-select", "eef-core"), ("eef-select", "rand")]);
        let graph = Graph { normal, ..Graph::default() };
        let faults = faults(&graph, &members(&["eef-select"]));
        assert_eq!(faults, ["eef-select must not depend on rand: it stands alone"]);
    }

    #[test]
    fn a_table_that_allows_more_than_is_used_is_reported() {
        let faults = faults(&Graph::default(), &members(&["eef-store"]));
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("eef-store does not depend on eef-core: take it out"));
    }

    #[test]
    fn an_unknown_member_is_reported() {
        let faults = faults(&Graph::default(), &members(&["eef-new"]));
        assert!(faults[0].contains("is not in the table"), "{faults:?}");
    }

    #[test]
    fn keywords_that_the_registry_refuses_are_reported() {
        let faults = |keywords: &[&str]| {
            let keywords: Vec<String> = keywords.iter().map(|word| (*word).to_owned()).collect();
            keyword_faults("eef-core", &keywords).len()
        };
        assert_eq!(faults(&["rl", "fine-tuning", "twenty-characters-xx"]), 0);
        assert_eq!(faults(&["reinforcement-learning", "twenty-one-characters"]), 2);
        assert_eq!(faults(&["two words", "-dash", ""]), 3);
        assert_eq!(faults(&["a", "b", "c", "d", "e", "f"]), 1);
    }
}
