//! Tickets: the content of a job, signed, so that any queue with the same key can restore the job.
//!
//! Responsible for the form of a ticket, a JSON Web Token (RFC 7519) with HMAC SHA-256, and for the
//! key that signs it. Not responsible for whether a ticket has expired: the core has the clock.

mod verified;

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use daemon::private_file::{ExposedKey, check};
use jwt::{Algorithm, DecodingKey, EncodingKey, Header, Validation, signature_only};
use ring::hmac;
use serde::{Deserialize, Serialize};
use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    secret::Secret,
    values::{Count, LaneName, ProfileKey, QualifiedRepo, RunId, UniqueId},
    wait_limits::WaitLimits,
};

use queue_core::{JobRequest, TicketContent};

use verified::VerifiedTickets;

/// The longest ticket that is verified, in bytes. Tickets of this queue are below 600.
const TICKET_LENGTH_MAX: usize = 2048;
/// How many random bytes a generated key has.
const KEY_LENGTH: usize = 32;
/// The longest key file that is read, in bytes. One has 43.
const KEY_FILE_LENGTH_MAX: u64 = 1024;
/// The key's file, in the folder with the queue's data.
const KEY_FILE: &str = "ticket-key";

/// The claims of a ticket, in the sense of RFC 7519.
#[derive(Serialize, Deserialize)]
struct Payload {
    sub: UniqueId,
    profile_key: ProfileKey,
    count: Count,
    is_array: bool,
    /// Absent in tickets of earlier versions, and if false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    labels_from_response: bool,
    /// Absent in tickets of earlier versions, and without limits.
    #[serde(flatten)]
    limits: WaitLimits,
    qualified_repo: QualifiedRepo,
    run_id: RunId,
    enqueued_at_micros: u64,
    /// Absent in tickets of earlier versions, and if it is the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queued_at_micros: Option<u64>,
    /// Absent in tickets of earlier versions, and without a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lane: Option<LaneName>,
    /// In seconds, for people who decode a ticket.
    exp: u64,
    /// Text, because many JSON parsers round numbers of this size.
    jti: String,
}

/// A ticket that this queue's key has not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("verify a ticket")]
pub struct WrongTicket;

/// A key for another purpose.
fn derived(secret: &[u8], purpose: &[u8]) -> hmac::Key {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let derived = hmac::sign(&key, purpose);
    hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
}

/// The key that signs tickets. Anyone who has it can issue tickets.
pub struct TicketKey {
    signing: EncodingKey,
    verifying: DecodingKey,
    header: Header,
    validation: Validation,
    verified: VerifiedTickets,
    grants: hmac::Key,
}

impl TicketKey {
    /// The key from the settings.
    pub fn from_secret(secret: &Secret) -> Self {
        Self::from_bytes(secret.expose().as_bytes())
    }

    fn from_bytes(secret: &[u8]) -> Self {
        let any_length = "HMAC takes a secret of any length";
        Self {
            signing: EncodingKey::from_secret(secret).expect(any_length),
            verifying: DecodingKey::from_secret(secret).expect(any_length),
            header: Header::new(Algorithm::HS256),
            validation: signature_only(Algorithm::HS256),
            verified: VerifiedTickets::default(),
            grants: derived(secret, b"ci-runners proofs of grants"),
        }
    }

    /// The key for proofs of grants, which is derived from this one: queues that accept each other's tickets
    /// recognise each other's reservations.
    pub fn grant_key(&self) -> hmac::Key {
        self.grants.clone()
    }

    /// The key in `folder`, created at the first start. If its file is lost, a new key is created,
    /// and all earlier tickets are refused.
    ///
    /// # Errors
    /// When the file can be neither read nor created, or does not contain a key.
    pub fn load_or_create(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join(KEY_FILE);
        match read(&path)? {
            Some(key) => Ok(key),
            None => {
                create(folder, &path)?;
                // Read back, because another queue may have created it first.
                read(&path)?
                    .ok_or_else(|| KeyError::new("read", &path, io::ErrorKind::NotFound.into()))
            }
        }
    }

    /// The ticket with this content. The same content gives the same ticket.
    pub fn sign(&self, content: &TicketContent, lifetime: Duration) -> String {
        let spec = &content.request.spec;
        let payload = Payload {
            sub: spec.unique_id.clone(),
            profile_key: spec.profile_key.clone(),
            count: spec.count,
            is_array: content.request.is_array,
            labels_from_response: content.request.labels_from_response,
            limits: content.request.limits,
            qualified_repo: spec.qualified_repo.clone(),
            run_id: spec.run_id,
            enqueued_at_micros: content.enqueued_at.as_micros(),
            queued_at_micros: (content.queued_at != content.enqueued_at)
                .then(|| content.queued_at.as_micros()),
            lane: content.lane.clone(),
            exp: (content.enqueued_at + lifetime).as_seconds(),
            jti: content.nonce.to_string(),
        };
        jwt::encode(&self.header, &payload, &self.signing)
            .expect("the key is one of HS256, and a payload has only text keys and plain values")
    }

