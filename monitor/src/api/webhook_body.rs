//! Receives the bodies of webhooks, which any client can send and only GitHub can sign.
//!
//! Guarantees that clients without the secret occupy a few bodies of memory at most, and that a signed
//! webhook gets through all the same: a few bodies are received at a time, half of them of one address at
//! most, and while others wait, a body that does not arrive at once loses its place. What waits is not read from
//! its connection. The signature is verified while the body arrives; a body whose signature is wrong is
//! dropped at its end.

use std::{net::IpAddr, sync::Arc, time::Duration};

use actix_web::{HttpRequest, web::Payload};
use daemon::{
    error::{ApiError, Code},
    web::read_body,
};
use futures_util::StreamExt;
use parking_lot::Mutex;
use ring::hmac;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{webhook::Key, webhook_delivery::Signature};

/// Maximum length of a body, in bytes. GitHub's own limit is 25 MB, but the payload of a job has 20 to 60
/// kB, depending on the number of the job's steps, and half as much again as a form.
pub const LENGTH_MAX: usize = 512 * 1024;
/// How many bodies are received at a time, so that they have 8 MiB together.
const PLACES: usize = 16;
/// How many of them from one address.
const PLACES_OF_ADDRESS: usize = PLACES / 2;
/// How long a body keeps its place when others wait. GitHub sends a body in one go.
const GUARANTEED: Duration = Duration::from_millis(100);
/// How long a body may take altogether. GitHub's own timeout is as long.
const TIMEOUT: Duration = Duration::from_secs(10);
/// `Retry-After` of a webhook that lost its place, in seconds.
const RETRY_SECONDS: u64 = 2;

/// The bodies that are being received. Cheap to clone; all clones share the places.
#[derive(Clone, Debug, Default)]
pub struct Bodies(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    places: Mutex<Vec<Place>>,
    /// Notified when a place is free.
    is_free: Notify,
}

#[derive(Debug)]
struct Place {
    address: Option<IpAddr>,
    taken_at: Instant,
    /// Notified when the place is given to another body; also the identity of the place.
    is_lost: Arc<Notify>,
}

/// The right to receive one body.
#[derive(Debug)]
struct Permit {
    bodies: Bodies,
    is_lost: Arc<Notify>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut places = self.bodies.0.places.lock();
        places.retain(|place| !Arc::ptr_eq(&place.is_lost, &self.is_lost));
        drop(places);
        self.bodies.0.is_free.notify_waiters();
    }
}

impl Bodies {
    /// Receives the body of `request`, if `key` has signed it.
    ///
    /// # Errors
    /// `Ok(None)` for a wrong signature. `too_large`, `bad_request` for one that is incomplete or too slow,
    /// `not_ready` while too many are being received.
    pub async fn receive(
        &self,
        request: &HttpRequest,
        payload: Payload,
        key: &Key,
        signature: &Signature,
    ) -> Result<Option<Vec<u8>>, ApiError> {
        let deadline = Instant::now() + TIMEOUT;
        let address = request.peer_addr().map(|peer| peer.ip().to_canonical());
        let permit = timeout_at(deadline, self.place(address)).await;
        let permit = permit.map_err(|_| too_many())?;
        read_body(request);
        tokio::select! {
            received = timeout_at(deadline, read(payload, key, signature)) => {
                let too_slow = "the payload took too long to arrive";
                received.map_err(|_| ApiError::new(Code::BadRequest, too_slow))?
            }
            () = permit.is_lost.notified() => Err(too_many()),
        }
    }

    /// Waits for a place.
    async fn place(&self, address: Option<IpAddr>) -> Permit {
        loop {
            let is_free = self.0.is_free.notified();
            let next_at = match self.try_place(address, Instant::now()) {
                Ok(permit) => return permit,
                Err(next_at) => next_at,
            };
            // Whether a place is free or can be taken over, it is tried again.
            let _ = timeout_at(next_at, is_free).await;
        }
    }

    /// Takes a place that is free, or that another body has had for long enough; else says when the next
    /// one can be taken over.
    fn try_place(&self, address: Option<IpAddr>, now: Instant) -> Result<Permit, Instant> {
        let mut places = self.0.places.lock();
        let of_address = places
            .iter()
            .filter(|place| place.address == address)
            .count();
        let is_crowd = of_address >= PLACES_OF_ADDRESS;
        if is_crowd || places.len() >= PLACES {
            let candidates = places.iter().enumerate();
            let candidates = candidates.filter(|(_, place)| !is_crowd || place.address == address);
            let oldest = candidates.min_by_key(|(_, place)| place.taken_at);
            if let Some((index, oldest)) = oldest {
                let free_at = oldest.taken_at + GUARANTEED;
                if now < free_at {
                    return Err(free_at);
                }
                places.remove(index).is_lost.notify_one();
            }
        }
        let is_lost = Arc::new(Notify::new());
        places.push(Place {
            address,
            taken_at: now,
            is_lost: is_lost.clone(),
        });
        Ok(Permit {
            bodies: self.clone(),
            is_lost,
        })
    }
}

async fn read(
    mut payload: Payload,
    key: &Key,
    signature: &Signature,
) -> Result<Option<Vec<u8>>, ApiError> {
    let mut context = hmac::Context::with_key(key.hmac());
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let incomplete = |_| ApiError::new(Code::BadRequest, "the payload is incomplete");
        let chunk = chunk.map_err(incomplete)?;
        if body.len() + chunk.len() > LENGTH_MAX {
            return Err(too_large());
        }
        context.update(&chunk);
        body.extend_from_slice(&chunk);
    }
    let is_signed = signature.matches(context.sign().as_ref());
    Ok(is_signed.then_some(body))
}

