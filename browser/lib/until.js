// Waits for conditions, never for durations.

import { setTimeout as pause } from "node:timers/promises";

const POLL_PAUSE = 50;

// Resolves with the first value that is neither false, null nor undefined; fails after `seconds`, with the last
// error. An error of the condition means that it is not met yet.
export async function until(what, condition, seconds = 30) {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    let error = null;
    try {
      const value = await condition();
      if (value) return value;
    } catch (caught) {
      error = caught;
    }
    if (performance.now() > deadline) {
      throw new Error(`not within ${seconds} s: ${what}`, { cause: error });
    }
    await pause(POLL_PAUSE);
  }
}