    /// The content of a ticket, if this key signed it.
    ///
    /// # Errors
    /// [`WrongTicket`] in all other cases, without a reason, which could help to forge one.
    pub fn verify(&self, ticket: &str) -> Result<TicketContent, WrongTicket> {
        if ticket.len() > TICKET_LENGTH_MAX {
            return Err(WrongTicket);
        }
        self.verified
            .get_or_verify(ticket, || self.verify_signature(ticket))
    }

    fn verify_signature(&self, ticket: &str) -> Result<TicketContent, WrongTicket> {
        let payload: Payload =
            jwt::decode(ticket, &self.verifying, &self.validation).map_err(|_| WrongTicket)?;
        Ok(TicketContent {
            request: JobRequest {
                spec: JobSpec {
                    unique_id: payload.sub,
                    profile_key: payload.profile_key,
                    count: payload.count,
                    qualified_repo: payload.qualified_repo,
                    run_id: payload.run_id,
                },
                is_array: payload.is_array,
                labels_from_response: payload.labels_from_response,
                limits: payload.limits,
            },
            enqueued_at: Timestamp::from_micros(payload.enqueued_at_micros),
            queued_at: Timestamp::from_micros(
                payload
                    .queued_at_micros
                    .unwrap_or(payload.enqueued_at_micros),
            ),
            lane: payload.lane,
            nonce: payload.jti.parse().map_err(|_| WrongTicket)?,
        })
    }
}

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TicketKey([secret])")
    }
}

/// Why the key can be neither read nor created.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be used.
    #[error("{verb} the ticket key {}: {source}; set `[queue] ticket_key`, or remove the file to have a new key created (earlier tickets are then refused)", path.display())]
    File {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Other users can read or change the file.
    #[error("{0}")]
    Exposed(#[from] ExposedKey),
}

impl KeyError {
    fn new(verb: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            verb,
            path: path.to_owned(),
            source,
        }
    }
}

fn read(path: &Path) -> Result<Option<TicketKey>, KeyError> {
    let read_error = |error| KeyError::new("read", path, error);
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(read_error(error)),
    };
    // Before anything is read: who knows the key can issue tickets.
    check(path, &file.metadata().map_err(read_error)?)?;
    let mut text = String::new();
    let limit = KEY_FILE_LENGTH_MAX;
    let read = file.take(limit).read_to_string(&mut text);
    read.map_err(read_error)?;
    let key = URL_SAFE_NO_PAD
        .decode(text.trim())
        .ok()
        .filter(|key| key.len() == KEY_LENGTH);
    let Some(key) = key else {
        let error = io::Error::new(
            io::ErrorKind::InvalidData,
            "it does not contain 32 bytes in base64url",
        );
        return Err(KeyError::new("read", path, error));
    };
    Ok(Some(TicketKey::from_bytes(&key)))
}

