// Screenshots of every page in every width and scheme; see browser/screenshots.

import path from "node:path";

import { launch, live, open, SCHEMES, WIDTHS } from "./lib/browser.js";
import { busyFleet } from "./lib/scenario.js";

const [folder, option] = process.argv.slice(2);
// Those in the book: page, width, height, scheme.
const OF_DOCS = [
  ["queue", 1100, 760, "light"],
  ["queue", 360, 720, "dark"],
  ["job", 760, 560, "light"],
  ["monitor", 1100, 900, "light"],
];

const [browser, { fleet, job }] = await Promise.all([launch(), busyFleet()]);
const id = await job.publicId();
const pages = {
  queue: `${fleet.queueUrl}#job=${id}`,
  job: `${fleet.queueUrl}job/${id}`,
  monitor: fleet.monitorUrls.a,
  "drained-monitor": fleet.monitorUrls.d,
};
try {
  for (const scheme of SCHEMES) {
    for (const [name, url] of Object.entries(pages)) {
      for (const width of WIDTHS) {
        const page = await open(browser, url, { width, scheme });
        await live(page);
        await page.screenshot({ path: path.join(folder, `${name}-${width}-${scheme}.png`), fullPage: true });
        await page.finish();
      }
    }
  }
  if (option === "--docs") {
    for (const [name, width, height, scheme] of OF_DOCS) {
      // Without the mark, which scrolls to its job.
      const page = await open(browser, pages[name].split("#")[0], { width, height, scheme });
      await live(page);
      await page.screenshot({ path: `docs/src/images/${name}-${scheme}.png` });
      await page.finish();
    }
  }
} finally {
  await browser.close();
  await fleet.stop();
}
