// Texts from outside are shown as text: in no page do they become elements or scripts.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";

import { launch, live, open } from "../lib/browser.js";
import { Fleet } from "../lib/fleet.js";
import { until } from "../lib/until.js";

const HOSTILE = `"'><img src=x onerror=alert(1) data-injected><script data-injected>alert(2)</script>`;

// A monitor whose owner reports such texts.
async function hostileMonitor() {
  const counts = { target: 1, healthy: 1, started_or_crashed: 0, idle: 0, reserved: 0, busy: 0, excess_idle: 0, wanted: 0 };
  const server = http.createServer((_request, response) => {
    const problem = { code: HOSTILE, severity: "error", subject: HOSTILE, cause: HOSTILE, remedy: HOSTILE, since: 1_798_106_405_000_000 };
    const dashboard = {
      instance: "hostile",
      profile_runner_counts: { linux: { ...counts, excess_healthy: 0, image_age: null } },
      runners: [],
      reservations: {},
      missing: { linux: { count: 1, reason: HOSTILE } },
      drain: { since: 1_798_106_405_000_000, note: HOSTILE },
      problems: [problem],
    };
    response.writeHead(200, { "content-type": "application/json", etag: `"1"` });
    response.end(JSON.stringify(dashboard));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return server;
}

let browser, fleet, hostile;
before(async () => {
  hostile = await hostileMonitor();
  const otherServers = [`http://127.0.0.1:${hostile.address().port}/`];
  [browser, fleet] = await Promise.all([launch(), Fleet.start({ servers: { a: { linux: 1 } }, otherServers })]);
});
after(async () => {
  await browser?.close();
  await fleet?.stop();
  hostile.closeAllConnections();
  hostile.close();
});

async function expectText(url, count, options = {}) {
  const page = await open(browser, url, options);
  if (options.javaScriptEnabled !== false) await live(page);
  await until(`${url} shows the texts`, async () => (await page.locator("body").innerText()).split("<img src=x").length > count);
  assert.equal(await page.locator("[data-injected]").count(), 0);
  await page.finish();
}

test("what servers report and operators write is shown as text", async () => {
  const note = encodeURIComponent(HOSTILE);
  await fleet.api("POST", `${fleet.queueUrl}profile/linux/pause?note=${note}`);
  await fleet.api("POST", `${fleet.monitorUrls.a}policy/drain?note=${note}`);
  const job = await fleet.enqueue("hostile", { run: 101 });
  // The pause, two drains, and the problem of the hostile monitor.
  await expectText(fleet.queueUrl, 4);
  await expectText(fleet.queueUrl, 4, { javaScriptEnabled: false });
  await expectText(`${fleet.queueUrl}job/${await job.publicId()}`, 1);
  await expectText(fleet.monitorUrls.a, 1);
});

test("a filter is shown as text", async () => {
  await expectText(`${fleet.queueUrl}?q=${encodeURIComponent(HOSTILE)}`, 1);
});

test("names with markup are refused before they reach a page", async () => {
  for (const [name, options] of [
    ["<img>", {}],
    ["named", { repo: "acme/<img src=x>" }],
    ["named", { profile: encodeURIComponent("<img src=x>") }],
  ]) {
    await assert.rejects(fleet.enqueue(name, options), ({ status }) => status === 400, name);
  }
  const response = await fetch(`${fleet.queueUrl}job/${encodeURIComponent(HOSTILE)}`, { headers: { accept: "text/html" } });
  assert.ok(!(await response.text()).includes("<img"));
});
