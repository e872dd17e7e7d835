// Pages of daemons that have been killed, are frozen, or come back.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { assertNotReloaded, launch, live, open, rowOf } from "../lib/browser.js";
import { Fleet } from "../lib/fleet.js";
import { until } from "../lib/until.js";

let browser, fleet;
before(async () => {
  [browser, fleet] = await Promise.all([launch(), Fleet.start({ servers: { a: { linux: 1 }, b: { linux: 1 } } })]);
});
after(async () => {
  await browser?.close();
  await fleet?.stop();
});

const connection = (page) => page.locator("#connection").innerText();

// The page says for how long there is no connection, counts that, and keeps its last state, dimmed.
async function expectLost(page, kept) {
  const said = await until("the page says that the connection is lost", async () => {
    const text = await connection(page);
    return text.startsWith("no connection for") && text;
  });
  assert.match(said, /^no connection for \d+ s; this is the state of \d\d:\d\d:\d\d$/);
  await until("the time without connection is counted", async () => (await connection(page)) !== said);
  assert.ok((await page.locator("main").innerText()).includes(kept), "the last state is kept");
  const opacity = await page.evaluate(() => Number(getComputedStyle(document.querySelector("main")).opacity));
  assert.ok(opacity < 0.8, `the last state is dimmed: ${opacity}`);
  assert.match(await page.locator("#news").innerText(), /^no connection/);
}

async function expectLive(page) {
  await page.waitForFunction(() => document.body.classList.contains("live"));
  assert.match(await connection(page), /^live/);
  const opacity = await page.evaluate(() => getComputedStyle(document.querySelector("main")).opacity);
  assert.equal(opacity, "1");
  await assertNotReloaded(page);
}

test("the page of a queue that is killed says so, keeps its state and recovers", async () => {
  await fleet.enqueue("before", { run: 101, count: 2, profile: "linux" });
  const page = await open(browser, fleet.queueUrl);
  await live(page);
  await rowOf(page, "finished", 101).or(page.locator("body", { hasText: "run 101" })).first().waitFor();
  await fleet.queue.kill();
  await expectLost(page, "run 101");
  fleet.queue.start();
  await expectLive(page);
  const job = await until("a job is accepted", () => fleet.enqueue("after", { run: 102 }));
  await until("the page shows it", async () => (await page.locator("main").innerText()).includes("run 102"));
  await assertNotReloaded(page);
  await job.withdraw();
  await page.finish();
});

test("the page of a queue that is frozen says so, keeps its state and recovers", async () => {
  const page = await open(browser, fleet.queueUrl);
  await live(page);
  fleet.queue.freeze();
  await expectLost(page, "linux");
  fleet.queue.resume();
  await expectLive(page);
  await page.finish();
});

test("the page of a monitor that is killed says so and recovers, and the queue shows the problem", async () => {
  const [page, queue] = [await open(browser, fleet.monitorUrls.b), await open(browser, fleet.queueUrl)];
  await live(page);
  await live(queue);
  await fleet.monitors.b.kill();
  await expectLost(page, "linux");
  await until("the queue lists it first", async () => {
    const first = await queue.locator("main > section").first();
    const port = new URL(fleet.monitorUrls.b).port;
    return (await first.getAttribute("class")) === "problems" && (await first.innerText()).includes(port);
  });
  assert.match(await queue.title(), /^\W*\d/);
  fleet.monitors.b.start();
  await expectLive(page);
  await until("the problem is gone", async () => (await queue.locator(".problems li").count()) === 0, 60);
  await assertNotReloaded(queue);
  await page.finish();
  await queue.finish();
});