/// Writes a new key to a temporary file and links it to its name, so that no queue ever reads half
/// a key, and two queues that start at once both use the key of the first.
fn create(folder: &Path, path: &Path) -> Result<(), KeyError> {
    let write = || -> io::Result<()> {
        let folders = |mode| {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(mode);
            builder
        };
        // The folder above may contain a monitor's disks, which virtual machines must reach.
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

    use ring::hmac;

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(60);

    fn key(text: &str) -> TicketKey {
        TicketKey::from_secret(&Secret::new(text))
    }

    fn content() -> TicketContent {
        TicketContent {
            request: JobRequest {
                spec: JobSpec {
                    unique_id: "job".parse().unwrap(),
                    profile_key: "linux".parse().unwrap(),
                    count: Count::new(2).unwrap(),
                    qualified_repo: "delan/servo".parse().unwrap(),
                    run_id: RunId(u64::MAX),
                },
                is_array: true,
                labels_from_response: false,
                limits: WaitLimits::default(),
            },
            enqueued_at: Timestamp::from_micros(1_700_000_000_123_456),
            queued_at: Timestamp::from_micros(1_700_000_300_123_456),
            lane: Some("release".parse().unwrap()),
            nonce: u64::MAX,
        }
    }

    #[test]
    fn a_ticket_contains_all_that_was_enqueued() {
        let ticket = key("k").sign(&content(), LIFETIME);
        assert_eq!(key("k").verify(&ticket), Ok(content()));
        assert_eq!(key("k").sign(&content(), LIFETIME), ticket);
        assert!(
            ticket
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
            "fits a URL"
        );
    }

    #[test]
    fn a_ticket_states_how_its_client_finds_runners_and_up_to_when_it_waits() {
        let mut content = content();
        content.request.labels_from_response = true;
        content.request.limits = WaitLimits {
            max_wait: "900".parse().ok(),
            hosted_duration: "604800".parse().ok(),
            slowdown: "4.5".parse().ok(),
        };
        let ticket = key("k").sign(&content, LIFETIME);
        assert_eq!(key("k").verify(&ticket), Ok(content));
    }

    #[test]
    fn a_ticket_of_another_key_is_refused() {
        let ticket = key("k").sign(&content(), LIFETIME);
        assert_eq!(key("l").verify(&ticket), Err(WrongTicket));
    }

    #[test]
    fn a_ticket_changed_anywhere_is_refused() {
        let ticket = key("k").sign(&content(), LIFETIME);
        for at in 0..ticket.len() {
            for change in ["A", "B", ".", "", "é"] {
                let changed = format!("{}{change}{}", &ticket[..at], &ticket[at + 1..]);
                // Even the unused bits of the last character of a base64 text count: it is decoded
                // strictly.
                if changed != ticket {
                    assert_eq!(key("k").verify(&changed), Err(WrongTicket), "{changed}");
                }
            }
        }
    }

    fn sign_by_hand(header: &str, payload: &str) -> String {
        let signed = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"k"), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn a_ticket_cannot_choose_how_it_is_checked() {
        let ticket = key("k").sign(&content(), LIFETIME);
        let payload = ticket.split('.').nth(1).unwrap();
        assert_eq!(
            key("k").verify(&sign_by_hand(r#"{"alg":"HS256"}"#, payload)),
            Ok(content()),
            "the payload is valid"
        );
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS512","typ":"JWT"}"#,
            r#"{"typ":"JWT"}"#,
            "",
        ] {
            let signed = sign_by_hand(header, payload);
            assert_eq!(key("k").verify(&signed), Err(WrongTicket), "{header}");
            let (unsigned, _) = signed.rsplit_once('.').unwrap();
            assert_eq!(
                key("k").verify(&format!("{unsigned}.")),
                Err(WrongTicket),
                "{header} unsigned"
            );
        }
    }

    #[test]
    fn tickets_of_earlier_versions_are_valid() {
        let ticket = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJqb2IiLCJwcm9maWxlX2tleSI6ImxpbnV4IiwiY291bnQiOjI\
            sImlzX2FycmF5Ijp0cnVlLCJxdWFsaWZpZWRfcmVwbyI6ImRlbGFuL3NlcnZvIiwicnVuX2lkIjoxODQ0Njc0NDA3MzcwOTU\
            1MTYxNSwiZW5xdWV1ZWRfYXRfbWljcm9zIjoxNzAwMDAwMDAwMTIzNDU2LCJleHAiOjE3MDAwMDAwNjAsImp0aSI6IjE4NDQ\
            2NzQ0MDczNzA5NTUxNjE1In0.gGu3AEhTBZS5rhOCLLdIQZWKLIzIPg0uj4pofmHQ5iw";
        let expected = TicketContent {
            queued_at: content().enqueued_at,
            lane: None,
            ..content()
        };
        assert_eq!(key("k").verify(ticket), Ok(expected));
    }

    #[test]
    fn a_text_that_is_no_ticket_is_refused() {
        let endless = "a.".repeat(TICKET_LENGTH_MAX);
        for text in ["", ".", "..", "a.b.c", "a.b", "\0", endless.as_str()] {
            assert_eq!(key("k").verify(text), Err(WrongTicket), "{text:.20}");
        }
    }

    #[test]
    fn the_key_is_created_once_and_readable_by_its_owner_only() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path().join("data");
        let folder = data.join("queue");
        let ticket = TicketKey::load_or_create(&folder)
            .unwrap()
            .sign(&content(), LIFETIME);
        assert_eq!(
            TicketKey::load_or_create(&folder).unwrap().verify(&ticket),
            Ok(content())
        );
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&data), mode(&folder), mode(&folder.join(KEY_FILE))),
            (0o711, 0o700, 0o600)
        );
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            1,
            "the temporary file is removed"
        );
    }

    #[test]
    fn a_lost_key_is_replaced_and_old_tickets_refused() {
        let folder = tempfile::tempdir().unwrap();
        let ticket = TicketKey::load_or_create(folder.path())
            .unwrap()
            .sign(&content(), LIFETIME);
        fs::remove_file(folder.path().join(KEY_FILE)).unwrap();
        assert_eq!(
            TicketKey::load_or_create(folder.path())
                .unwrap()
                .verify(&ticket),
            Err(WrongTicket)
        );
    }

    fn set_mode(file: &Path, mode: u32) {
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_that_others_can_read_or_change_prevents_the_start() {
        let folder = tempfile::tempdir().unwrap();
        TicketKey::load_or_create(folder.path()).unwrap();
        let file = folder.path().join(KEY_FILE);
        for (mode, is_used) in [
            (0o644, false),
            (0o640, false),
            (0o620, false),
            (0o602, false),
            (0o600, true),
            (0o400, true),
        ] {
            set_mode(&file, mode);
            match TicketKey::load_or_create(folder.path()) {
                Ok(_) => assert!(is_used, "{mode:o}"),
                Err(error) => {
                    let remedy = format!("chmod 600 {}", file.display());
                    assert!(!is_used && error.to_string().contains(&remedy), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_key_file_without_a_key_prevents_the_start() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "short", &"A".repeat(100), "\u{e9}"] {
            let file = folder.path().join(KEY_FILE);
            fs::write(&file, text).unwrap();
            set_mode(&file, 0o600);
            let error = TicketKey::load_or_create(folder.path())
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("read the ticket key") && error.contains("remove the file"),
                "{error}"
            );
        }
    }
}
