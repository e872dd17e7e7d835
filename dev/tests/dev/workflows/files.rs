//! Reads the YAML files below `.github` and the YAML blocks of the book.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// Parses a YAML file, with plain scalars as in YAML 1.2.
pub fn read_yaml(path: &Path) -> Value {
    let text = fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    parse(&text)
}

/// Parses a YAML text.
pub fn parse(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The YAML blocks of a page of the book.
pub fn yaml_blocks(page: &str) -> Vec<String> {
    let text = fs::read_to_string(repository().join("docs/src").join(page)).unwrap();
    let blocks = text.split("```yaml\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}
