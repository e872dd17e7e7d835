// Each page in each width and scheme: nothing is cut off, and axe finds nothing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { assertAccessible, assertFits, launch, live, open, SCHEMES, WIDTHS } from "../lib/browser.js";
import { Fleet } from "../lib/fleet.js";
import { until } from "../lib/until.js";

let browser, fleet, pages;

// A busy fleet with long names, notes, a pause, a drain and a server that is down.
before(async () => {
  const servers = { a: { linux: 2 }, b: { linux: 1, macos: 1 }, c: { windows: 1 } };
  [browser, fleet] = await Promise.all([launch(), Fleet.start({ servers })]);
  const long = "a-repository-with-a-name-that-is-as-long-as-github-allows-and-without-any-blank-in-which-it-could-break";
  const repo = `acme/${long.slice(0, 95)}`;
  const done = await (await fleet.enqueue("done", { repo, run: 1 })).run();
  done.finish();
  await (await fleet.enqueue("busy", { repo, run: 2 })).run();
  await (await fleet.enqueue("mac", { profile: "macos", run: 9_007_199_254_740_991 })).run();
  await (await fleet.enqueue("gone", { run: 3 })).withdraw();
  // It waits for as many runners as there are, one of which is busy, and everything else behind it.
  const first = await fleet.enqueue("several", { repo, run: 4, count: 3 });
  for (let run = 10; run < 40; run++) await fleet.enqueue(`waiting-${run}`, { repo, run });
  await fleet.enqueue("mac-waiting", { profile: "macos", run: 41 });
  const note = "new memory and a note of a length that does not fit a narrow screen, with_a_word_that_has_no_place_to_break_at_all_in_it";
  await fleet.api("POST", `${fleet.queueUrl}profile/macos/pause?note=${encodeURIComponent(note)}`);
  await fleet.api("POST", `${fleet.monitorUrls.b}policy/drain?note=${encodeURIComponent(note)}`);
  await fleet.api("POST", `${fleet.monitorUrls.a}policy/override?linux=1`);
  await fleet.monitors.c.kill();
  await until("everything is shown", async () => {
    const { servers, problems } = await fleet.dashboard();
    return servers.some((server) => server.health === "down") && servers.some((server) => server.drain) && problems.length > 0;
  });
  pages = {
    queue: fleet.queueUrl,
    filter: `${fleet.queueUrl}?q=waiting+acme`,
    job: `${fleet.queueUrl}job/${await first.publicId()}`,
    "finished job": `${fleet.queueUrl}job/${await done.publicId()}`,
    "unknown job": `${fleet.queueUrl}job/0123456789abcdef`,
    monitor: fleet.monitorUrls.a,
    "drained monitor": fleet.monitorUrls.b,
  };
});
after(async () => {
  await browser?.close();
  await fleet?.stop();
});

for (const scheme of SCHEMES) {
  test(`pages fit every width and are accessible, ${scheme}`, async () => {
    for (const [name, url] of Object.entries(pages)) {
      const page = await open(browser, url, { scheme });
      await live(page);
      for (const details of await page.locator("details").all()) await details.evaluate((it) => (it.open = true));
      // 1000: tables, which are lists below 960 px, at their narrowest.
      for (const width of [...WIDTHS, 1000]) {
        await page.setViewportSize({ width, height: 900 });
        const what = `${name}, ${width} px, ${scheme}`;
        await assertFits(page, what);
        if (width === 360 || width === 1400) await assertAccessible(page, what);
      }
      await page.finish();
    }
  });
}

test("the detail of every square stays in the window", async () => {
  const page = await open(browser, pages.queue, { width: 360 });
  await live(page);
  const squares = page.locator(".squares a");
  assert.ok((await squares.count()) > 20);
  for (const square of await squares.all()) {
    await square.focus();
    const [left, right] = await square.locator(".tip").evaluate((tip) => {
      const box = tip.getBoundingClientRect();
      return [box.left, document.documentElement.clientWidth - box.right];
    });
    assert.ok(left >= 0 && right >= 0, `${await square.innerText()}: ${left} px, ${right} px`);
  }
  await assertFits(page, "with a detail");
  await page.finish();
});

test("everything can be reached and seen with the keyboard", async () => {
  const page = await open(browser, pages.queue);
  await live(page);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  const reached = new Set();
  for (;;) {
    const [key, outline, isVisible] = await page.evaluate(() => {
      const it = document.activeElement;
      const box = it.getBoundingClientRect();
      const isVisible = box.right > 0 && box.bottom > 0 && box.top < innerHeight;
      // Not as an attribute, which an update of the page would remove.
      (window.reached ??= new Set()).add(it);
      return [it.localName, getComputedStyle(it).outlineStyle, isVisible];
    });
    if (key === "body") break;
    assert.notEqual(outline, "none", key);
    assert.ok(isVisible, await page.evaluate(() => document.activeElement.outerHTML));
    reached.add(key);
    await page.keyboard.press("Tab");
  }
  const missed = await page.evaluate(() =>
    [...document.querySelectorAll("a[href], button, input, summary")]
      .filter((it) => !window.reached.has(it) && !it.closest("details:not([open]) > :not(summary)"))
      .map((it) => it.outerHTML),
  );
  assert.deepEqual(missed, []);
  assert.ok(["a", "button", "input", "summary"].every((name) => reached.has(name)), [...reached].join());
  await page.finish();
});

test("printed pages fit the paper", async () => {
  const page = await open(browser, pages.queue, { width: 718 });
  await page.emulateMedia({ media: "print" });
  await assertFits(page, "printed");
  await page.finish();
});
