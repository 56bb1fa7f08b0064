//! Models of a repository on the Hugging Face Hub: fetched file by file, each gone on with where it
//! stopped, and compared with the hash that the hub names before it counts.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use eef_chat::Tokenizer;
use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use serde::Deserialize;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::prepare_data::tell;
use crate::prepare_model::is_of_a_model;

/// Where files lie until they are whole.
pub const PARTIAL: &str = "hub.partial";
/// Attempts of the hub's own client after the first, within a few seconds.
const RETRIES: usize = 5;
/// How long to wait before the client is asked once more, in seconds.
const PAUSES: [u64; 3] = [2, 10, 30];
/// What a model's directory is made of besides its weights, where the repository has it.
const BESIDE_WEIGHTS: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];
/// Without these nothing can be done with the weights.
const NEEDED: [&str; 2] = ["config.json", "tokenizer.json"];
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// A repository at one commit.
pub struct Hub {
    api: Api,
    name: String,
    commit: String,
    files: BTreeSet<String>,
}

/// The part of an index that names files.
#[derive(Deserialize)]
struct Index {
    weight_map: std::collections::BTreeMap<String, String>,
}

impl Hub {
    /// Asks the hub what a repository holds at a revision. Where the hub is, and who asks, is told
    /// by `HF_ENDPOINT` and `HF_TOKEN`, or by the token that the hub's own tools have stored.
    pub fn open(name: &str, revision: &str, out: &Path) -> anyhow::Result<Self> {
        let token = std::env::var("HF_TOKEN").ok().or_else(|| Cache::from_env().token());
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        let builder = ApiBuilder::from_env().with_token(token);
        Self::ask(builder, name, revision, out)
    }

    fn ask(builder: ApiBuilder, name: &str, revision: &str, out: &Path) -> anyhow::Result<Self> {
        let is_name = name.split('/').count() == 2 && !name.split('/').any(str::is_empty);
        ensure!(is_name, "--hub is `{name}`, expected OWNER/NAME as the hub's pages show it");
        let cache = out.join(PARTIAL);
        let builder = builder.with_cache_dir(cache).with_retries(RETRIES).with_progress(false);
        let api = builder.build().context("cannot prepare a connection to the hub")?;
        let at = |revision: &str| {
            Repo::with_revision(name.to_owned(), RepoType::Model, revision.to_owned())
        };
        let info = api.repo(at(revision)).info().with_context(|| {
            format!(
                "cannot ask the hub for {name} at {revision}: is the name right, is there a network, \
                 and does the repository need HF_TOKEN?"
            )
        })?;
        ensure!(
            is_hexadecimal(&info.sha, 40),
            "the hub names the commit of {name} `{}`, expected 40 hexadecimal digits",
            info.sha
        );
        let files = info.siblings.into_iter().map(|file| file.rfilename).collect();
        Ok(Self { api, name: name.to_owned(), commit: info.sha, files })
    }

    /// The repository and its commit, for a manifest.
    pub fn source(&self) -> String {
        format!("{}@{}", self.name, self.commit)
    }

