//! Reading a configuration and overriding its keys.

use std::path::{Path, PathBuf};

use eef_chat::{LabelStyle, PromptTemplate};
use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, EnvironmentKind, MAX_WORKERS, PlanConfig, keys};

/// The configuration that is used where none is named; `configs/embedded.toml` is the same file.
pub const EMBEDDED: &str = include_str!("../../configs/embedded.toml");

/// Where a configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The one that is compiled in.
    Embedded,
    /// A file.
    File(PathBuf),
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or says something that is not known.
    #[error("{file}:{line}: {message}")]
    Invalid {
        /// Which file.
        file: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// An override cannot be used.
    #[error("--set {given}: {message}")]
    Override {
        /// As given.
        given: String,
        /// What is wrong.
        message: String,
    },
    /// A value is outside what makes sense.
    #[error("configuration key {key} is {found}: expected {expected}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What it says.
        found: String,
        /// What it may say.
        expected: String,
    },
}

/// Reads a configuration, applies overrides of the form `train.learning_rate=5e-5` and checks it.
///
/// # Errors
/// [`LoadError`], naming the line, the override or the key.
pub fn load(source: &Source, overrides: &[String]) -> Result<Config, LoadError> {
    let (name, text) = match source {
        Source::Embedded => ("configs/embedded.toml".to_owned(), EMBEDDED.to_owned()),
        Source::File(path) => (path.display().to_string(), read(path)?),
    };
    let invalid = |error: toml::de::Error| LoadError::Invalid {
        file: name.clone(),
        line: line_of(&text, &error),
        message: keys::explain(error.message()),
    };
    let mut config: Config = toml::from_str(&text).map_err(invalid)?;
    let mut table: Table = toml::from_str(&text).map_err(invalid)?;
    for given in overrides {
        let wrong = |message: String| LoadError::Override { given: given.clone(), message };
        set(&mut table, given).map_err(wrong)?;
        config = Config::deserialize(Value::Table(table.clone()))
            .map_err(|error| wrong(keys::explain(error.message())))?;
    }
    check(&config)?;
    Ok(config)
}

/// The first key in which two configurations differ, with both values; the name, machine settings, the
/// plan's assumptions and what is compared may differ.
pub fn difference(old: &str, new: &str) -> Option<String> {
    let changes_results = |key: &str| {
        // A name is a title: what is called otherwise goes on in a directory that is named to it.
        !["name", "machine.n_workers", "explore.max_cache_gigabytes"].contains(&key)
            && !key.starts_with("plan.")
            // More methods and seeds can be asked of the same directory.
            && !key.starts_with("compare.")
    };
    first_difference(old, new, changes_results)
}

/// As [`difference`], within some sections only.
pub fn difference_in(sections: &[&str], old: &str, new: &str) -> Option<String> {
    first_difference(old, new, |key| {
        key.split_once('.').is_some_and(|(section, _)| sections.contains(&section))
    })
}

fn first_difference(old: &str, new: &str, counts: impl Fn(&str) -> bool) -> Option<String> {
    // A key that an older program did not know had what is now its default.
    let parse = |text: &str| match toml::from_str::<Config>(text) {
        Ok(config) => complete(&config),
        Err(_) => text.parse::<Table>().ok().map(Value::Table),
    };
    let (Some(old), Some(new)) = (parse(old), parse(new)) else {
        return Some("it cannot be read".to_owned());
    };
    let (mut left, mut right) = (Vec::new(), Vec::new());
    flatten("", &old, &mut left);
    flatten("", &new, &mut right);
    for (key, value) in &left {
        let other = right.iter().find(|(name, _)| name == key);
        if counts(key) && other.is_none_or(|(_, other)| other != value) {
            let now = other.map_or("absent", |(_, other)| other.as_str());
            return Some(format!("{key} was {value} and is {now}"));
        }
    }
    let added =
        right.iter().find(|(key, _)| counts(key) && left.iter().all(|(name, _)| name != key));
    added.map(|(key, value)| format!("{key} was absent and is {value}"))
}

/// Every key of a configuration, also those that are not written down where they have their defaults.
fn complete(config: &Config) -> Option<Value> {
    let mut value = Value::try_from(config).ok()?;
    let table = value.as_table_mut()?;
    table.entry("budget").or_insert(Value::try_from(config.budget).ok()?);
    let train = table.get_mut("train")?.as_table_mut()?;
    train.entry("precision").or_insert(config.train.precision.clone().into());
    train.entry("groups").or_insert(Value::Array(Vec::new()));
    Some(value)
}

fn flatten(prefix: &str, value: &Value, flat: &mut Vec<(String, String)>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, flat);
            }
        }
        other => flat.push((prefix.to_owned(), other.to_string())),
    }
}

