//! The folders of the repository that the generator reads and writes.

use crate::import::Jar;
use crate::plan::Plan;
use crate::schema::Message;
use crate::{emit, emit_json, old_versions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A schema and the file it came from, relative to the repository.
pub struct Source {
    pub message: Message,
    pub path: String,
}

/// Reads `schemas/` in order of message name.
pub fn read_schemas(root: &Path) -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    for folder in list(&root.join("schemas"))? {
        if !folder.is_dir() {
            continue;
        }
        for file in list(&folder)? {
            let path = file
                .strip_prefix(root)
                .unwrap_or(&file)
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read_to_string(&file).map_err(|why| format!("{path}: {why}"))?;
            let message = Message::from_text(&text).map_err(|why| format!("{path}: {why}"))?;
            sources.push(Source { message, path });
        }
    }
    sources.sort_by(|a, b| a.message.name.cmp(&b.message.name));
    if let Some(pair) = sources
        .windows(2)
        .find(|pair| pair[0].message.name == pair[1].message.name)
    {
        return Err(format!(
            "{} and {} are the same message",
            pair[0].path, pair[1].path
        ));
    }
    Ok(sources)
}

/// As [`read_schemas`], with the older versions that are served beside the release's.
pub fn read_served(root: &Path) -> Result<Vec<Source>, String> {
    let mut sources = read_schemas(root)?;
    let path = root.join("codegen/old-versions.txt");
    let text =
        std::fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
    old_versions::apply(&text, sources.iter_mut().map(|source| &mut source.message))?;
    Ok(sources)
}

/// Replaces the folders of `jars` under `schemas/`, and ORIGIN.
pub fn write_schemas(root: &Path, jars: &[Jar]) -> Result<(), String> {
    let mut releases: Vec<&str> = jars.iter().map(|jar| jar.release.as_str()).collect();
    releases.dedup();
    let [release] = releases[..] else {
        return Err(format!(
            "one import reads one release, not {}",
            releases.join(" and ")
        ));
    };
    let mut origin = format!(
        "Apache Kafka {release}: facts read from the message definitions inside these jars\n\
         (SHA-256 of the jar, number of definitions, jar)\n\n"
    );
    for jar in jars {
        let folder = root.join("schemas").join(&jar.folder);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)
                .map_err(|why| format!("{}: {why}", folder.display()))?;
        }
        for message in &jar.messages {
            write(
                &folder.join(format!("{}.schema", message.name)),
                &message.to_text(),
            )?;
        }
        origin.push_str(&format!(
            "{} {:>3} {}\n",
            jar.digest,
            jar.messages.len(),
            jar.file_name
        ));
    }
    write(&root.join("schemas/ORIGIN"), &origin)
}

/// Everything that is generated: path relative to the repository, and formatted text.
pub fn generated(root: &Path) -> Result<BTreeMap<String, String>, String> {
    let release: Vec<Message> = read_schemas(root)?
        .into_iter()
        .map(|source| source.message)
        .collect();
    let sources = read_served(root)?;
    let mut plans = Vec::new();
    let mut files = BTreeMap::new();
    for source in &sources {
        let Some(plan) = Plan::new(&source.message, &release)? else {
            continue;
        };
        files.insert(
            format!("src/protocol/messages/{}.rs", plan.module),
            emit::message(&plan, &source.path),
        );
        plans.push(plan);
    }
    files.insert(
        "src/protocol/messages/mod.rs".to_owned(),
        emit::messages_mod(&plans),
    );
    files.insert(
        "src/protocol/api_key.rs".to_owned(),
        emit::api_keys(&release),
    );
    files.insert(
        "protocol-tests/src/generated.rs".to_owned(),
        emit_json::json(&plans),
    );
    format_all(root, files)
}

/// Writes what [`generated`] makes, and removes what it no longer makes.
pub fn write_generated(root: &Path) -> Result<usize, String> {
    let files = generated(root)?;
    for (path, text) in &files {
        write(&root.join(path), text)?;
    }
    for stale in stale(root, &files)? {
        std::fs::remove_file(root.join(&stale)).map_err(|why| format!("{stale}: {why}"))?;
    }
    Ok(files.len())
}

/// The generated files that differ from what the schemas ask for.
pub fn drift(root: &Path) -> Result<Vec<String>, String> {
    let files = generated(root)?;
    let mut different = stale(root, &files)?;
    for (path, text) in &files {
        if std::fs::read_to_string(root.join(path)).ok().as_ref() != Some(text) {
            different.push(path.clone());
        }
    }
    Ok(different)
}

/// Files in generated folders that nothing generates.
fn stale(root: &Path, files: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
    let mut stale = Vec::new();
    let mut folders: Vec<&str> = files
        .keys()
        .filter_map(|path| path.strip_suffix("/mod.rs"))
        .collect();
    folders.dedup();
    for folder in folders {
        if !root.join(folder).exists() {
            continue;
        }
        for file in list(&root.join(folder))? {
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let path = format!("{folder}/{name}");
            if !files.contains_key(&path) {
                stale.push(path);
            }
        }
    }
    Ok(stale)
}

/// Formats with the repository's rustfmt, all files in one run.
fn format_all(
    root: &Path,
    files: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    let scratch = root.join("target/ottla-codegen");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch).map_err(|why| format!("{}: {why}", scratch.display()))?;
    }
    let mut command = Command::new("rustfmt");
    command
        .args(["--edition", "2024", "--config-path"])
        .arg(root.join("rustfmt.toml"));
    for (path, text) in &files {
        write(&scratch.join(path), text)?;
        // rustfmt follows `mod` lines by itself.
        if path.ends_with("/mod.rs") || !files.contains_key(&sibling_mod(path)) {
            command.arg(scratch.join(path));
        }
    }
    let output = command.output().map_err(|why| format!("rustfmt: {why}"))?;
    if !output.status.success() {
        return Err(format!(
            "rustfmt: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    files
        .into_keys()
        .map(|path| {
            let text = std::fs::read_to_string(scratch.join(&path));
            text.map(|text| (path.clone(), text))
                .map_err(|why| format!("{path}: {why}"))
        })
        .collect()
}

fn sibling_mod(path: &str) -> String {
    path.rsplit_once('/')
        .map_or_else(String::new, |(folder, _)| format!("{folder}/mod.rs"))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let at = |why: std::io::Error| format!("{}: {why}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(at)? {
        paths.push(entry.map_err(at)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let at = |why: std::io::Error| format!("{}: {why}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(at)?;
    }
    // An untouched file keeps its time, so that the next build has nothing to do.
    if std::fs::read_to_string(path).is_ok_and(|same| same == text) {
        return Ok(());
    }
    std::fs::write(path, text).map_err(at)
}
