//! What a process and all that it started use, as Linux tells it.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::process;

/// Linux counts processor time in hundredths of a second on every common machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// How often a running process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs a command; what it printed, and the most main memory in bytes that it and all that it
/// started held: each process's own peak, summed over those that were there at once. 0 where the
/// system does not tell.
pub fn output_and_peak(command: &mut Command) -> anyhow::Result<(String, u64)> {
    let shown = process::show(command);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.with_context(|| format!("cannot start `{shown}`"))?;
    let tree = ProcessTree { root: child.id() };
    let has_ended = AtomicBool::new(false);
    let (output, peak) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = 0;
            while !has_ended.load(Ordering::Relaxed) {
                peak = peak.max(tree.peak_bytes().unwrap_or(0));
                std::thread::sleep(LOOK_EVERY);
            }
            peak
        });
        let output = child.wait_with_output();
        has_ended.store(true, Ordering::Relaxed);
        (output, watcher.join().unwrap_or(0))
    });
    let output = output.with_context(|| format!("cannot wait for `{shown}`"))?;
    Ok((process::printed(&shown, output)?, peak))
}

/// Time that some work took.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub seconds: f64,
    /// Of all cores together.
    pub cpu_seconds: f64,
}

/// A process and its descendants.
#[derive(Clone, Copy, Debug)]
pub struct ProcessTree {
    pub root: u32,
}

impl ProcessTree {
    /// Does something that uses these processes; what came of it, and what it took. Processes may be
    /// started meanwhile; none may end.
    pub fn measure<T>(self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, Cost)> {
        let (start, cpu_before) = (Instant::now(), self.cpu_seconds()?);
        let found = work()?;
        let cost = Cost {
            seconds: start.elapsed().as_secs_f64(),
            cpu_seconds: self.cpu_seconds()? - cpu_before,
        };
        Ok((found, cost))
    }

    /// Memory in bytes; a page that several processes share counts once.
    pub fn bytes(self) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for id in self.members()?.keys() {
            let path = format!("/proc/{id}/smaps_rollup");
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
            bytes += proportional_bytes(&text).with_context(|| format!("{path} has no Pss"))?;
        }
        Ok(bytes)
    }

    /// The sum of what each of them has held at most so far.
    fn peak_bytes(self) -> anyhow::Result<u64> {
        // A process may end while we look.
        let peak = |id| own_peak_bytes(&fs::read_to_string(format!("/proc/{id}/status")).ok()?);
        Ok(self.members()?.keys().filter_map(peak).sum())
    }

    fn cpu_seconds(self) -> anyhow::Result<f64> {
        let ticks: u64 = self.members()?.values().map(|process| process.ticks).sum();
        Ok(ticks as f64 / TICKS_PER_SECOND)
    }

    fn members(self) -> anyhow::Result<BTreeMap<u32, Process>> {
        let mut all = BTreeMap::new();
        for entry in fs::read_dir("/proc").context("processes are measured on Linux alone")? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            // A process may end while we look.
            let process = fs::read_to_string(format!("/proc/{id}/stat")).ok();
            if let Some(process) = process.as_deref().and_then(Process::parse) {
                all.insert(id, process);
            }
        }
        Ok(descendants(self.root, &all))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Process {
    parent: u32,
    ticks: u64,
}

impl Process {
    /// Reads `/proc/ID/stat`: after the name, which may hold anything, the 2nd field is the parent,
    /// the 12th and 13th the time as itself and in the kernel.
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |place: usize| fields.get(place)?.parse::<u64>().ok();
        Some(Self { parent: fields.get(1)?.parse().ok()?, ticks: ticks(11)? + ticks(12)? })
    }
}

/// A process and those that it started, or that these started.
fn descendants(root: u32, all: &BTreeMap<u32, Process>) -> BTreeMap<u32, Process> {
    let mut found = BTreeMap::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        found.extend(all.get(&id).map(|process| (id, *process)));
        open.extend(all.iter().filter(|(_, child)| child.parent == id).map(|(id, _)| *id));
    }
    found
}

fn proportional_bytes(smaps_rollup: &str) -> Option<u64> {
    bytes_of("Pss:", smaps_rollup)
}

fn own_peak_bytes(status: &str) -> Option<u64> {
    bytes_of("VmHWM:", status)
}

fn bytes_of(name: &str, text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "7 (a) b) S 3 7 7 0 -1 4194304 100 0 0 0 250 12 0 0 20 0 1 0 5 6 7";
        assert_eq!(Process::parse(stat), Some(Process { parent: 3, ticks: 262 }));
        assert_eq!(Process::parse("7 (a) S 3"), None);
        let memory = "00-ff ---p 00 00:00 0 [rollup]\nRss:  9 kB\nPss:  4 kB\nPss_Dirty:  1 kB\n";
        assert_eq!(proportional_bytes(memory), Some(4096));
        assert_eq!(own_peak_bytes("Name:\tx\nVmHWM:\t  12 kB\n"), Some(12 * 1024));
    }

    #[test]
    fn a_tree_holds_its_root_and_all_below() {
        let parents = [(1, 0), (2, 1), (3, 2), (4, 1), (5, 3)];
        let all = parents.map(|(id, parent)| (id, Process { parent, ticks: 0 }));
        let found = descendants(2, &all.into());
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [2, 3, 5]);
    }
}
