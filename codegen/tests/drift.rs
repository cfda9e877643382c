//! The committed code belongs to the committed schemas.

use ottla_codegen::tree;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the repository")
}

#[test]
fn the_generated_code_is_what_the_schemas_ask_for() {
    let different = tree::drift(root()).expect("rustfmt and the schemas");
    assert!(
        different.is_empty(),
        "run `cargo run -p ottla-codegen -- generate`: {different:?}"
    );
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test of a build tool reads the repository"
)]
fn every_schema_is_written_as_it_was_read() {
    let sources = tree::read_schemas(root()).expect("the schemas");
    assert!(sources.len() > 250, "only {} schemas", sources.len());
    for source in sources {
        let text = std::fs::read_to_string(root().join(&source.path)).expect("read before");
        assert_eq!(source.message.to_text(), text, "{}", source.path);
    }
}
