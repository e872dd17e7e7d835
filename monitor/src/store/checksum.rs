//! The checksum of a state file, by which a damaged one is recognised.
//!
//! A snapshot is a JSON object. The checksum is its first field, so that the file stays JSON, and earlier
//! releases, which ignore the field, can read it:
//!
//! ```text
//! {"checksum":"<64 hexadecimal digits: SHA-256 of the snapshot>","version":1,…}
//! ```

use shared::sha256::Sha256;

const BEFORE: &[u8] = br#"{"checksum":""#;
const AFTER: &[u8] = br#"","#;
const LENGTH: usize = 64;

/// The content of a file does not have its checksum.
#[derive(Debug, PartialEq, Eq)]
pub struct Damaged;

/// The content of the file for a snapshot.
pub fn with_checksum(snapshot: &[u8]) -> Vec<u8> {
    match snapshot.split_first() {
        // An object with at least one field.
        Some((b'{', fields)) if fields.starts_with(b"\"") => {
            [BEFORE, checksum(snapshot).as_bytes(), AFTER, fields].concat()
        }
        _ => snapshot.to_vec(),
    }
}

/// The snapshot in a file. One without a checksum, as earlier releases wrote it, is returned as it is.
///
/// # Errors
/// When the content is not what was written.
pub fn without_checksum(content: Vec<u8>) -> Result<Vec<u8>, Damaged> {
    let Some(rest) = content.strip_prefix(BEFORE) else {
        return Ok(content);
    };
    let (expected, rest) = rest.split_at_checked(LENGTH).ok_or(Damaged)?;
    let fields = rest.strip_prefix(AFTER).ok_or(Damaged)?;
    let snapshot = [b"{", fields].concat();
    match checksum(&snapshot).as_bytes() == expected {
        true => Ok(snapshot),
        false => Err(Damaged),
    }
}

fn checksum(snapshot: &[u8]) -> String {
    Sha256::of(snapshot).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNAPSHOT: &[u8] = br#"{"version":1,"intent":{"next_id":7}}"#;

    #[test]
    fn a_snapshot_is_restored_and_its_file_is_json() {
        let content = with_checksum(SNAPSHOT);
        let json: serde_json::Value = serde_json::from_slice(&content).unwrap();
        assert_eq!(json["intent"]["next_id"], 7);
        assert_eq!(json["checksum"].as_str().unwrap().len(), LENGTH);
        assert_eq!(without_checksum(content).unwrap(), SNAPSHOT);
    }

    #[test]
    fn a_file_of_an_earlier_release_has_no_checksum() {
        assert_eq!(without_checksum(SNAPSHOT.to_vec()).unwrap(), SNAPSHOT);
        assert_eq!(without_checksum(Vec::new()).unwrap(), b"");
    }

    #[test]
    fn any_other_change_is_noticed() {
        let content = with_checksum(SNAPSHOT);
        for index in BEFORE.len()..content.len() {
            let mut changed = content.clone();
            changed[index] ^= 1;
            assert_eq!(without_checksum(changed), Err(Damaged), "byte {index}");
            let cut = content[..index].to_vec();
            assert_eq!(without_checksum(cut), Err(Damaged), "cut at {index}");
        }
        let longer = [content, b" ".to_vec()].concat();
        assert_eq!(without_checksum(longer), Err(Damaged));
    }
}
