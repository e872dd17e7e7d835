//! Answers that wait until there is something to say.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::{Emulator, model::Refusal};

/// Shortest time between two signs of life.
const BREATH_MIN: Duration = Duration::from_millis(1);

/// Asks again after every change until there is an answer, or until the time is over.
///
/// Each asking is a sign of life of the runner, so it also asks from time to time when nothing
/// changes. When the runner hangs up, actix drops this future, and its signs of life end.
pub(super) async fn held<T>(
    emulator: &Emulator,
    hold: Duration,
    mut ask: impl FnMut() -> Result<Option<T>, Refusal>,
) -> Result<Option<T>, Refusal> {
    let mut changes = emulator.changes();
    let silence = emulator.model(|model, _| model.settings().silence_timeout);
    let breath = (silence / 3).max(BREATH_MIN);
    let deadline = Instant::now() + hold;
    loop {
        changes.borrow_and_update();
        if let Some(answer) = ask()? {
            return Ok(Some(answer));
        }
        let wake_at = deadline.min(Instant::now() + breath);
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
    async fn a_wait_is_full_of_signs_of_life_and_ends_in_time() {
        let start = Instant::now();
        let mut asked_at = Vec::new();
        let ask = || {
            asked_at.push(start.elapsed());
            Ok(None::<()>)
        };
        let hold = Duration::from_secs(20);
        assert_eq!(held(&emulator(), hold, ask).await, Ok(None));
        assert!(start.elapsed() >= hold && start.elapsed() < hold + Duration::from_millis(10));
        // A runner is offline after 5 s of silence.
        let gaps = asked_at.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.clone().count() >= 10);
        assert!(gaps.max().unwrap() < Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_answered_at_once_and_a_refusal_too() {
        for answer in [Ok(Some(7)), Err(Refusal::NotFound)] {
            let start = Instant::now();
            let emulator = emulator();
            let change = async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                emulator.model(|model, now| model.block_assignment(now, true));
            };
            let before = emulator.model(|model, _| model.change_count());
            let ask = || match emulator.model(|model, _| model.change_count()) {
                count if count == before => Ok(None),
                _ => answer.clone(),
            };
            let (result, ()) = tokio::join!(held(&emulator, Duration::from_secs(20), ask), change);
            assert_eq!(result, answer);
            assert_eq!(start.elapsed().as_millis(), 1_000);
        }
    }
}
