// A page that is open for an hour, whose clock runs faster so that it takes minutes, does not grow.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { assertNotReloaded, launch, live, open } from "./lib/browser.js";
import { Fleet } from "./lib/fleet.js";
import { until } from "./lib/until.js";

// How many times as fast the clock of the page is.
const SPEED = 20;
// By the clock of the page, in seconds: when it is measured first, and last.
const FIRST = 600;
const LAST = 3600;
// What may differ between the two: the list of finished jobs and the chart of waits change a little.
const HEAP_GROWTH_MAX = 1_000_000;
const COUNT_GROWTH_MAX = 1.1;
// How many jobs come and go at a time.
const BURST = 20;

// Timers and the clock of a page, `SPEED` times as fast.
function accelerate(speed) {
  const now = performance.now.bind(performance);
  performance.now = () => now() * speed;
  for (const name of ["setTimeout", "setInterval"]) {
    const original = window[name].bind(window);
    window[name] = (callback, delay, ...rest) => original(callback, delay / speed, ...rest);
  }
}

let browser, fleet;
before(async () => {
  [browser, fleet] = await Promise.all([launch(), Fleet.start({ servers: { a: { linux: 1 } } })]);
  await fleet.api("POST", `${fleet.queueUrl}profile/linux/pause`);
});
after(async () => {
  await browser?.close();
  await fleet?.stop();
});

// What the page occupies after its garbage was collected.
async function measure(page, devtools) {
  await devtools.send("HeapProfiler.collectGarbage");
  const { metrics } = await devtools.send("Performance.getMetrics");
  const found = Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
  const elements = await page.evaluate(() => document.getElementsByTagName("*").length);
  return { heap: found.JSHeapUsedSize, nodes: found.Nodes, listeners: found.JSEventListeners, documents: found.Documents, elements };
}

test("a page that is open for an hour of traffic does not grow", async () => {
  const page = await open(browser, fleet.queueUrl, { init: `(${accelerate})(${SPEED})` });
  await live(page);
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Performance.enable");
  const pageTime = () => page.evaluate(() => performance.now() / 1000);
  let updates = 0;
  await page.exposeFunction("countUpdate", () => updates++);
  await page.evaluate(() => document.addEventListener("page-updated", () => window.countUpdate()));
  let run = 0;
  // Jobs come and go; in the end none is left, and the page shows that.
  const traffic = async (seconds) => {
    while ((await pageTime()) < seconds) {
      const jobs = [];
      for (let index = 0; index < BURST; index++) jobs.push(await fleet.enqueue(`job-${++run}`, { run }));
      await until("the page shows the jobs", async () => (await page.locator("#waiting-linux").count()) === 1);
      for (const job of jobs) await job.withdraw();
      await until("the page shows that they are gone", async () => (await page.locator("#waiting-linux").count()) === 0);
    }
    return measure(page, devtools);
  };
  const first = await traffic(FIRST);
  const updatesBefore = updates;
  const last = await traffic(LAST);
  console.log(`${run} jobs, ${updates} updates; first ${JSON.stringify(first)}, last ${JSON.stringify(last)}`);
  assert.ok(updates - updatesBefore > 100, `${updates} updates`);
  assert.ok(last.heap - first.heap < HEAP_GROWTH_MAX, `the heap grew from ${first.heap} to ${last.heap} bytes`);
  for (const name of ["nodes", "listeners", "documents", "elements"]) {
    assert.ok(last[name] <= first[name] * COUNT_GROWTH_MAX + 2, `${name}: from ${first[name]} to ${last[name]}`);
  }
  await assertNotReloaded(page);
  await page.finish();
});
