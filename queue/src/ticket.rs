//! Tickets: what a job is, signed, so that any queue with the same key can put it back in line.
//!
//! Owns the form of a ticket, a JSON Web Token (RFC 7519) signed with HMAC SHA-256, and the key
//! that signs it. Whether a ticket has expired is the core's to say: it owns the clock.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde::{Deserialize, Serialize};
use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    secret::Secret,
    values::{Count, ProfileKey, QualifiedRepo, RunId, UniqueId},
};

use queue_core::job::{Claims, JobRequest};

/// The longest ticket that is looked at, in bytes. Ours are below 600.
const TICKET_LENGTH_MAX: usize = 2048;
/// The one header that we write and accept: so a ticket cannot choose how it is checked.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
/// How many random bytes a key has that we make.
const KEY_LENGTH: usize = 32;
/// The key's file, below the folder with the queue's data.
const KEY_FILE: &str = "ticket-key";

/// What stands in a ticket.
#[derive(Serialize, Deserialize)]
struct Payload {
    sub: UniqueId,
    profile_key: ProfileKey,
    count: Count,
    is_array: bool,
    qualified_repo: QualifiedRepo,
    run_id: RunId,
    enqueued_at_micros: u64,
    /// In seconds, for people who look into a ticket.
    exp: u64,
    /// Text, because JSON numbers of this size do not survive everywhere.
    jti: String,
}

/// A ticket that is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("verify a ticket")]
pub struct WrongTicket;

/// The key that signs tickets. Whoever has it can make any.
pub struct TicketKey(hmac::Key);

impl TicketKey {
    /// The key that was set.
    pub fn from_secret(secret: &Secret) -> Self {
        Self(hmac::Key::new(
            hmac::HMAC_SHA256,
            secret.expose().as_bytes(),
        ))
    }

    /// The key that is kept in `folder`; made at the first start. If its file is lost, a new key
    /// is made, and all tickets of before are refused.
    ///
    /// # Errors
    /// When the file can neither be read nor made, or is not what we write.
    pub fn load_or_make(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join(KEY_FILE);
        match read(&path)? {
            Some(key) => Ok(key),
            None => {
                make(folder, &path)?;
                // Read back rather than kept: another queue may have made it first.
                read(&path)?
                    .ok_or_else(|| KeyError::new("read", &path, io::ErrorKind::NotFound.into()))
            }
        }
    }

    /// The ticket that says `claims`. The same claims give the same ticket.
    pub fn sign(&self, claims: &Claims, lifetime: Duration) -> String {
        let request = &claims.request;
        let payload = Payload {
            sub: request.spec.unique_id.clone(),
            profile_key: request.spec.profile_key.clone(),
            count: request.spec.count,
            is_array: request.is_array,
            qualified_repo: request.spec.qualified_repo.clone(),
            run_id: request.spec.run_id,
            enqueued_at_micros: claims.enqueued_at.as_micros(),
            exp: (claims.enqueued_at + lifetime).as_seconds(),
            jti: claims.nonce.to_string(),
        };
        let payload =
            serde_json::to_vec(&payload).expect("a payload has only text keys and plain values");
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(HEADER),
            URL_SAFE_NO_PAD.encode(payload)
        );
        let signature = hmac::sign(&self.0, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// What a ticket says, if this key signed it.
    ///
    /// # Errors
    /// [`WrongTicket`] for everything else, without telling what is wrong with it.
    pub fn verify(&self, ticket: &str) -> Result<Claims, WrongTicket> {
        if ticket.len() > TICKET_LENGTH_MAX {
            return Err(WrongTicket);
        }
        let (signed, signature) = ticket.rsplit_once('.').ok_or(WrongTicket)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| WrongTicket)?;
        hmac::verify(&self.0, signed.as_bytes(), &signature).map_err(|_| WrongTicket)?;
        let (header, payload) = signed.split_once('.').ok_or(WrongTicket)?;
        if URL_SAFE_NO_PAD.decode(header).ok().as_deref() != Some(HEADER.as_bytes()) {
            return Err(WrongTicket);
        }
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| WrongTicket)?;
        let payload: Payload = serde_json::from_slice(&payload).map_err(|_| WrongTicket)?;
        Ok(Claims {
            request: JobRequest {
                spec: JobSpec {
                    unique_id: payload.sub,
                    profile_key: payload.profile_key,
                    count: payload.count,
                    qualified_repo: payload.qualified_repo,
                    run_id: payload.run_id,
                },
                is_array: payload.is_array,
            },
            enqueued_at: Timestamp::from_micros(payload.enqueued_at_micros),
            nonce: payload.jti.parse().map_err(|_| WrongTicket)?,
        })
    }
}

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TicketKey([secret])")
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[error("{verb} the ticket key {}: {source}; set `[queue] ticket_key`, or remove the file to have a new key made (tickets of before are then refused)", path.display())]
pub struct KeyError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl KeyError {
    fn new(verb: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            verb,
            path: path.to_owned(),
            source,
        }
    }
}

fn read(path: &Path) -> Result<Option<TicketKey>, KeyError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(KeyError::new("read", path, error)),
    };
    let key = URL_SAFE_NO_PAD
        .decode(text.trim())
        .ok()
        .filter(|key| key.len() == KEY_LENGTH);
    let Some(key) = key else {
        let error = io::Error::new(
            io::ErrorKind::InvalidData,
            "it does not hold 32 bytes in base64url",
        );
        return Err(KeyError::new("read", path, error));
    };
    Ok(Some(TicketKey(hmac::Key::new(hmac::HMAC_SHA256, &key))))
}