    /// Fetches what a model's directory needs, and names it.
    pub fn fetch(&self, out: &Path) -> anyhow::Result<Vec<String>> {
        for name in NEEDED {
            ensure!(
                self.files.contains(name),
                "{} has no {name}: a model of the LLaMA family with a fast tokenizer is expected",
                self.source()
            );
        }
        fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        let mut names: Vec<String> = BESIDE_WEIGHTS.map(str::to_owned).into();
        names.retain(|name| self.files.contains(name));
        for name in &names {
            self.fetch_file(name, out)?;
        }
        // Before gigabytes come.
        check_config(&out.join("config.json"))?;
        Tokenizer::open(&out.join("tokenizer.json"))?;
        let weights = if self.files.contains(INDEX) {
            self.fetch_file(INDEX, out)?;
            names.push(INDEX.to_owned());
            self.shards(&out.join(INDEX))?
        } else if self.files.contains(SINGLE) {
            vec![SINGLE.to_owned()]
        } else {
            bail!("{} has no {SINGLE} and no {INDEX}{}", self.source(), self.way_out());
        };
        for name in &weights {
            self.fetch_file(name, out)?;
        }
        names.extend(weights);
        // What an earlier model left would be read in place of this one's.
        for entry in fs::read_dir(out).with_context(|| format!("cannot list {}", out.display()))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if is_of_a_model(&name) && !names.contains(&name) {
                let path = out.join(name);
                fs::remove_file(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(names)
    }

    /// Removes what a download leaves; until then an interrupted command can be run again.
    pub fn finish(out: &Path) -> anyhow::Result<()> {
        let partial = out.join(PARTIAL);
        if partial.exists() {
            fs::remove_dir_all(&partial)
                .with_context(|| format!("cannot remove {}", partial.display()))?;
        }
        Ok(())
    }

    /// The files that an index names.
    fn shards(&self, path: &Path) -> anyhow::Result<Vec<String>> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let index: Index = serde_json::from_slice(&text)
            .with_context(|| format!("{} does not parse", path.display()))?;
        let shards: BTreeSet<String> = index.weight_map.into_values().collect();
        for shard in &shards {
            // Names are joined to a folder: what leads out of it is not in the repository's list.
            ensure!(
                self.files.contains(shard) && !shard.contains(['/', '\\']),
                "{}: {INDEX} names `{shard}`, which is no file beside it",
                self.source()
            );
        }
        Ok(shards.into_iter().collect())
    }

    /// What else there is, for one whose weights are not in safetensors.
    fn way_out(&self) -> &'static str {
        let has = |end: &str| self.files.iter().any(|name| name.ends_with(end));
        if has(".gguf") {
            ", but GGUF files: download one of them and give it as --gguf"
        } else if has(".bin") || has(".pth") {
            ", but PyTorch's pickled files, which can run any code: save the model once more from \
             transformers, which writes safetensors"
        } else {
            ""
        }
    }

    fn repo(&self) -> Repo {
        Repo::with_revision(self.name.clone(), RepoType::Model, self.commit.clone())
    }

    /// Brings one file into the folder, if it is not there whole.
    fn fetch_file(&self, name: &str, out: &Path) -> anyhow::Result<()> {
        let repo: ApiRepo = self.api.repo(self.repo());
        let fail = || format!("cannot fetch {name} of {}", self.source());
        let metadata = self.api.metadata(&repo.url(name)).with_context(fail)?;
        let expected = Expected::new(metadata.etag(), metadata.size() as u64).with_context(fail)?;
        ensure!(
            metadata.commit_hash() == self.commit,
            "{}: it comes from commit {}",
            fail(),
            metadata.commit_hash()
        );
        let target = out.join(name);
        if expected.is_met_by(&target)? {
            return Ok(());
        }
        let blob = Cache::new(out.join(PARTIAL)).repo(self.repo()).blob_path(metadata.etag());
        let part = blob.with_extension("part");
        let mut pauses = PAUSES.into_iter();
        loop {
            // Asking for what comes after the last byte is an error: what is all there is taken,
            // and what is of something else is not gone on with.
            if expected.is_met_by(&part)? {
                return fs::rename(&part, &target)
                    .with_context(|| format!("cannot write {}", target.display()));
            }
            if fs::metadata(&part).is_ok_and(|part| part.len() >= expected.size) {
                fs::remove_file(&part)
                    .with_context(|| format!("cannot remove {}", part.display()))?;
            }
            let Err(error) = repo.download_with_progress(name, Shown::new()) else { break };
            let Some(pause) = pauses.next() else {
                return Err(error).with_context(|| {
                    format!("{}; what has come is kept: run the command again to go on", fail())
                });
            };
            tell(&format!("{name}: {error}; going on in {pause} s"));
            std::thread::sleep(Duration::from_secs(pause));
        }
        if !expected.is_met_by(&blob)? {
            fs::remove_file(&blob).with_context(|| format!("cannot remove {}", blob.display()))?;
            bail!(
                "{}: what came has another hash than the hub names; run the command again",
                fail()
            );
        }
        fs::rename(&blob, &target).with_context(|| format!("cannot write {}", target.display()))
    }
}

