//! From the bytes of an artifact to the text in it.
//!
//! Owns the limits that make any zip harmless: of its length, of what is in it, and of what that
//! becomes. Pure; writes nothing anywhere, so a name in the zip leads nowhere.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::ProofRefusal;

/// Longest zip that is read, in bytes; a real one has some 300.
pub const ZIP_LENGTH_MAX: usize = 64 << 10;
/// Longest text that is read out of it, in bytes; a real one has some 200.
pub(super) const TEXT_LENGTH_MAX: usize = 16 << 10;

/// The text of the only file in `zip`.
pub(super) fn only_text(zip: &[u8]) -> Result<String, ProofRefusal> {
    if zip.len() > ZIP_LENGTH_MAX {
        return Err(ProofRefusal::ZipTooLarge);
    }
    let archive = ZipArchive::new(Cursor::new(zip));
    let mut archive = archive.map_err(|_| ProofRefusal::NotAZip)?;
    // Files of one name count as one, and the last of them would be read.
    if archive.len() != 1 || archive.has_duplicate_names() {
        return Err(ProofRefusal::NotOneFile);
    }
    let file = archive.by_index(0).map_err(|_| ProofRefusal::NotAZip)?;
    let is_in_folder = file.name_raw().iter().any(|byte| b"/\\".contains(byte));
    if !file.is_file() || is_in_folder {
        return Err(ProofRefusal::NotAPlainFile);
    }
    // The length it announces is not believed: what comes out is counted.
    let mut text = Vec::new();
    let read = file.take(TEXT_LENGTH_MAX as u64 + 1).read_to_end(&mut text);
    if text.len() > TEXT_LENGTH_MAX {
        return Err(ProofRefusal::FileTooLarge);
    }
    read.map_err(|_| ProofRefusal::NotAZip)?;
    String::from_utf8(text).map_err(|_| ProofRefusal::NotText)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

    use super::*;

    const TEXT: &str = "unique_id=a\n";

    /// A zip of these files, compressed.
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

    /// `zip` with the two bytes at `offset` of its local header, which stand two further in the
    /// central directory, set to `value` in both.
    fn with_field(zip: &[u8], offset: usize, value: u16) -> Vec<u8> {
        let mut zip = zip.to_vec();
        let central = zip.windows(4).position(|bytes| bytes == b"PK\x01\x02");
        for start in [offset, central.unwrap() + offset + 2] {
            zip[start..start + 2].copy_from_slice(&value.to_le_bytes());
        }
        zip
    }

    #[test]
    fn the_text_of_the_only_file_is_read() {
        assert_eq!(only_text(&zip()).unwrap(), TEXT);
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        writer.start_file("a", stored).unwrap();
        writer.write_all(TEXT.as_bytes()).unwrap();
        let stored = writer.finish().unwrap().into_inner();
        assert_eq!(only_text(&stored).unwrap(), TEXT);
    }

    #[test]
    fn what_comes_out_is_counted_whatever_was_announced() {
        let full = vec![b'a'; TEXT_LENGTH_MAX];
        assert_eq!(
            only_text(&zip_of(&[("a", &full)])).unwrap().len(),
            full.len()
        );

        let over = zip_of(&[("a", &[&full[..], b"a"].concat())]);
        assert_eq!(only_text(&over), Err(ProofRefusal::FileTooLarge));

        // 48 MiB of one letter in less than 64 KiB, also where it says that it is a single byte.
        let bomb = zip_of(&[("a", &vec![b'a'; 48 << 20])]);
        assert!(bomb.len() <= ZIP_LENGTH_MAX);
        assert_eq!(only_text(&bomb), Err(ProofRefusal::FileTooLarge));
        let lying = replaced(&bomb, &(48_u32 << 20).to_le_bytes(), &1_u32.to_le_bytes());
        assert!(only_text(&lying).is_err());
    }

    #[test]
    fn a_long_zip_is_not_even_opened() {
        let mut padded = vec![0; ZIP_LENGTH_MAX - zip().len()];
        padded.extend(zip());
        assert_eq!(only_text(&padded).unwrap(), TEXT);
        padded.insert(0, 0);
        assert_eq!(only_text(&padded), Err(ProofRefusal::ZipTooLarge));
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
            assert_eq!(only_text(&zip), Err(ProofRefusal::NotOneFile));
        }
    }

    #[test]
    fn a_file_must_be_plain_and_at_the_top() {
        for name in ["a/b", "../b", "/etc/passwd", "..\\b", "C:\\b", "a/"] {
            let zip = zip_of(&[(name, TEXT.as_bytes())]);
            assert_eq!(only_text(&zip), Err(ProofRefusal::NotAPlainFile), "{name}");
        }
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default();
        writer.add_symlink("a", "/etc/passwd", options).unwrap();
        let link = writer.finish().unwrap().into_inner();
        assert_eq!(only_text(&link), Err(ProofRefusal::NotAPlainFile));
    }

    #[test]
    fn what_is_not_a_zip_is_refused() {
        for bytes in [&b""[..], b"PK", b"PK\x05\x06", b"<html>", &[0xff; 4096]] {
            assert_eq!(only_text(bytes), Err(ProofRefusal::NotAZip), "{bytes:?}");
        }
        let zip = zip();
        for length in 0..zip.len() {
            let cut = only_text(&zip[..length]);
            assert_eq!(cut, Err(ProofRefusal::NotAZip), "{length}");
        }
    }

    #[test]
    fn a_damaged_zip_gives_the_right_text_or_none() {
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
    fn an_encrypted_or_oddly_compressed_file_is_refused() {
        let (flags, method) = (6, 8);
        for (offset, value) in [(flags, 1), (method, 12), (method, 99), (method, u16::MAX)] {
            let zip = with_field(&zip(), offset, value);
            assert_eq!(only_text(&zip), Err(ProofRefusal::NotAZip), "{value}");
        }
    }

    #[test]
    fn only_utf8_is_text() {
        let zip = zip_of(&[("a", b"unique_id=\xff\n")]);
        assert_eq!(only_text(&zip), Err(ProofRefusal::NotText));
    }
}