/// Writes a new key beside its place and links it there: so nobody ever reads half a key, and of
/// two queues that start at once both use the key of the first.
fn make(folder: &Path, path: &Path) -> Result<(), KeyError> {
    let write = || -> io::Result<()> {
        let folders = |mode| {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(mode);
            builder
        };
        // Above it there may be disks of a monitor, to which virtual machines pass through.
        folders(0o711).create(folder.parent().unwrap_or(folder))?;
        folders(0o700).create(folder)?;
        let draft = folder.join(format!("{KEY_FILE}.{}.new", std::process::id()));
        let key: [u8; KEY_LENGTH] = rand::random();
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(URL_SAFE_NO_PAD.encode(key).as_bytes())?;
        file.sync_all()?;
        let linked = fs::hard_link(&draft, path);
        fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        fs::File::open(folder)?.sync_all()
    };
    write().map_err(|error| KeyError::new("write", path, error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(60);

    fn key(text: &str) -> TicketKey {
        TicketKey::from_secret(&Secret::new(text))
    }

    fn claims() -> Claims {
        Claims {
            request: JobRequest {
                spec: JobSpec {
                    unique_id: "job".parse().unwrap(),
                    profile_key: "linux".parse().unwrap(),
                    count: Count::new(2).unwrap(),
                    qualified_repo: "delan/servo".parse().unwrap(),
                    run_id: RunId(u64::MAX),
                },
                is_array: true,
            },
            enqueued_at: Timestamp::from_micros(1_700_000_000_123_456),
            nonce: u64::MAX,
        }
    }

    #[test]
    fn a_ticket_says_all_that_was_enqueued() {
        let ticket = key("k").sign(&claims(), LIFETIME);
        assert_eq!(key("k").verify(&ticket), Ok(claims()));
        assert_eq!(key("k").sign(&claims(), LIFETIME), ticket);
        assert!(
            ticket
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
            "fits a URL"
        );
    }

    #[test]
    fn a_ticket_of_another_key_is_refused() {
        let ticket = key("k").sign(&claims(), LIFETIME);
        assert_eq!(key("l").verify(&ticket), Err(WrongTicket));
    }

    #[test]
    fn a_ticket_changed_anywhere_is_refused() {
        let ticket = key("k").sign(&claims(), LIFETIME);
        for at in 0..ticket.len() {
            for change in ["A", "B", ".", "", "é"] {
                let changed = format!("{}{change}{}", &ticket[..at], &ticket[at + 1..]);
                // The last character of a base64 text may have bits that mean nothing; ours are
                // decoded strictly, so that even those count.
                if changed != ticket {
                    assert_eq!(key("k").verify(&changed), Err(WrongTicket), "{changed}");
                }
            }
        }
    }

    #[test]
    fn a_ticket_cannot_choose_how_it_is_checked() {
        let payload = key("k")
            .sign(&claims(), LIFETIME)
            .split('.')
            .nth(1)
            .unwrap()
            .to_owned();
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS512","typ":"JWT"}"#,
            r#"{"typ":"JWT","alg":"HS256"}"#,
            "",
        ] {
            let signed = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header));
            let signature = hmac::sign(&key("k").0, signed.as_bytes());
            let ticket = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
            assert_eq!(key("k").verify(&ticket), Err(WrongTicket), "{header}");
            assert_eq!(
                key("k").verify(&format!("{signed}.")),
                Err(WrongTicket),
                "{header} unsigned"
            );
        }
    }

    #[test]
    fn what_is_no_ticket_is_refused() {
        let endless = "a.".repeat(TICKET_LENGTH_MAX);
        for text in ["", ".", "..", "a.b.c", "a.b", "\0", endless.as_str()] {
            assert_eq!(key("k").verify(text), Err(WrongTicket), "{text:.20}");
        }
    }

    #[test]
    fn the_key_is_made_once_and_kept_to_ourselves() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path().join("data");
        let folder = data.join("queue");
        let ticket = TicketKey::load_or_make(&folder)
            .unwrap()
            .sign(&claims(), LIFETIME);
        assert_eq!(
            TicketKey::load_or_make(&folder).unwrap().verify(&ticket),
            Ok(claims())
        );
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&data), mode(&folder), mode(&folder.join(KEY_FILE))),
            (0o711, 0o700, 0o600)
        );
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            1,
            "no draft is left behind"
        );
    }

    #[test]
    fn a_lost_key_is_replaced_and_old_tickets_refused() {
        let folder = tempfile::tempdir().unwrap();
        let ticket = TicketKey::load_or_make(folder.path())
            .unwrap()
            .sign(&claims(), LIFETIME);
        fs::remove_file(folder.path().join(KEY_FILE)).unwrap();
        assert_eq!(
            TicketKey::load_or_make(folder.path())
                .unwrap()
                .verify(&ticket),
            Err(WrongTicket)
        );
    }

    #[test]
    fn a_key_file_that_holds_no_key_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "short", &"A".repeat(100), "\u{e9}"] {
            fs::write(folder.path().join(KEY_FILE), text).unwrap();
            let error = TicketKey::load_or_make(folder.path())
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("read the ticket key") && error.contains("remove the file"),
                "{error}"
            );
        }
    }
}
