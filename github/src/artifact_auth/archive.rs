//! Extracts the text from the zip of an artifact.
//!
//! Responsible for the limits that make any zip harmless: its length, the number and kind of its
//! entries, and their uncompressed length. Pure: nothing is written to disk, so a path in the zip
//! has no effect.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::Rejection;

/// Longest zip that is read, in bytes; a real one has about 300.
pub const ZIP_LENGTH_MAX: usize = 64 << 10;
/// Longest text that is extracted, in bytes; a real one has about 200.
pub(super) const TEXT_LENGTH_MAX: usize = 16 << 10;

/// The text of the only file in `zip`.
pub(super) fn only_text(zip: &[u8]) -> Result<String, Rejection> {
    if zip.len() > ZIP_LENGTH_MAX {
        return Err(Rejection::ZipTooLarge);
    }
    let archive = ZipArchive::new(Cursor::new(zip));
    let mut archive = archive.map_err(|_| Rejection::NotAZip)?;
    // `len` counts entries of the same name once, and `by_index` would read the last of them.
    if archive.len() != 1 || archive.has_duplicate_names() {
        return Err(Rejection::NotOneFile);
    }
    let file = archive.by_index(0).map_err(|_| Rejection::NotAZip)?;
    let is_in_folder = file.name_raw().iter().any(|byte| b"/\\".contains(byte));
    if !file.is_file() || is_in_folder {
        return Err(Rejection::NotAPlainFile);
    }
    // The uncompressed length in the header may be wrong, so the output is counted.
    let mut text = Vec::new();
    let read = file.take(TEXT_LENGTH_MAX as u64 + 1).read_to_end(&mut text);
    if text.len() > TEXT_LENGTH_MAX {
        return Err(Rejection::FileTooLarge);
    }
    read.map_err(|_| Rejection::NotAZip)?;
    String::from_utf8(text).map_err(|_| Rejection::NotText)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

    use super::*;

    const TEXT: &str = "unique_id=a\n";

    /// A zip with these files, compressed.
    pub(in crate::artifact_auth) fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            let options = SimpleFileOptions::default();
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn zip() -> Vec<u8> {
        zip_of(&[("artifact.txt", TEXT.as_bytes())])
    }

    /// Replaces every occurrence of `from`, of which there must be some.
    fn replaced(zip: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let mut zip = zip.to_vec();
        let starts: Vec<usize> = (0..=zip.len() - from.len())
            .filter(|&start| zip[start..].starts_with(from))
            .collect();
        assert!(!starts.is_empty());
        for start in starts {
            zip[start..start + to.len()].copy_from_slice(to);
        }
        zip
    }

    /// `zip` with the two bytes at `offset` of its local header set to `value`, and the same field in
    /// the central directory, where it is two bytes further.
    fn with_field(zip: &[u8], offset: usize, value: u16) -> Vec<u8> {
        let mut zip = zip.to_vec();
        let central = zip.windows(4).position(|bytes| bytes == b"PK\x01\x02");
        for start in [offset, central.unwrap() + offset + 2] {
            zip[start..start + 2].copy_from_slice(&value.to_le_bytes());
        }
        zip
    }

    #[test]
    fn the_text_of_the_only_file_is_extracted() {
        assert_eq!(only_text(&zip()).unwrap(), TEXT);
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        writer.start_file("a", stored).unwrap();
        writer.write_all(TEXT.as_bytes()).unwrap();
        let stored = writer.finish().unwrap().into_inner();
        assert_eq!(only_text(&stored).unwrap(), TEXT);
    }

    #[test]
    fn the_uncompressed_length_is_counted_whatever_the_header_contains() {
        let full = vec![b'a'; TEXT_LENGTH_MAX];
        assert_eq!(
            only_text(&zip_of(&[("a", &full)])).unwrap().len(),
            full.len()
        );

        let over = zip_of(&[("a", &[&full[..], b"a"].concat())]);
        assert_eq!(only_text(&over), Err(Rejection::FileTooLarge));

        // 48 MiB of one letter in less than 64 KiB; also with a header that announces a single byte.
        let bomb = zip_of(&[("a", &vec![b'a'; 48 << 20])]);
        assert!(bomb.len() <= ZIP_LENGTH_MAX);
        assert_eq!(only_text(&bomb), Err(Rejection::FileTooLarge));
        let lying = replaced(&bomb, &(48_u32 << 20).to_le_bytes(), &1_u32.to_le_bytes());
        assert!(only_text(&lying).is_err());
    }

    #[test]
    fn a_zip_that_is_too_long_is_not_opened() {
        let mut padded = vec![0; ZIP_LENGTH_MAX - zip().len()];
        padded.extend(zip());
        assert_eq!(only_text(&padded).unwrap(), TEXT);
        padded.insert(0, 0);
        assert_eq!(only_text(&padded), Err(Rejection::ZipTooLarge));
    }

    #[test]
    fn there_must_be_exactly_one_file() {
        let text = TEXT.as_bytes();
        let two = zip_of(&[("one.txt", text), ("two.txt", text)]);
        for zip in [
            zip_of(&[]),
            two.clone(),
            // Twice the same name.
            replaced(&two, b"two.txt", b"one.txt"),
        ] {
            assert_eq!(only_text(&zip), Err(Rejection::NotOneFile));
        }
    }

    #[test]
    fn the_file_must_be_regular_and_not_in_a_folder() {
        for name in ["a/b", "../b", "/etc/passwd", "..\\b", "C:\\b", "a/"] {
            let zip = zip_of(&[(name, TEXT.as_bytes())]);
            assert_eq!(only_text(&zip), Err(Rejection::NotAPlainFile), "{name}");
        }
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default();
        writer.add_symlink("a", "/etc/passwd", options).unwrap();
        let link = writer.finish().unwrap().into_inner();
        assert_eq!(only_text(&link), Err(Rejection::NotAPlainFile));
    }

    #[test]
    fn other_bytes_than_a_zip_are_refused() {
        for bytes in [&b""[..], b"PK", b"PK\x05\x06", b"<html>", &[0xff; 4096]] {
            assert_eq!(only_text(bytes), Err(Rejection::NotAZip), "{bytes:?}");
        }
        let zip = zip();
        for length in 0..zip.len() {
            let cut = only_text(&zip[..length]);
            assert_eq!(cut, Err(Rejection::NotAZip), "{length}");
        }
    }

    #[test]
    fn a_damaged_zip_yields_the_original_text_or_an_error() {
        let zip = zip();
        for index in 0..zip.len() {
            for bit in 0..8 {
                let mut damaged = zip.clone();
                damaged[index] ^= 1 << bit;
                if let Ok(text) = only_text(&damaged) {
                    assert_eq!(text, TEXT, "bit {bit} of byte {index}");
                }
            }
        }
    }

    #[test]
    fn an_encrypted_file_or_an_unsupported_compression_is_refused() {
        let (flags, method) = (6, 8);
        for (offset, value) in [(flags, 1), (method, 12), (method, 99), (method, u16::MAX)] {
            let zip = with_field(&zip(), offset, value);
            assert_eq!(only_text(&zip), Err(Rejection::NotAZip), "{value}");
        }
    }

    #[test]
    fn only_utf8_is_text() {
        let zip = zip_of(&[("a", b"unique_id=\xff\n")]);
        assert_eq!(only_text(&zip), Err(Rejection::NotText));
    }
}