/// What the hub says of a file.
struct Expected {
    /// SHA-256 of a large file, git's SHA-1 of a small one.
    hash: String,
    size: u64,
}

/// What every configuration that can be used says.
#[derive(Deserialize)]
struct ModelKind {
    model_type: Option<String>,
    quantization_config: Option<serde_json::Value>,
}

/// Refuses a model that the program would refuse, before its weights are there.
fn check_config(path: &Path) -> anyhow::Result<()> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let kind: ModelKind = serde_json::from_slice(&text)
        .with_context(|| format!("{} does not parse", path.display()))?;
    let name = kind.model_type.unwrap_or_default();
    ensure!(
        ["llama", "mistral"].contains(&name.as_str()),
        "{}: model_type is `{name}`, expected llama or mistral",
        path.display()
    );
    ensure!(
        kind.quantization_config.is_none_or(|quantization| quantization.is_null()),
        "{}: its weights are quantised (quantization_config): fetch the model that it was made of",
        path.display()
    );
    Ok(())
}

impl Expected {
    fn new(etag: &str, size: u64) -> anyhow::Result<Self> {
        // It becomes a file's name too: nothing but a hash may stand there.
        let hash = etag.trim_start_matches("W/");
        let is_hash = is_hexadecimal(hash, 40) || is_hexadecimal(hash, 64);
        ensure!(is_hash, "the hub names its hash `{etag}`, expected SHA-256 or git's SHA-1");
        Ok(Self { hash: hash.to_owned(), size })
    }

    fn is_met_by(&self, path: &PathBuf) -> anyhow::Result<bool> {
        if !fs::metadata(path).is_ok_and(|found| found.len() == self.size) {
            return Ok(false);
        }
        let read = || format!("cannot read {}", path.display());
        let mut file = File::open(path).with_context(read)?;
        let found = if self.hash.len() == 64 {
            digest(Sha256::new(), &mut file)
        } else {
            digest(Sha1::new().chain_update(format!("blob {}\0", self.size)), &mut file)
        };
        Ok(found.with_context(read)? == self.hash)
    }
}

fn digest(mut hasher: impl Digest + io::Write, file: &mut File) -> io::Result<String> {
    io::copy(file, &mut hasher)?;
    Ok(hexadecimal(&hasher.finalize()))
}

fn is_hexadecimal(text: &str, n_digits: usize) -> bool {
    text.len() == n_digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|d| char::from(b"0123456789abcdef"[usize::from(d)]))
        .collect()
}

/// Says how far a download is.
struct Shown {
    name: String,
    done: usize,
    size: usize,
    last: Instant,
}

impl Shown {
    fn new() -> Self {
        Self { name: String::new(), done: 0, size: 0, last: Instant::now() }
    }

    fn tell(&self) {
        let megabytes = |bytes: usize| bytes as f64 / 1e6;
        let (done, size) = (megabytes(self.done), megabytes(self.size));
        tell(&format!("{}: {done:.1} of {size:.1} MB", self.name));
    }
}

impl Progress for Shown {
    fn init(&mut self, size: usize, filename: &str) {
        // Called again by each attempt, which then tells what is there already.
        (self.name, self.size, self.done) = (filename.to_owned(), size, 0);
    }

    fn update(&mut self, size: usize) {
        self.done += size;
        if self.last.elapsed() > Duration::from_secs(2) {
            self.last = Instant::now();
            self.tell();
        }
    }

    fn finish(&mut self) {
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex, OnceLock};

