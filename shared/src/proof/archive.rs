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
