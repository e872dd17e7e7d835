//! Long polling: responses that are held until there is a result.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::{Emulator, model::ModelError};

/// The shortest time between two calls that keep a runner online.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// Calls `poll` after every change of the emulator until there is a result, or until `hold` has
/// passed.
///
/// Each call counts as a sign of life of the runner. So `poll` is also called when nothing changes,
/// often enough to keep the runner online. When the runner disconnects, actix drops this future.
pub(super) async fn long_poll<T>(
    emulator: &Emulator,
    hold: Duration,
    mut poll: impl FnMut() -> Result<Option<T>, ModelError>,
) -> Result<Option<T>, ModelError> {
    let mut changes = emulator.changes();
    let silence_timeout = emulator.model(|model, _| model.settings().silence_timeout);
    let interval = (silence_timeout / 3).max(INTERVAL_MIN);
    let deadline = Instant::now() + hold;
    loop {
        changes.borrow_and_update();
        if let Some(result) = poll()? {
            return Ok(Some(result));
        }
        let wake_at = deadline.min(Instant::now() + interval);
        tokio::select! {
            _ = changes.changed() => {}
            () = sleep_until(wake_at) => {
                if wake_at == deadline {
                    return Ok(None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::secret::Secret;

    use super::*;
    use crate::EmulatorSettings;

    fn emulator() -> Emulator {
        Emulator::new(EmulatorSettings::new(Secret::new("token")))
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_poll_keeps_the_runner_online_and_ends_in_time() {
        let start = Instant::now();
        let mut polled_at = Vec::new();
        let poll = || {
            polled_at.push(start.elapsed());
            Ok(None::<()>)
        };
        let hold = Duration::from_secs(20);
        assert_eq!(long_poll(&emulator(), hold, poll).await, Ok(None));
        assert!(start.elapsed() >= hold && start.elapsed() < hold + Duration::from_millis(10));
        // A runner is offline after a silence of 5 s.
        let gaps = polled_at.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.clone().count() >= 10);
        assert!(gaps.max().unwrap() < Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_or_an_error_ends_the_hold_at_once() {
        for result in [Ok(Some(7)), Err(ModelError::NotFound)] {
            let start = Instant::now();
            let emulator = emulator();
            let change = async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                emulator.model(|model, now| model.block_assignment(now, true));
            };
            let before = emulator.model(|model, _| model.change_count());
            let poll = || match emulator.model(|model, _| model.change_count()) {
                count if count == before => Ok(None),
                _ => result.clone(),
            };
            let (polled, ()) =
                tokio::join!(long_poll(&emulator, Duration::from_secs(20), poll), change);
            assert_eq!(polled, result);
            assert_eq!(start.elapsed().as_millis(), 1_000);
        }
    }
}