    use eef_chat::{BpeTraining, train_bpe};

    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    const CONFIG: &[u8] = b"{\"model_type\": \"llama\"}";

    /// The bytes of a small tokenizer.
    fn tokenizer() -> &'static [u8] {
        static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
        BYTES.get_or_init(|| train_bpe(std::iter::empty(), &BpeTraining::default()).unwrap())
    }

    /// Contents and the hash that is named for them.
    type Files = BTreeMap<String, (Vec<u8>, String)>;

    /// A hub of our own with one repository.
    struct Server {
        endpoint: String,
        /// Bytes of file contents that were sent.
        sent: Arc<AtomicUsize>,
        files: Arc<Mutex<Files>>,
        /// Answers that break off half-way.
        breaks: Arc<AtomicUsize>,
    }

    impl Server {
        fn start(files: &[(&str, &[u8])]) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let endpoint = format!("http://{}", listener.local_addr().unwrap());
            let named = |(name, bytes): &(&str, &[u8])| {
                let git = Sha1::new().chain_update(format!("blob {}\0", bytes.len()));
                let is_large = name.ends_with("safetensors");
                let etag = if is_large {
                    hexadecimal(&Sha256::digest(bytes))
                } else {
                    hexadecimal(&git.chain_update(bytes).finalize())
                };
                ((*name).to_owned(), (bytes.to_vec(), etag))
            };
            let server = Self {
                endpoint,
                sent: Arc::default(),
                files: Arc::new(Mutex::new(files.iter().map(named).collect())),
                breaks: Arc::default(),
            };
            let (sent, files, breaks) =
                (server.sent.clone(), server.files.clone(), server.breaks.clone());
            // It ends with the test's process.
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let _ = answer(stream, &files.lock().unwrap(), &sent, &breaks);
                }
            });
            server
        }

        fn hub(&self, out: &Path) -> anyhow::Result<Hub> {
            let builder = ApiBuilder::new().with_endpoint(self.endpoint.clone()).with_token(None);
            Hub::ask(builder, "someone/small", "main", out)
        }
    }

    fn answer(
        mut stream: std::net::TcpStream,
        files: &Files,
        sent: &AtomicUsize,
        breaks: &AtomicUsize,
    ) -> io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut range = None;
        for line in lines {
            let line = line?.to_lowercase();
            if line.is_empty() {
                break;
            }
            range = line.strip_prefix("range: bytes=").map(str::to_owned).or(range);
        }
        if path == "/api/models/someone/small/revision/main" {
            let names = files.keys().map(|name| serde_json::json!({ "rfilename": name }));
            let names: Vec<_> = names.collect();
            let body = serde_json::json!({ "sha": COMMIT, "siblings": names }).to_string();
            return write!(
                stream,
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
        let name = path.strip_prefix(&format!("/someone/small/resolve/{COMMIT}/"));
        let Some((bytes, etag)) = name.and_then(|name| files.get(name)) else {
            return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        };
        let range = range.unwrap_or_default();
        let (from, to) = range.split_once('-').unwrap_or(("0", ""));
        let from: usize = from.parse().unwrap_or(0);
        if from >= bytes.len() {
            return write!(
                stream,
                "HTTP/1.1 416 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            );
        }
        // Where a range ends, only the size is asked for.
        let is_content = to.is_empty();
        let to = to.parse().map_or(bytes.len(), |to: usize| to + 1);
        write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nx-repo-commit: {COMMIT}\r\n\
             ETag: \"{etag}\"\r\nContent-Range: bytes {from}-{}/{}\r\nContent-Length: {}\r\n\r\n",
            to - 1,
            bytes.len(),
            to - from
        )?;
        let mut body = &bytes[from..to];
        if is_content
            && breaks.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
        {
            body = &body[..body.len() / 2];
        }
        if is_content {
            sent.fetch_add(body.len(), Ordering::SeqCst);
        }
        stream.write_all(body)
    }

    fn read(out: &Path, name: &str) -> Vec<u8> {
        fs::read(out.join(name)).unwrap()
    }

    #[test]
    fn files_come_whole_and_once_whatever_breaks_off() {
        let weights = vec![7_u8; 100_000];
        let files: [(&str, &[u8]); 5] = [
            ("config.json", CONFIG),
            ("tokenizer.json", tokenizer()),
            ("README.md", b"not needed"),
            ("onnx/model.onnx", b"not needed"),
            (SINGLE, &weights),
        ];
        let server = Server::start(&files);
        let out = tempfile::tempdir().unwrap();
        let out = out.path().join("small");
        server.breaks.store(3, Ordering::SeqCst);
        let hub = server.hub(&out).unwrap();
        assert_eq!(hub.source(), format!("someone/small@{COMMIT}"));
        let names = hub.fetch(&out).unwrap();
        assert_eq!(names, ["config.json", "tokenizer.json", SINGLE]);
        assert_eq!(read(&out, SINGLE), weights);
        assert_eq!(read(&out, "config.json"), CONFIG);
        assert!(out.join(PARTIAL).exists() && !out.join("README.md").exists());
        Hub::finish(&out).unwrap();
        assert!(!out.join(PARTIAL).exists());
        // Nothing was sent twice: what broke off was gone on with.
        let n_bytes = weights.len() + CONFIG.len() + tokenizer().len();
        assert_eq!(server.sent.load(Ordering::SeqCst), n_bytes);
        hub.fetch(&out).unwrap();
        assert_eq!(server.sent.load(Ordering::SeqCst), n_bytes, "what is there is not sent again");
    }

    #[test]
    fn a_part_of_an_earlier_run_is_gone_on_with() {
        let weights: Vec<u8> = (0..50_000_u32).map(|i| i as u8).collect();
        let server = Server::start(&[
            ("config.json", CONFIG),
            ("tokenizer.json", tokenizer()),
            (SINGLE, &weights),
        ]);
        for kept in [1, 20_000, 49_999, 50_000, 60_000] {
            let out = tempfile::tempdir().unwrap();
            let hub = server.hub(out.path()).unwrap();
            let etag = server.files.lock().unwrap()[SINGLE].1.clone();
            let blob = Cache::new(out.path().join(PARTIAL)).repo(hub.repo()).blob_path(&etag);
            fs::create_dir_all(blob.parent().unwrap()).unwrap();
            let part: Vec<u8> = weights.iter().copied().cycle().take(kept).collect();
            fs::write(blob.with_extension("part"), part).unwrap();
            server.sent.store(0, Ordering::SeqCst);
            hub.fetch(out.path()).unwrap();
            assert_eq!(read(out.path(), SINGLE), weights);
            // What is all there is taken as it is; what is too long is of something else.
            let missing = if kept <= 50_000 { 50_000 - kept } else { 50_000 };
            let n_bytes = missing + CONFIG.len() + tokenizer().len();
            assert_eq!(server.sent.load(Ordering::SeqCst), n_bytes, "{kept}");
        }
    }

    #[test]
    fn what_has_another_hash_is_refused_and_not_kept() {
        let server = Server::start(&[
            ("config.json", CONFIG),
            ("tokenizer.json", tokenizer()),
            (SINGLE, &[1; 100]),
        ]);
        server.files.lock().unwrap().get_mut(SINGLE).unwrap().0[50] ^= 1;
        let out = tempfile::tempdir().unwrap();
        let error = server.hub(out.path()).unwrap().fetch(out.path()).unwrap_err();
        assert!(format!("{error:#}").contains("another hash"), "{error:#}");
        assert!(!out.path().join(SINGLE).exists());
        server.files.lock().unwrap().get_mut(SINGLE).unwrap().0[50] ^= 1;
        server.hub(out.path()).unwrap().fetch(out.path()).unwrap();
        assert_eq!(read(out.path(), SINGLE), [1; 100]);
    }

    #[test]
    fn what_the_hub_says_is_checked_before_it_names_a_file_or_weights_come() {
        let fault = |config: &'static [u8], etag: Option<&str>| {
            let server = Server::start(&[
                ("config.json", config),
                ("tokenizer.json", tokenizer()),
                (SINGLE, &[1; 100]),
            ]);
            if let Some(etag) = etag {
                server.files.lock().unwrap().get_mut(SINGLE).unwrap().1 = etag.to_owned();
            }
            let out = tempfile::tempdir().unwrap();
            let error = server.hub(out.path()).unwrap().fetch(out.path()).unwrap_err();
            assert!(!out.path().join(SINGLE).exists());
            format!("{error:#}")
        };
        for etag in ["../../../x", "/tmp/x", "", "W/0123"] {
            assert!(fault(CONFIG, Some(etag)).contains("expected SHA-256 or git's"), "{etag}");
        }
        assert!(fault(b"{\"model_type\": \"gpt2\"}", None).contains("expected llama or mistral"));
        let quantised = b"{\"model_type\": \"llama\", \"quantization_config\": {\"bits\": 4}}";
        assert!(fault(quantised, None).contains("quantised"));
    }

    #[test]
    fn shards_are_those_of_the_index() {
        let index = |shard: &str| {
            let map = serde_json::json!({ "a": "one.safetensors", "b": shard, "c": shard });
            serde_json::json!({ "weight_map": map }).to_string()
        };
        for (shard, fault) in [
            ("two.safetensors", None),
            ("three.safetensors", Some("`three.safetensors`, which is no file")),
            ("../two.safetensors", Some("`../two.safetensors`, which is no file")),
        ] {
            let index = index(shard);
            let server = Server::start(&[
                ("config.json", CONFIG),
                ("tokenizer.json", tokenizer()),
                (INDEX, index.as_bytes()),
                ("one.safetensors", b"111"),
                ("two.safetensors", b"22"),
            ]);
            let out = tempfile::tempdir().unwrap();
            // Of a model that was here before: it would be read first.
            fs::write(out.path().join(SINGLE), "old").unwrap();
            let fetched = server.hub(out.path()).unwrap().fetch(out.path());
            match fault {
                None => {
                    assert_eq!(fetched.unwrap()[2..], [INDEX, "one.safetensors", shard]);
                    assert!(!out.path().join(SINGLE).exists());
                }
                Some(fault) => {
                    let message = format!("{:#}", fetched.unwrap_err());
                    assert!(message.contains(fault), "{message}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_had_is_said_with_a_way_out() {
        let out = tempfile::tempdir().unwrap();
        let fault = |files: &[(&str, &[u8])]| {
            let server = Server::start(files);
            format!("{:#}", server.hub(out.path()).unwrap().fetch(out.path()).unwrap_err())
        };
        assert!(fault(&[("config.json", CONFIG)]).contains("has no tokenizer.json"));
        let both: [(&str, &[u8]); 2] = [("config.json", CONFIG), ("tokenizer.json", tokenizer())];
        let with = |name| fault(&[both[0], both[1], (name, b"x")]);
        assert!(with("small.Q4_0.gguf").contains("give it as --gguf"));
        assert!(with("pytorch_model.bin").contains("pickled files"));
        let server = Server::start(&both);
        let builder = ApiBuilder::new().with_endpoint(server.endpoint.clone()).with_token(None);
        let missing = Hub::ask(builder, "someone/else", "main", out.path());
        assert!(format!("{:#}", missing.err().unwrap()).contains("is the name right"));
        let builder = ApiBuilder::new().with_endpoint(server.endpoint.clone()).with_token(None);
        let badly_named = Hub::ask(builder, "small", "main", out.path());
        assert!(format!("{:#}", badly_named.err().unwrap()).contains("expected OWNER/NAME"));
    }
}
