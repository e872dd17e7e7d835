// Chromium, and what is asked of each page in it.

import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
// Nothing that asks for other hosts, which a closed network refuses.
const FLAGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
export const WIDTHS = [360, 768, 1400];
export const SCHEMES = ["light", "dark"];

// A new browser with an empty profile.
export function launch() {
  return chromium.launch({ executablePath: process.env.CI_RUNNERS_CHROMIUM, headless: true, chromiumSandbox: false, args: FLAGS });
}

// A page of its own context. A page that fails, or that asks another host, fails the test at `close`.
export async function open(browser, url, options = {}) {
  const { width = 1400, height = 900, scheme = "light", init, ...others } = options;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    reducedMotion: "reduce",
    ...others,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const faults = [];
  page.on("pageerror", (error) => faults.push(`error in the script: ${error}`));
  page.on("console", (message) => {
    // Requests that fail are of the tests with dead daemons.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) faults.push(message.text());
  });
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) faults.push(`request for ${request.url()}`);
  });
  if (init) await page.addInitScript(init);
  await page.goto(url);
  page.finish = async () => {
    await context.close();
    assert.deepEqual(faults, []);
  };
  return page;
}

// Waits until the page is current, and marks the document, so that a reload is noticed.
export async function live(page) {
  await page.waitForFunction(() => document.body.classList.contains("live"));
  await page.evaluate(() => (window.isSameDocument = true));
}

export async function assertNotReloaded(page) {
  assert.equal(await page.evaluate(() => window.isSameDocument), true, "the page was loaded again");
}

// What is wider than the window, or than the section that it is in.
export async function assertFits(page, what) {
  const wide = await page.evaluate(() => {
    const found = [];
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) found.push(`the page: ${root.scrollWidth} of ${root.clientWidth} px`);
    const isUnseen = (element) => element.closest(".unseen, .skip, .tip, [hidden], details:not([open]) > :not(summary)");
    for (const element of document.querySelectorAll("body *")) {
      const box = element.getBoundingClientRect();
      if (box.width === 0 || isUnseen(element) || element instanceof SVGElement) continue;
      const card = element.parentElement.closest("section, .card, header, main, li, td") ?? document.body;
      const over = Math.max(box.right - card.getBoundingClientRect().right, card.getBoundingClientRect().left - box.left);
      if (over > 1) found.push(`${element.outerHTML.slice(0, 120)}: ${Math.round(over)} px out of ${card.localName}#${card.id}.${card.className}`);
      if (element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX !== "visible" && element.clientWidth > 0 && element.localName !== "input")
        found.push(`${element.outerHTML.slice(0, 120)}: cut off`);
    }
    return found.slice(0, 10);
  });
  assert.deepEqual(wide, [], what);
}

// Accessibility, by all rules of WCAG 2.2 and the best practices that axe knows.
export async function assertAccessible(page, what) {
  await page.evaluate(`${AXE}; 0`);
  const findings = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html).join(" | ")}`);
  });
  assert.deepEqual(findings, [], what);
}

// Waits until the row of a job is in a section and has this text in it.
export function rowOf(page, section, run) {
  return page.locator(`#${section} tbody tr`, { hasText: `run ${run}` });
}
