//! Proofs of grants: by which a queue recognises the reservations that it, or another queue with its key,
//! made at a monitor.
//!
//! A take carries a proof, the monitor stores it with the reservation, and reports it to readers with a
//! token. A monitor that reports a reservation without a valid proof cannot make jobs count as assigned
//! or finished. A proof is an HMAC of the server's URL, the job's `unique_id` and time of enqueueing, and the
//! number of runners.

use std::fmt;

use ring::hmac;
use shared::{clock::Timestamp, values::UniqueId, wire::ReservationReport};

use queue_core::ServerId;

/// Length of a proof, in hexadecimal digits.
const PROOF_LENGTH: usize = 64;
/// How many proofs of one report are compared with the URLs of other servers, in case a monitor is listed
/// under two URLs. Bounds the work for one report.
const OTHER_SERVERS_TRIES_MAX: usize = 2000;

/// Makes and verifies proofs.
pub struct GrantProofs {
    key: hmac::Key,
    /// The URL of each server, by `ServerId`.
    servers: Vec<String>,
}

impl GrantProofs {
    /// With a key that is used for nothing else.
    pub fn new(key: hmac::Key, servers: Vec<String>) -> Self {
        Self { key, servers }
    }

    /// The proof for a take of `count` runners at `server`, in hexadecimal.
    pub fn proof(
        &self,
        server: ServerId,
        unique_id: &UniqueId,
        enqueued_at: Timestamp,
        count: usize,
    ) -> String {
        let message = self.message(server, unique_id, enqueued_at, count);
        let proof = hmac::sign(&self.key, message.as_bytes());
        proof
            .as_ref()
            .iter()
            .map(|it| format!("{it:02x}"))
            .collect()
    }

    /// Verifies the proofs of the reservations in one report of `server`: returns the server that a proof is
    /// for, if it is valid.
    pub fn verifier(
        &self,
        server: ServerId,
    ) -> impl FnMut(&UniqueId, &ReservationReport) -> Option<ServerId> {
        let mut tries = 0;
        move |unique_id, reservation| {
            let proof = bytes_of(reservation.proof.as_deref()?)?;
            let enqueued_at = reservation.enqueued_at?;
            let count = reservation.runners.len();
            let is_for = |server: ServerId| {
                let message = self.message(server, unique_id, enqueued_at, count);
                hmac::verify(&self.key, message.as_bytes(), &proof).is_ok()
            };
            if is_for(server) {
                return Some(server);
            }
            let mut others = (0..self.servers.len()).filter(|other| *other != server);
            others.find(|other| {
                tries += 1;
                tries <= OTHER_SERVERS_TRIES_MAX && is_for(*other)
            })
        }
    }

    /// No part of it can contain a line break, so no two are equal that differ in a part.
    fn message(
        &self,
        server: ServerId,
        unique_id: &UniqueId,
        enqueued_at: Timestamp,
        count: usize,
    ) -> String {
        let url = &self.servers[server];
        format!("{url}\n{unique_id}\n{}\n{count}", enqueued_at.as_micros())
    }
}

impl fmt::Debug for GrantProofs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("GrantProofs([secret])")
    }
}

fn bytes_of(proof: &str) -> Option<Vec<u8>> {
    let digits = proof.as_bytes();
    let is_valid = digits.len() == PROOF_LENGTH && digits.iter().all(u8::is_ascii_hexdigit);
    let pairs = digits.chunks_exact(2).filter(|_| is_valid);
    let bytes = pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
    bytes
        .collect::<Option<Vec<u8>>>()
        .filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use shared::{secret::Secret, wire::ReservationState};

    use super::*;
    use crate::ticket::TicketKey;

    fn proofs(key: &str) -> GrantProofs {
        let key = TicketKey::from_secret(&Secret::new(key));
        let servers = ["http://a/", "http://b/"].map(str::to_owned);
        GrantProofs::new(key.grant_key(), servers.to_vec())
    }

    fn reservation(proof: &str, micros: u64, runners: &[u64]) -> ReservationReport {
        ReservationReport {
            runners: runners.to_vec(),
            state: ReservationState::Held,
            attempt: 1,
            enqueued_at: Some(Timestamp::from_micros(micros)),
            proof: Some(proof.to_owned()),
        }
    }

    #[test]
    fn a_proof_is_valid_for_its_job_server_time_and_count_only() {
        let proofs = proofs("key");
        let job: UniqueId = "job".parse().unwrap();
        let proof = proofs.proof(0, &job, Timestamp::from_micros(5), 2);
        assert_eq!(proof.len(), PROOF_LENGTH);
        let server_of = |job: &str, reservation: &ReservationReport| {
            proofs.verifier(0)(&job.parse().unwrap(), reservation)
        };
        assert_eq!(server_of("job", &reservation(&proof, 5, &[1, 2])), Some(0));
        for (job, reservation) in [
            ("other", reservation(&proof, 5, &[1, 2])),
            ("job", reservation(&proof, 6, &[1, 2])),
            ("job", reservation(&proof, 5, &[1])),
            ("job", reservation(&proof[2..], 5, &[1, 2])),
            ("job", reservation("", 5, &[1, 2])),
            ("job", reservation(&"0".repeat(64), 5, &[1, 2])),
            ("job", reservation(&"\u{fc}".repeat(32), 5, &[1, 2])),
        ] {
            assert_eq!(server_of(job, &reservation), None, "{job} {reservation:?}");
        }
        let mut without_time = reservation(&proof, 5, &[1, 2]);
        without_time.enqueued_at = None;
        assert_eq!(server_of("job", &without_time), None);
    }

    #[test]
    fn a_proof_for_another_server_names_that_one() {
        let proofs = proofs("key");
        let job: UniqueId = "job".parse().unwrap();
        let proof = proofs.proof(0, &job, Timestamp::from_micros(5), 1);
        let server = proofs.verifier(1)(&job, &reservation(&proof, 5, &[1]));
        assert_eq!(server, Some(0));
    }

    #[test]
    fn a_proof_of_another_key_is_not_valid() {
        let job: UniqueId = "job".parse().unwrap();
        let proof = proofs("other").proof(0, &job, Timestamp::from_micros(5), 1);
        let server = proofs("key").verifier(0)(&job, &reservation(&proof, 5, &[1]));
        assert_eq!(server, None);
        assert_eq!(format!("{:?}", proofs("key")), "GrantProofs([secret])");
    }
}