fn read(path: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(path)
        .map_err(|source| LoadError::Unreadable { path: path.to_owned(), source })
}

fn line_of(text: &str, error: &toml::de::Error) -> usize {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    text.bytes().take(start).map(|byte| usize::from(byte == b'\n')).sum::<usize>() + 1
}

fn set(table: &mut Table, given: &str) -> Result<(), String> {
    let Some((path, text)) = given.split_once('=') else {
        return Err("expected KEY=VALUE, such as train.learning_rate=5e-5".to_owned());
    };
    let mut path: Vec<&str> = path.split('.').map(str::trim).collect();
    let key = path.pop().filter(|key| !key.is_empty()).ok_or("the key is empty")?;
    let mut table = table;
    for part in path {
        let entry = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
        table = entry.as_table_mut().ok_or_else(|| format!("{part} is not a section"))?;
    }
    let value = parse_value(text.trim());
    let digits = text.trim().trim_start_matches(['+', '-']);
    if value.is_str() && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("expected a whole number of at most {}", i64::MAX));
    }
    table.insert(key.to_owned(), value);
    Ok(())
}

/// A TOML value; what is none is a text, so that `--set model.prompt=agentlite` needs no quotes.
fn parse_value(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| text.into())
}

fn check(config: &Config) -> Result<(), LoadError> {
    let value = |key, found: String, expected: &str| {
        Err(LoadError::Value { key, found, expected: expected.to_owned() })
    };
    let one_of = |key, found: &str, known: &[&str]| {
        if known.contains(&found) {
            return Ok(());
        }
        let hint = keys::nearest(found, known)
            .map_or_else(String::new, |near| format!("; did you mean {near}?"));
        value(key, found.to_owned(), &format!("one of {}{hint}", known.join(", ")))
    };
    let method = &config.method;
    let is_method = |name: &str| eef::method(name, &eef::MethodOptions::default()).is_ok();
    let compared = config.compare.methods.iter().map(|name| ("compare.methods", name));
    for (key, name) in [("method.name", &method.name)].into_iter().chain(compared) {
        if !is_method(name) {
            one_of(key, name, &eef::METHODS)?;
        }
    }
    if config.compare.methods.is_empty() {
        return value("compare.methods", "an empty list".to_owned(), "one method or more");
    }
    let (reference, compared) = (&config.compare.reference, &config.compare.methods);
    if !reference.is_empty() && !compared.contains(reference) {
        let expected = format!("one of compare.methods: {}", compared.join(", "));
        return value("compare.reference", format!("`{reference}`"), &expected);
    }
    one_of("method.anchors", &method.anchors, &["floor", "even"])?;
    one_of("data.tasks", &config.data.tasks, &["agentgym", "paper", "all"])?;
    one_of("data.action_format", &config.data.action_format, &["plain", "react"])?;
    one_of("method.init", &method.init, &["previous", "base"])?;
    one_of("method.tested", &method.tested, &["best", "last"])?;
    one_of("method.nat_label", &method.nat_label, &LabelStyle::ALL.map(LabelStyle::name))?;
    let prompts = PromptTemplate::ALL.map(PromptTemplate::name);
    one_of("model.prompt", &config.model.prompt, &prompts)?;
    check_prompt(config)?;
    let schedules = ["cosine", "linear", "constant"];
    one_of("train.schedule", &config.train.schedule, &schedules)?;
    one_of("preferences.schedule", &config.preferences.schedule, &schedules)?;
    one_of("train.precision", &config.train.precision, &["f32", "bf16"])?;
    for group in &config.train.groups {
        let parsed = group.parse::<eef_train::ParameterGroup>();
        let checked = parsed.and_then(|group| group.validate().map_err(|error| error.to_string()));
        checked.map_err(|expected| LoadError::Value {
            key: "train.groups",
            found: format!("`{group}`"),
            expected,
        })?;
    }
    one_of("pretrain.source", &config.pretrain.source, &["synthetic", "catalog"])?;
    one_of("pretrain.trained", &config.pretrain.trained, &["everything", "replies"])?;
    let simple_name = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !name.starts_with('.')
    };
    if !simple_name(&config.name) {
        return value("name", format!("`{}`", config.name), "letters, digits, `-`, `_` and `.`");
    }
    let explore = &config.explore;
    if !(0.0..=10.0).contains(&explore.temperature) {
        return value("explore.temperature", explore.temperature.to_string(), "0 to 10");
    }
    if !(explore.max_cache_gigabytes > 0.0 && explore.max_cache_gigabytes < 1e6) {
        let found = explore.max_cache_gigabytes.to_string();
        return value("explore.max_cache_gigabytes", found, "above 0 and below a million");
    }
    if !(explore.top_p > 0.0 && explore.top_p <= 1.0) {
        return value("explore.top_p", explore.top_p.to_string(), "above 0 and at most 1");
    }
    let positive = [
        ("method.n_iterations", method.n_iterations as usize),
        ("compare.n_seeds", config.compare.n_seeds as usize),
        ("explore.max_reply_tokens", explore.max_reply_tokens),
        ("explore.max_sequences", explore.max_sequences),
        ("explore.unit_size", explore.unit_size),
        ("train.n_epochs", config.train.n_epochs),
        ("train.batch_size", config.train.batch_size),
        ("train.micro_batch_tokens", config.train.micro_batch_tokens),
        ("preferences.n_epochs", config.preferences.n_epochs),
        ("preferences.batch_size", config.preferences.batch_size),
        ("behaviour_cloning.stage_epochs", config.behaviour_cloning.stage_epochs),
        ("behaviour_cloning.max_stages", config.behaviour_cloning.max_stages),
    ];
    if let Some((key, _)) = positive.into_iter().find(|(_, number)| *number == 0) {
        return value(key, "0".to_owned(), "at least 1");
    }
    let n_workers = config.machine.n_workers;
    if n_workers > MAX_WORKERS {
        let expected = format!("0 (one per core) to {MAX_WORKERS}");
        return value("machine.n_workers", n_workers.to_string(), &expected);
    }
    let rates = [
        ("train.learning_rate", config.train.learning_rate),
        ("behaviour_cloning.learning_rate", config.behaviour_cloning.learning_rate),
    ];
    for (key, rate) in rates {
        if !(rate > 0.0 && rate.is_finite()) {
            return value(key, rate.to_string(), "a positive number");
        }
    }
    check_plan(&config.plan)
}

