// Pages that are open follow what happens, without a reload.

import assert from "node:assert/strict";
import http from "node:http";
import { after, afterEach, before, test } from "node:test";

import { assertNotReloaded, launch, live, open, rowOf } from "../lib/browser.js";
import { Fleet, TOKEN } from "../lib/fleet.js";
import { until } from "../lib/until.js";

let browser, fleet;
before(async () => {
  [browser, fleet] = await Promise.all([launch(), Fleet.start({ servers: { a: { linux: 1, macos: 1 } } })]);
  // Jobs of this profile wait.
  await fleet.api("POST", `${fleet.queueUrl}profile/macos/pause`);
});
after(async () => {
  await browser?.close();
  await fleet?.stop();
});
afterEach(() => fleet.withdrawAll());

// The position of a job in its row, as text.
const position = (page, run) => rowOf(page, "waiting-linux", run).locator("td.place");
const hasText = (locator, text) => until(`“${text}” is shown`, async () => (await locator.innerText()).includes(text));

test("jobs appear, move, run and leave without a reload", async () => {
  const page = await open(browser, fleet.queueUrl);
  await live(page);
  const first = await fleet.enqueue("first", { run: 101 });
  await first.run();
  await rowOf(page, "assigned", 101).waitFor();
  const second = await fleet.enqueue("second", { run: 102 });
  await fleet.enqueue("third", { run: 103 });
  await hasText(position(page, 102), "1");
  await hasText(position(page, 103), "2");
  first.finish();
  await hasText(rowOf(page, "finished", 101), "finished");
  await second.run();
  await rowOf(page, "assigned", 102).waitFor();
  await hasText(position(page, 103), "1");
  await fleet.withdraw("third");
  await hasText(rowOf(page, "finished", 103), "withdrawn");
  assert.equal(await rowOf(page, "waiting-linux", 103).count(), 0);
  second.finish();
  await hasText(rowOf(page, "finished", 102), "finished");
  await assertNotReloaded(page);
  await page.finish();
});

test("focus, selection, text in the filter and what is unfolded survive updates", async () => {
  const jobs = [];
  for (let run = 200; run < 225; run++) jobs.push(await fleet.enqueue(`kept-${run}`, { profile: "macos", run }));
  const page = await open(browser, fleet.queueUrl);
  await live(page);
  await page.locator("#more-macos summary").click();
  await page.locator("input[type=search]").fill("half a wo");
  await page.evaluate(() => document.querySelector("input[type=search]").setSelectionRange(2, 5));
  const update = async (index) => {
    await jobs[index].withdraw();
    await rowOf(page, "waiting-macos", 200 + index).waitFor({ state: "detached" });
  };
  await update(1);
  const filter = await page.evaluate(() => {
    const input = document.activeElement;
    return [input.type, input.value, input.selectionStart, input.selectionEnd, document.querySelector("#more-macos").open];
  });
  assert.deepEqual(filter, ["search", "half a wo", 2, 5, true]);

  // A row that moves up, out of what is folded, keeps the focus and the selected text in it.
  await rowOf(page, "waiting-macos", 211).locator("a").first().focus();
  await page.evaluate(() => getSelection().selectAllChildren(document.activeElement.querySelector("b")));
  await page.evaluate(() => (window.scrolledTo = scrollY));
  await update(2);
  const focused = await page.evaluate(() => [document.activeElement.textContent, `${getSelection()}`, scrollY - window.scrolledTo]);
  assert.match(focused[0], /run 211/);
  assert.equal(focused[1], "acme/engine");
  await assertNotReloaded(page);
  await page.finish();
});

test("the filter is part of the address, and a job in the address is marked", async () => {
  const wanted = await fleet.enqueue("wanted", { profile: "macos", run: 301, repo: "acme/website" });
  await fleet.enqueue("other", { profile: "macos", run: 302 });
  const page = await open(browser, fleet.queueUrl);
  await live(page);
  await page.locator("input[type=search]").fill("website");
  await page.keyboard.press("Enter");
  await rowOf(page, "found", 301).waitFor();
  assert.equal(new URL(page.url()).search, "?q=website");
  assert.equal(await rowOf(page, "found", 302).count(), 0);
  const id = await wanted.publicId();
  await page.goto(`${fleet.queueUrl}#job=${id}`);
  await page.locator(`tr.chosen[data-job="${id}"]`).waitFor();
  // The mark is still there after an update.
  await live(page);
  await fleet.enqueue("later", { profile: "macos", run: 303 });
  await rowOf(page, "waiting-macos", 303).waitFor();
  assert.equal(await page.locator("tr.chosen").count(), 1);
  await assertNotReloaded(page);
  await page.finish();
});