/// The refusal of a body that is too long.
pub fn too_large() -> ApiError {
    let message = format!("a payload may have at most {LENGTH_MAX} bytes");
    ApiError::new(Code::TooLarge, message)
}

fn too_many() -> ApiError {
    ApiError::new(
        Code::NotReady,
        "too many webhooks are being received; try again",
    )
    .retry_after(RETRY_SECONDS)
}

#[cfg(test)]
mod tests {
    use actix_web::{FromRequest, dev, error::PayloadError, test::TestRequest, web::Bytes};
    use futures_util::stream;
    use shared::secret::Secret;

    use super::*;

    type Chunk = Result<Bytes, PayloadError>;

    fn key() -> Key {
        Key::new(&Secret::new("secret"))
    }

    fn signature(body: &[u8]) -> Signature {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), body);
        let hex: String = tag
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Signature::parse(&format!("sha256={hex}")).unwrap()
    }

    async fn receive(
        bodies: &Bodies,
        peer: &str,
        chunks: impl stream::Stream<Item = Chunk> + 'static,
        signature: &Signature,
    ) -> Result<Option<Vec<u8>>, ApiError> {
        let peer = format!("{peer}:1").parse().unwrap();
        let request = TestRequest::post().peer_addr(peer).to_http_request();
        let mut payload = dev::Payload::Stream {
            payload: chunks.boxed_local(),
        };
        let payload = Payload::from_request(&request, &mut payload).await.unwrap();
        bodies.receive(&request, payload, &key(), signature).await
    }

    fn chunks(chunks: &[&'static [u8]]) -> impl stream::Stream<Item = Chunk> + 'static {
        let chunks: Vec<Chunk> = chunks
            .iter()
            .map(|chunk| Ok(Bytes::from_static(chunk)))
            .collect();
        stream::iter(chunks)
    }

    /// A body of which nothing arrives.
    fn silent() -> impl stream::Stream<Item = Chunk> + 'static {
        stream::pending()
    }

    #[tokio::test]
    async fn the_signature_is_that_of_all_chunks_together() {
        let bodies = Bodies::default();
        let right = signature(b"Hello, World!");
        let whole = receive(
            &bodies,
            "192.0.2.1",
            chunks(&[b"Hello, ", b"World!"]),
            &right,
        )
        .await;
        assert_eq!(whole, Ok(Some(b"Hello, World!".to_vec())));
        for other in [&[&b"Hello, World"[..]][..], &[b"Hello, ", b"World!!"], &[]] {
            let refused = receive(&bodies, "192.0.2.1", chunks(other), &right).await;
            assert_eq!(refused, Ok(None));
        }
        assert!(bodies.0.places.lock().is_empty());
    }

    #[tokio::test]
    async fn a_body_without_an_announced_length_is_limited() {
        let bodies = Bodies::default();
        let endless = stream::repeat_with(|| Ok(Bytes::from_static(&[b' '; 1000])));
        let refused = receive(&bodies, "192.0.2.1", endless, &signature(b"")).await;
        assert_eq!(refused, Err(too_large()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_exceeds_the_timeout_is_refused() {
        let bodies = Bodies::default();
        let refused = receive(&bodies, "192.0.2.1", silent(), &signature(b"")).await;
        let too_slow = ApiError::new(Code::BadRequest, "the payload took too long to arrive");
        assert_eq!(refused, Err(too_slow));
        assert!(bodies.0.places.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_signed_body_gets_through_a_crowd_of_silent_ones() {
        let bodies = Bodies::default();
        let local = tokio::task::LocalSet::new();
        for number in 0..200 {
            let bodies = bodies.clone();
            local.spawn_local(async move {
                // From the same address, and from others.
                let peer = format!("192.0.2.{}", if number < 100 { 1 } else { number });
                receive(&bodies, &peer, silent(), &signature(b"")).await
            });
        }
        local
            .run_until(async {
                tokio::task::yield_now().await;
                for peer in ["192.0.2.1", "192.0.2.250"] {
                    let right = signature(b"{}");
                    let received = receive(&bodies, peer, chunks(&[b"{}"]), &right).await;
                    assert_eq!(received, Ok(Some(b"{}".to_vec())), "{peer}");
                    assert!(bodies.0.places.lock().len() <= PLACES);
                }
            })
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_has_half_of_the_places_at_most() {
        let bodies = Bodies::default();
        let (crowd, other) = (
            Some("192.0.2.1".parse().unwrap()),
            Some("192.0.2.2".parse().unwrap()),
        );
        let now = Instant::now();
        let permits: Vec<_> = (0..PLACES_OF_ADDRESS)
            .map(|_| bodies.try_place(crowd, now).unwrap())
            .collect();
        assert_eq!(bodies.try_place(crowd, now).unwrap_err(), now + GUARANTEED);
        let free = bodies.try_place(other, now).unwrap();
        let _taken_over = bodies.try_place(crowd, now + GUARANTEED).unwrap();
        assert_eq!(bodies.0.places.lock().len(), PLACES_OF_ADDRESS + 1);
        drop(permits);
        drop(free);
        assert_eq!(bodies.0.places.lock().len(), 1);
    }
}
