//! The direction of dependencies between the workspace's crates (ARCHITECTURE.md, invariants).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::process;

/// Crates that may reach Burn.
const MAY_REACH_BURN: [&str; 4] = ["eef-llama", "eef-train", "eef-agent", "eef-cli"];

/// For each crate the workspace crates that it may depend on directly, outside its tests.
const ALLOWED: [(&str, &[&str]); 13] = [
    ("eef-core", &[]),
    ("eef-select", &["eef-core"]),
    ("eef-webshop", &["eef-core"]),
    ("eef-chat", &["eef-core"]),
    ("eef-weights", &[]),
    ("eef-store", &["eef-core"]),
    ("eef-rollout", &["eef-core"]),
    ("eef-llama", &["eef-weights"]),
    ("eef-train", &["eef-core", "eef-llama", "eef-weights"]),
    ("eef-agent", &["eef-chat", "eef-core", "eef-llama", "eef-select", "eef-train", "eef-weights"]),
    ("eef", &["eef-core", "eef-rollout", "eef-select", "eef-store"]),
    (
        "eef-cli",
        &[
            "eef",
            "eef-agent",
            "eef-chat",
            "eef-core",
            "eef-llama",
            "eef-rollout",
            "eef-select",
            "eef-store",
            "eef-train",
            "eef-webshop",
            "eef-weights",
        ],
    ),
    ("xtask", &["eef-chat", "eef-core", "eef-rollout", "eef-store", "eef-webshop"]),
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

/// Normal dependencies by crate name.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// Checks the workspace as it is.
pub fn check() -> anyhow::Result<()> {
    let mut command = process::cargo(&["metadata", "--format-version", "1", "--locked"])?;
    let metadata: Metadata = serde_json::from_str(&process::output(&mut command)?)
        .context("`cargo metadata` printed something unexpected")?;
    let names: BTreeMap<&str, &str> = metadata
        .packages
        .iter()
        .map(|package| (package.id.as_str(), package.name.as_str()))
        .collect();
    let name_of = |id: &str| names.get(id).map_or_else(|| id.to_owned(), |name| (*name).to_owned());
    let mut graph = Graph::new();
    for node in &metadata.resolve.nodes {
        let normal = node.deps.iter().filter(|dependency| {
            dependency.dep_kinds.is_empty()
                || dependency.dep_kinds.iter().any(|kind| kind.kind.is_none())
        });
        // Two versions of one package share a name here, which only makes the check stricter.
        let entry = graph.entry(name_of(&node.id)).or_default();
        entry.extend(normal.map(|dependency| name_of(&dependency.pkg)));
    }
    let members: BTreeSet<String> =
        metadata.workspace_members.iter().map(|id| name_of(id)).collect();
    let faults = faults(&graph, &members);
    if !faults.is_empty() {
        bail!("dependencies point the wrong way:\n  {}", faults.join("\n  "));
    }
    Ok(())
}

/// What is wrong, a line each.
fn faults(graph: &Graph, members: &BTreeSet<String>) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let mut faults = Vec::new();
    for member in members {
        let Some(allowed) = allowed.get(member.as_str()) else {
            faults.push(format!("{member} is not in the table of xtask/src/dependencies.rs"));
            continue;
        };
        let direct = graph.get(member).into_iter().flatten();
        for dependency in direct.filter(|name| members.contains(*name)) {
            if !allowed.contains(&dependency.as_str()) {
                faults.push(format!("{member} must not depend on {dependency}"));
            }
        }
        if !MAY_REACH_BURN.contains(&member.as_str())
            && reachable(graph, member).iter().any(|name| name.starts_with("burn"))
        {
            faults.push(format!("{member} must not reach Burn"));
        }
    }
    faults
}

fn reachable(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![from.to_owned()];
    while let Some(name) = waiting.pop() {
        for dependency in graph.get(&name).into_iter().flatten() {
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

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        graph
    }

    #[test]
    fn a_crate_that_reaches_burn_through_another_is_reported() {
        let graph = graph(&[("eef-select", "eef-core"), ("eef-core", "burn-tensor")]);
        let members = ["eef-select".to_owned(), "eef-core".to_owned()].into();
        let faults = faults(&graph, &members);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults.contains(&"eef-select must not reach Burn".to_owned()));
    }

    #[test]
    fn a_dependency_against_the_direction_is_reported() {
        let graph = graph(&[("eef-core", "eef-store")]);
        let members = ["eef-store".to_owned(), "eef-core".to_owned()].into();
        assert_eq!(faults(&graph, &members), ["eef-core must not depend on eef-store"]);
    }

    #[test]
    fn an_unknown_member_is_reported() {
        let members = ["eef-new".to_owned()].into();
        assert!(faults(&Graph::new(), &members)[0].contains("is not in the table"));
    }
}