test("a job is withdrawn on its page with the right token only", async () => {
  const job = await fleet.enqueue("unwanted", { profile: "macos", run: 401 });
  const page = await open(browser, `${fleet.queueUrl}job/${await job.publicId()}`);
  await live(page);
  const send = async (token) => {
    await page.locator("#withdraw [name=token]").fill(token);
    await page.locator("#withdraw button").click();
  };
  await page.locator("#withdraw summary").click();
  await send("wrong");
  await hasText(page.locator("#withdraw [role=status]"), "token");
  await hasText(page.locator("#status"), "waits");
  await send(TOKEN);
  await hasText(page.locator("#status"), "withdrawn");
  await hasText(page.locator("#history"), "withdrawn with the API token");
  assert.ok(!(await page.content()).includes(TOKEN));
  await assertNotReloaded(page);
  await page.finish();
});

test("the page of a monitor follows its runners", async () => {
  const page = await open(browser, fleet.monitorUrls.a);
  await live(page);
  const job = await (await fleet.enqueue("on-a", { run: 501 })).run();
  await hasText(page.locator("#runners"), "busy");
  job.finish();
  await hasText(page.locator("#runners"), "idle");
  await assertNotReloaded(page);
  await page.finish();
});

test("a hidden page requests nothing, and is current again when it is shown", async () => {
  const setHidden = (page, isHidden) =>
    page.evaluate((value) => {
      for (const [name, it] of [["hidden", value], ["visibilityState", value ? "hidden" : "visible"]]) {
        Object.defineProperty(document, name, { configurable: true, get: () => it });
      }
      document.dispatchEvent(new Event("visibilitychange"));
    }, isHidden);
  const [shown, hidden] = [await open(browser, fleet.queueUrl), await open(browser, fleet.queueUrl)];
  await live(shown);
  await live(hidden);
  await setHidden(hidden, true);
  const requests = { shown: 0, hidden: 0 };
  shown.on("request", () => requests.shown++);
  hidden.on("request", () => requests.hidden++);
  await fleet.enqueue("unseen", { profile: "macos", run: 601 });
  await rowOf(shown, "waiting-macos", 601).waitFor();
  await until("the page that is shown has asked again", () => requests.shown >= 2);
  assert.equal(requests.hidden, 0);
  assert.equal(await rowOf(hidden, "waiting-macos", 601).count(), 0);
  await setHidden(hidden, false);
  await rowOf(hidden, "waiting-macos", 601).waitFor();
  await shown.finish();
  await hidden.finish();
});

test("behind a proxy that adds a prefix the pages are live and their links lead on", async (context) => {
  const target = new URL(fleet.queueUrl);
  const proxy = http.createServer((request, response) => {
    if (!request.url.startsWith("/ci/queue/")) return response.writeHead(404).end();
    const { method, headers } = request;
    const options = { host: target.hostname, port: target.port, path: request.url.slice("/ci/queue".length), method, headers };
    const onward = http.request(options, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  });
  await new Promise((done) => proxy.listen(0, "127.0.0.1", done));
  context.after(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const page = await open(browser, `http://127.0.0.1:${proxy.address().port}/ci/queue/`);
  await live(page);
  const job = await fleet.enqueue("proxied", { profile: "macos", run: 701 });
  await rowOf(page, "waiting-macos", 701).locator("small a").click();
  await hasText(page.locator("#status"), "next in its queue");
  await live(page);
  await job.withdraw();
  await hasText(page.locator("#status"), "withdrawn");
  await page.finish();
});

test("without JavaScript the page is complete", async () => {
  await fleet.enqueue("plain", { profile: "macos", run: 801 });
  const page = await open(browser, fleet.queueUrl, { javaScriptEnabled: false });
  await hasText(page.locator("#connection"), "state of");
  await rowOf(page, "waiting-macos", 801).waitFor();
  await page.locator("input[type=search]").fill("801");
  await page.keyboard.press("Enter");
  await rowOf(page, "found", 801).locator("small a").click();
  await hasText(page.locator("#history"), "enqueued, authorised by the API token");
  await hasText(page.locator("#withdraw"), "ci-runners withdraw");
  await page.finish();
});
