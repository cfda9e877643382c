//! `ottla-codegen import JAR…`, `generate`, `check`; run from the repository.

use ottla_codegen::{import, tree};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: ottla-codegen import JAR...   read a release's message definitions into schemas/
       ottla-codegen generate        write the Rust code that schemas/ asks for
       ottla-codegen check           fail if the committed code is not what schemas/ asks for";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The folder above codegen/ is the repository, wherever the command is run from.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
        .to_owned();
    let result = match arguments.split_first() {
        Some((verb, jars)) if verb == "import" && !jars.is_empty() => import(&root, jars),
        Some((verb, [])) if verb == "generate" => {
            tree::write_generated(&root).map(|count| format!("{count} files"))
        }
        Some((verb, [])) if verb == "check" => check(&root),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn import(root: &Path, jars: &[String]) -> Result<String, String> {
    let jars: Vec<import::Jar> = jars
        .iter()
        .map(|jar| import::read_jar(&PathBuf::from(jar)))
        .collect::<Result<_, String>>()?;
    tree::write_schemas(root, &jars)?;
    let count: usize = jars.iter().map(|jar| jar.messages.len()).sum();
    Ok(format!("{count} definitions"))
}

fn check(root: &Path) -> Result<String, String> {
    let different = tree::drift(root)?;
    if different.is_empty() {
        return Ok("the generated code belongs to the schemas".to_owned());
    }
    Err(format!(
        "not what schemas/ asks for (run `cargo run -p ottla-codegen -- generate`):\n  {}",
        different.join("\n  ")
    ))
}
