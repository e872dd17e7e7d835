//! Writes the pages of the book that are written from the sources: `cargo run -p tidy`.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (path, text) in tidy::generated_pages() {
        fs::write(repository.join(path), text)?;
    }
    Ok(())
}
