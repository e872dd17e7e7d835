// A queue of 5,000 jobs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { assertNotReloaded, launch, live, open, rowOf } from "../lib/browser.js";
import { Fleet } from "../lib/fleet.js";
import { until } from "../lib/until.js";

const JOBS = 5000;
const AT_ONCE = 50;
// What the page may grow to: the elements of the document, and the bytes that are sent.
const ELEMENTS_MAX = 4000;
const BYTES_MAX = 250_000;

let browser, fleet;
before(async () => {
  [browser, fleet] = await Promise.all([launch(), Fleet.start({ servers: { a: { linux: 1 } } })]);
  await fleet.api("POST", `${fleet.queueUrl}profile/linux/pause`);
  let next = 0;
  const enqueue = async () => {
    while (next < JOBS) {
      const run = next++;
      await fleet.enqueue(`job-${run}`, { run, repo: `acme/repo-${run % 40}` });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, enqueue));
});
after(async () => {
  await browser?.close();
  await fleet?.stop();
});

test("the page of 5,000 jobs stays small, finds each of them and follows changes", async () => {
  const page = await open(browser, fleet.queueUrl);
  await live(page);
  await until("all jobs are counted", async () => (await page.locator(".summary").innerText()).includes("5000"));
  const elements = await page.evaluate(() => document.getElementsByTagName("*").length);
  assert.ok(elements < ELEMENTS_MAX, `${elements} elements`);
  const bytes = (await (await fetch(fleet.queueUrl)).arrayBuffer()).byteLength;
  assert.ok(bytes < BYTES_MAX, `${bytes} bytes`);
  // The first jobs leave: the next ones move up.
  const first = page.locator("#waiting-linux tbody tr").first();
  const leaving = await first.getAttribute("data-job");
  const { profiles } = await fleet.dashboard();
  const ids = new Map();
  for (let run = 0; run < AT_ONCE * 2; run++) {
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`job-${run}`));
    ids.set(Buffer.from(digest).toString("hex").slice(0, 16), run);
  }
  assert.equal(profiles[0].waiting_count, JOBS);
  await fleet.api("DELETE", `${fleet.queueUrl}job/job-${ids.get(leaving)}`);
  await until("the first job has left", async () => (await first.getAttribute("data-job")) !== leaving);
  await until("they are counted", async () => (await page.locator(".summary").innerText()).includes("4999"));
  await assertNotReloaded(page);
  // The last one is found by the filter.
  await page.goto(`${fleet.queueUrl}?q=4987`);
  await rowOf(page, "found", 4987).waitFor();
  await page.finish();
});