/// A prompt tells the model what it may do, and must tell of this environment.
fn check_prompt(config: &Config) -> Result<(), LoadError> {
    let (data, prompt) = (&config.data, config.model.prompt.as_str());
    let (is_fitting, expected) = match (prompt, data.environment) {
        ("agentlite", environment) => (
            environment == EnvironmentKind::WebShop,
            "short or scienceworld: agentlite tells of WebShop's actions",
        ),
        ("scienceworld", EnvironmentKind::WebShop) => {
            (false, "short or agentlite: scienceworld tells of ScienceWorld's actions")
        }
        ("scienceworld", EnvironmentKind::ScienceWorld) => (
            data.action_format == "react",
            "short, or data.action_format = \"react\": scienceworld asks for thoughts before actions",
        ),
        (_, _) => (true, ""),
    };
    if is_fitting {
        return Ok(());
    }
    let (found, expected) = (prompt.to_owned(), expected.to_owned());
    Err(LoadError::Value { key: "model.prompt", found, expected })
}

/// A plan computes with these: what they come to must be a number.
fn check_plan(plan: &PlanConfig) -> Result<(), LoadError> {
    let within = |key, found: f64, holds: bool, expected: &str| {
        if holds && found.is_finite() {
            return Ok(());
        }
        let (found, expected) = (found.to_string(), expected.to_owned());
        Err(LoadError::Value { key, found, expected })
    };
    let (share, speed) = (plan.positive_share, plan.gigaflops);
    within("plan.gigaflops", speed, speed > 0.0, "a positive number")?;
    within("plan.positive_share", share, (0.0..=1.0).contains(&share), "0 to 1")?;
    if !plan.model_preset.is_empty() && !eef_llama::PRESETS.contains(&plan.model_preset.as_str()) {
        return Err(LoadError::Value {
            key: "plan.model_preset",
            found: plan.model_preset.clone(),
            expected: eef_llama::PRESETS.join(", "),
        });
    }
    let sizes = [
        ("plan.actions_per_episode", plan.actions_per_episode),
        ("plan.prompt_tokens", plan.prompt_tokens),
        ("plan.observation_tokens", plan.observation_tokens),
        ("plan.reply_tokens", plan.reply_tokens),
        ("plan.n_parameters", plan.n_parameters),
        ("plan.bytes_per_trained_parameter", plan.bytes_per_trained_parameter),
    ];
    sizes.into_iter().try_for_each(|(key, size)| within(key, size, size >= 0.0, "0 or more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(overrides: &[&str]) -> String {
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        load(&Source::Embedded, &overrides).unwrap_err().to_string()
    }

    #[test]
    fn overrides_reach_every_section_and_quotes_are_not_needed() {
        let overrides = ["train.learning_rate=5e-4", "model.prompt=agentlite", "seed=9"];
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        let config = load(&Source::Embedded, &overrides).unwrap();
        assert_eq!(config.train.learning_rate, 5e-4);
        assert_eq!(config.model.prompt, "agentlite");
        assert_eq!(config.seed, 9);
    }

    #[test]
    fn mistakes_are_one_line_and_name_the_nearest_key() {
        insta::assert_snapshot!(
            [
                error(&["train.lerning_rate=5e-4"]),
                error(&["trian.learning_rate=5e-4"]),
                error(&["train.learning_rate"]),
                error(&["train.learning_rate=fast"]),
                error(&["train.learning_rate=-1"]),
                error(&["train.n_epochs=1.5"]),
                error(&["train.n_epochs=-1"]),
                error(&["train=5"]),
                error(&["x=1"]),
                error(&["seed=18446744073709551615"]),
                error(&["machine.n_workers=100000"]),
                error(&["seed.x=1"]),
                error(&["method.name=eff"]),
                error(&["explore.temperature=-1"]),
                error(&["name=../../etc"]),
            ]
            .join("\n")
        );
    }

    #[test]
    fn a_prompt_tells_of_the_environment_and_asks_for_what_it_reads() {
        let science = "data.environment=scienceworld";
        assert!(error(&[science, "model.prompt=agentlite"]).contains("expected short or science"));
        assert!(error(&["model.prompt=scienceworld"]).contains("expected short or agentlite"));
        let plain = error(&[science, "model.prompt=scienceworld"]);
        assert!(plain.contains("data.action_format = \"react\""), "{plain}");
        let fitting = [science, "model.prompt=scienceworld", "data.action_format=react"];
        load(&Source::Embedded, &fitting.map(str::to_owned)).unwrap();
    }

    #[test]
    fn a_plan_is_given_numbers_to_compute_with() {
        let message = error(&["plan.gigaflops=0"]);
        assert_eq!(message, "configuration key plan.gigaflops is 0: expected a positive number");
        assert!(error(&["plan.gigaflops=-1"]).contains("plan.gigaflops is -1"));
        assert!(error(&["plan.gigaflops=inf"]).contains("plan.gigaflops is inf"));
        assert!(error(&["plan.positive_share=1.5"]).contains("expected 0 to 1"));
        assert!(error(&["train.precision=f16"]).contains("expected one of f32, bf16"));
        let groups = error(&["train.groups=[\"bias=2\"]"]);
        assert!(groups.contains("train.groups is `bias=2`: expected one of embedding"), "{groups}");
        assert!(error(&["plan.reply_tokens=nan"]).contains("plan.reply_tokens is NaN"));
    }

    #[test]
    fn a_file_is_named_with_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, "name = \"mine\"\n[train]\nbatch_size = 8\nepoch = 3\n").unwrap();
        let error = load(&Source::File(path.clone()), &[]).unwrap_err().to_string();
        let expected = "mine.toml:4: unknown key `epoch`; did you mean `n_epochs`?";
        assert!(error.ends_with(expected), "{error}");
        let error = load(&Source::File(folder.path().join("none.toml")), &[]).unwrap_err();
        assert!(error.to_string().starts_with("cannot read the configuration"), "{error}");
    }

    #[test]
    fn a_resolved_configuration_is_read_back_as_it_was() {
        let config = load(&Source::Embedded, &[]).unwrap();
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
        assert_eq!(difference(&text, &text), None);
        let mut other = config.clone();
        other.machine.n_workers = 7;
        other.name = "larger".to_owned();
        assert_eq!(difference(&text, &toml::to_string(&other).unwrap()), None);
        other.train.n_epochs += 1;
        let text_of_other = toml::to_string(&other).unwrap();
        let difference = difference(&text, &text_of_other).unwrap();
        assert!(difference.starts_with("train.n_epochs was"), "{difference}");
        assert_eq!(difference_in(&["data", "model"], &text, &text_of_other), None);
        let older: Vec<&str> = text.lines().filter(|line| !line.starts_with("n_blind")).collect();
        assert!(older.len() < text.lines().count());
        assert_eq!(super::difference(&older.join("\n"), &text), None, "a key of later programs");
        let mut limited = config.clone();
        limited.budget.simulations = 30;
        limited.compare.n_seeds = 99;
        limited.name = "larger".to_owned();
        let limited = toml::to_string(&limited).unwrap();
        let expected = Some("budget.simulations was 0 and is 30".to_owned());
        assert_eq!(super::difference(&text, &limited), expected);
        assert_eq!(difference_in(&["train"], &text, &text_of_other), Some(difference));
    }
    #[test]
    fn the_quick_comparison_goes_on_as_the_whole_one() {
        let configs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
        if !configs.is_dir() {
            println!("skipped: the packaged crate has no configs/ beside it");
            return;
        }
        let text = |name: &str| {
            toml::to_string(&load(&Source::File(configs.join(name)), &[]).unwrap()).unwrap()
        };
        let quick = text("table3-quick.toml");
        assert_eq!(difference(&quick, &text("table3.toml")), None);
        assert_ne!(difference(&quick, &text("figure3.toml")), None);
    }
}
