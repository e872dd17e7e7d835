// What operators do on the pages of both daemons: with the right token only, with note and author, live.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { assertNotReloaded, launch, live, open } from "../lib/browser.js";
import { Fleet, TOKEN } from "../lib/fleet.js";
import { until } from "../lib/until.js";

let browser, fleet;
before(async () => {
  [browser, fleet] = await Promise.all([launch(), Fleet.start({ servers: { a: { linux: 1 } } })]);
});
after(async () => {
  await browser?.close();
  await fleet?.stop();
});

const hasText = (locator, text) => until(`“${text}” is shown`, async () => (await locator.innerText()).includes(text));

// The forms of one thing.
function actionsOf(page, key) {
  const place = page.locator(`[data-key="actions ${key}"]`);
  return {
    open: () => place.locator("summary").click(),
    fill: (name, text) => place.locator(`[name=${name}]`).fill(text),
    value: (name) => place.locator(`[name=${name}]`).inputValue(),
    press: (label) => place.locator("button", { hasText: label }).click(),
    says: (text) => hasText(place.locator("[role=status]"), text),
    offers: (text) => hasText(place, text),
    output: place.locator("pre"),
  };
}

test("a profile is paused and resumed on the page of the queue", async () => {
  const page = await open(browser, fleet.queueUrl);
  await live(page);
  const pause = actionsOf(page, "profile linux");
  await pause.open();
  await pause.fill("token", "wrong");
  await pause.fill("author", "Jörg <b>");
  await pause.fill("note", "new & <i>disk</i>");
  await pause.press("Pause");
  await pause.says("API_TOKEN");
  assert.equal(await pause.value("token"), "", "a wrong token is forgotten");
  assert.equal(await pause.value("note"), "new & <i>disk</i>");
  await pause.fill("token", TOKEN);
  await pause.press("Pause");
  await hasText(page.locator(".profile"), "Paused by Jörg <b> at ");
  await hasText(page.locator(".profile"), "(new & <i>disk</i>)");
  await pause.offers("Resume");
  // What was typed serves for further actions of this page.
  await pause.press("Resume");
  await until("it is resumed", async () => !(await page.locator(".profile").innerText()).includes("Paused by"));
  const reload = actionsOf(page, "settings");
  await reload.open();
  assert.deepEqual([await reload.value("token"), await reload.value("author")], [TOKEN, "Jörg <b>"]);
  await reload.press("Reload");
  await hasText(reload.output, '"needs_restart":[]');
  assert.ok(!(await page.content()).includes(TOKEN));
  await assertNotReloaded(page);
  await page.finish();
});

test("a server is drained, its targets are set, and its runners are looked at and destroyed", async () => {
  const page = await open(browser, fleet.monitorUrls.a);
  await live(page);
  const drain = actionsOf(page, "drain");
  await drain.open();
  await drain.fill("token", TOKEN);
  await drain.fill("author", "alice");
  await drain.fill("note", "new memory");
  await drain.press("Drain");
  await hasText(page.locator("main"), "Drained by alice at ");
  await drain.press("End the drain");
  await until("it has ended", async () => !(await page.locator("main").innerText()).includes("Drained by"));

  const targets = actionsOf(page, "targets");
  await targets.open();
  await targets.fill("targets", "linux=2");
  await targets.fill("note", "a fair");
  await targets.press("Set");
  await hasText(page.locator("main"), "Temporary targets of 2 of linux, set by alice at ");
  await targets.press("Cancel those in force");
  await targets.says("They are cancelled.");

  await hasText(page.locator("#runners"), "idle");
  const key = await page.locator("#runners tbody tr").first().getAttribute("data-key");
  const runner = actionsOf(page, key);
  await runner.open();
  await runner.press("Show the console");
  await until("the console is shown", () => runner.output.isVisible());
  await runner.fill("token", "wrong");
  await runner.press("Show the console");
  await runner.says("API_TOKEN");
  await until("the console is hidden", async () => !(await runner.output.isVisible()));
  await runner.fill("token", TOKEN);
  await page.locator(`[data-key="actions ${key}"] button[data-label="Destroy"]`).click();
  await runner.offers("press again");
  await page.locator(`[data-key="actions ${key}"] button[data-label="Destroy"]`).click();
  await page.locator(`#runners [data-key="${key}"]`).waitFor({ state: "detached" });
  await assertNotReloaded(page);
  await page.finish();
});
