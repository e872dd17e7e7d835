//! Artifacts as GitHub stores them: zip files.

use std::io::{Cursor, Write};

use zip::{ZipWriter, write::SimpleFileOptions};

/// A zip file with one text file, `artifact.txt`, that consists of these lines.
pub fn zip_of_lines<L: AsRef<str>>(lines: impl IntoIterator<Item = L>) -> Vec<u8> {
    let mut text = String::new();
    for line in lines {
        text.push_str(line.as_ref());
        text.push('\n');
    }
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer
        .start_file("artifact.txt", SimpleFileOptions::default())
        .and_then(|()| Ok(writer.write_all(text.as_bytes())?))
        .and_then(|()| writer.finish())
        .expect("a small zip can be written to memory")
        .into_inner()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_zip_contains_the_lines_as_one_file() {
        let zip = zip_of_lines(["unique_id=a", "run_id=7"]);
        let mut archive = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
        assert_eq!(archive.len(), 1);
        let mut text = String::new();
        let mut file = archive.by_index(0).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(
            (file.name().unwrap().as_ref(), text.as_str()),
            ("artifact.txt", "unique_id=a\nrun_id=7\n")
        );
    }
}
