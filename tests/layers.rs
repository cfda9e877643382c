//! A folder of `src/` uses only lower layers, as the table in ARCHITECTURE.md says.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "this test reads the sources, not a broker's data, and fails if it cannot"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The simulated world is compiled for tests alone, so any folder's tests may use it; the compiler
/// already refuses it elsewhere.
const FOR_TESTS: &str = "sim";

/// These wire the folders together.
const ROOTS: [&str; 2] = ["lib.rs", "main.rs"];

/// What one row of the table says of a folder.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    layer: u32,
    beside: BTreeSet<String>,
    never: BTreeSet<String>,
}

type Table = BTreeMap<String, Row>;

/// A path from the crate's root in a source file.
#[derive(Debug, PartialEq, Eq)]
struct Use {
    line: usize,
    folder: String,
}

#[test]
fn every_use_in_the_sources_keeps_to_the_layer_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let table = table(&page);
    assert!(table.len() >= 10, "the table was not found: {table:?}");

    let mut violations = Vec::new();
    let mut folders = BTreeSet::new();
    for path in sources(&root.join("src")) {
        let within = path.strip_prefix(root.join("src")).unwrap();
        let module = module_of(within);
        let Some(folder) = module.first() else {
            continue;
        };
        folders.insert(folder.clone());
        let text = std::fs::read_to_string(&path).unwrap();
        for used in uses(&text, &module) {
            if let Some(reason) = refused(&table, folder, &used.folder) {
                violations.push(format!("src/{}:{}: {reason}", within.display(), used.line));
            }
        }
    }
    for folder in table.keys().filter(|folder| !folders.contains(*folder)) {
        violations.push(format!("ARCHITECTURE.md: there is no src/{folder}"));
    }
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn a_use_of_a_higher_layer_is_found() {
    let table = table(
        "| layer | folder | may use within its layer | never uses |\n|---|---|---|---|\n\
         | L0 | types | | |\n| L2 | log | | |\n| L2 | quota | `log` | |\n| L5 | api | | log |\n",
    );
    let refusals = |file: &str, text: &str| -> Vec<String> {
        let module = module_of(Path::new(file));
        uses(text, &module)
            .iter()
            .filter_map(|used| refused(&table, &module[0], &used.folder))
            .collect()
    };
    assert_eq!(
        refusals(
            "log/segment.rs",
            "use crate::types::Offset;\nuse crate::api::Api;\n"
        ),
        ["log (L2) uses api (L5)"]
    );
    assert_eq!(
        refusals("log/mod.rs", "fn f() { let x = crate::quota::now(); }"),
        ["log (L2) uses quota (L2), which its row does not name"]
    );
    assert_eq!(
        refusals(
            "types/mod.rs",
            "use crate::{\n    types::Offset,\n    log::{Log, api},\n};"
        ),
        ["types (L0) uses log (L2)"]
    );
    assert_eq!(
        refusals("api/fetch/read.rs", "use super::super::super::log::Log;"),
        ["api (L5) uses log (L2), which its row forbids"]
    );
    assert_eq!(
        refusals("log/mod.rs", "use crate::unheard_of::X;"),
        ["unheard_of has no row in ARCHITECTURE.md"]
    );
    assert_eq!(
        refusals(
            "api/mod.rs",
            "use super::log;\nmod tests {\n    use super::log;\n}"
        ),
        ["api (L5) uses log (L2), which its row forbids"],
        "the second is a module of api"
    );
    let fine = "use crate::log::Log; // crate::api\n/// [`crate::api`]\nuse crate::types::*;\n\
                use super::super::types; use crate::sim::SimDisk; let text = crate::Server;";
    assert_eq!(refusals("quota/mod.rs", fine), [""; 0]);
}

/// Reads `| layer | folder | may use within its layer | never uses |`; the last may be left out.
fn table(page: &str) -> Table {
    let names = |cell: Option<&&str>| -> BTreeSet<String> {
        cell.unwrap_or(&"")
            .split([',', ' '])
            .map(|name| name.trim_matches('`').to_owned())
            .filter(|name| !name.is_empty())
            .collect()
    };
    let mut table = Table::new();
    for line in page.lines() {
        let cells: Vec<&str> = line
            .trim()
            .trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect();
        let [layer, folder, ..] = cells[..] else {
            continue;
        };
        let Some(Ok(layer)) = layer.strip_prefix('L').map(str::parse) else {
            continue;
        };
        let row = Row {
            layer,
            beside: names(cells.get(2)),
            never: names(cells.get(3)),
        };
        let folder = folder.trim_matches('`').trim_end_matches('/').to_owned();
        assert!(table.insert(folder, row).is_none(), "two rows: {line}");
    }
    table
}

/// Why `folder` may not use `used`.
fn refused(table: &Table, folder: &str, used: &str) -> Option<String> {
    if folder == used || used == FOR_TESTS {
        return None;
    }
    let row = |name: &str| {
        table
            .get(name)
            .ok_or_else(|| format!("{name} has no row in ARCHITECTURE.md"))
    };
    let (own, other) = match (row(folder), row(used)) {
        (Ok(own), Ok(other)) => (own, other),
        (Err(missing), _) | (_, Err(missing)) => return Some(missing),
    };
    let pair = format!("{folder} (L{}) uses {used} (L{})", own.layer, other.layer);
    if own.never.contains(used) {
        Some(format!("{pair}, which its row forbids"))
    } else if other.layer > own.layer {
        Some(pair)
    } else if other.layer == own.layer && !own.beside.contains(used) {
        Some(format!("{pair}, which its row does not name"))
    } else {
        None
    }
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The module of a file below `src/`: empty for the crate's root.
fn module_of(within: &Path) -> Vec<String> {
    if ROOTS.iter().any(|root| Path::new(root) == within) {
        return Vec::new();
    }
    let path = within.with_extension("");
    let mut parts: Vec<String> = path
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// Every path that starts at the crate's root: `crate::x`, `crate::{x, y::z}`, and `super::…` as far
/// up as that. A name with a capital letter is an item of the root, not a folder.
fn uses(text: &str, module: &[String]) -> Vec<Use> {
    let code: Vec<String> = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or("").to_owned())
        .collect();
    let code = code.join("\n");
    let supers = |levels: usize| format!("{}::", vec!["super"; levels].join("::"));
    let (in_file, in_inline) = (supers(module.len()), supers(module.len() + 1));
    let inline_from = inline_module(&code).unwrap_or(code.len());
    let mut found = Vec::new();
    for start in ["crate::", &in_file, &in_inline] {
        for (at, _) in code.match_indices(start) {
            if (start == in_file && at > inline_from) || (start == in_inline && at < inline_from) {
                continue;
            }
            let inside_a_name = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if inside_a_name || code[..at].ends_with("::") || code[..at].ends_with('$') {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            for folder in first_names(&code[at + start.len()..]) {
                if folder.starts_with(char::is_lowercase) && folder != "super" && folder != "self" {
                    found.push(Use { line, folder });
                }
            }
        }
    }
    found.sort_by_key(|used| used.line);
    found
}

/// Where the file's first `mod name {` begins: behind it, `super` counts from one level deeper.
fn inline_module(code: &str) -> Option<usize> {
    let mut at = 0;
    for line in code.split_inclusive('\n') {
        if line.trim_start_matches("pub(super) ").starts_with("mod ")
            && line.trim_end().ends_with('{')
        {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// The name that `rest` starts with, or those at the first level of the braces that it starts with.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(group) = rest.strip_prefix('{') else {
        return vec![name(rest)];
    };
    let mut names = vec![name(group)];
    let mut depth = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}
