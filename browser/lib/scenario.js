// A busy fleet with a day of history, of which screenshots are taken: what a page looks like on a bad afternoon.

import fs from "node:fs";
import path from "node:path";

import { Fleet } from "./fleet.js";
import { until } from "./until.js";

const REPOS = ["acme/engine", "acme/website", "acme/libfoo", "acme/ios-app"];
const MICROS = 1_000_000;

// The events of jobs of the last day: few at night, many in the afternoon.
function history(now, serverUrl) {
  const events = [];
  let run = 3000;
  let random = 7;
  // The same on every machine.
  const next = () => (random = (random * 48271) % 2147483647) / 2147483647;
  for (let hour = 23; hour >= 0; hour--) {
    const load = 0.5 - 0.5 * Math.cos(((23 - hour) / 24) * 2 * Math.PI);
    for (const [profile, share] of [["linux", 14], ["windows", 5], ["macos", 3]]) {
      for (let job = 0; job < 1 + load * share; job++) {
        const end = now - (hour * 3600 + 60 + next() * 3500) * MICROS;
        const waited = Math.round(next() * (5 + load * 400) * (profile === "windows" ? 1.6 : 1));
        const ran = 120 + Math.round(next() * 600);
        const common = { unique_id: `past-${++run}`, qualified_repo: REPOS[run % REPOS.length], run_id: run, profile_key: profile };
        const assigned = end - ran * MICROS;
        const enqueued = assigned - waited * MICROS;
        const at = (time, event, facts = {}) => events.push({ id: Math.round(time), at: Math.round(time), event, ...common, ...facts });
        const from = { server: serverUrl, runner: run % 400 };
        at(enqueued, "job_enqueued", { count: 1, by: "artifact", enqueued_at: Math.round(enqueued) });
        at(assigned, "job_assigned", from);
        const times = { count: 1, enqueued_at: Math.round(enqueued), assigned_at: Math.round(assigned), started_at: Math.round(assigned + 3 * MICROS) };
        if (run % 23 === 0) at(end, "job_abandoned", { ...times, silent_since: Math.round(end - 30 * MICROS) });
        else at(end, "job_finished", { ...times, ...from });
      }
    }
  }
  events.sort((one, other) => one.id - other.id);
  events.forEach((event, index) => (event.id += index));
  return events;
}

// Before the queue starts: its journal.
function writeHistory(folder, serverUrl) {
  const journal = path.join(folder, "data", "queue", "journal");
  fs.mkdirSync(journal, { recursive: true });
  const events = history(Date.now() * 1000, serverUrl);
  const days = new Map();
  for (const event of events) {
    const day = Math.floor(event.id / (86_400 * MICROS));
    days.set(day, [...(days.get(day) ?? []), event]);
  }
  for (const ofDay of days.values()) {
    fs.writeFileSync(path.join(journal, `${ofDay[0].id}.jsonl`), ofDay.map((event) => `${JSON.stringify(event)}\n`).join(""));
  }
}

export async function busyFleet() {
  const servers = { a: { linux: 4, windows: 1 }, b: { linux: 3 }, c: { windows: 2 }, d: { macos: 2 } };
  const fleet = await Fleet.start({ servers, prepareQueue: writeHistory });
  const run = async (name, options) => (await fleet.enqueue(name, options)).run();
  for (let index = 0; index < 7; index++) await run(`linux-${index}`, { repo: REPOS[index % 3], run: 4700 + index });
  for (let index = 0; index < 2; index++) await run(`windows-${index}`, { repo: REPOS[1], run: 4710 + index, profile: "windows" });
  await run("mac", { repo: REPOS[3], run: 4720, profile: "macos" });
  for (let index = 0; index < 13; index++) {
    const job = await fleet.enqueue(`next-${index}`, { repo: REPOS[index % 3], run: 4730 + index, count: index === 4 ? 2 : undefined });
    job.hold();
  }
  const job = (await fleet.enqueue("mine", { repo: REPOS[2], run: 4750 })).hold();
  await fleet.monitors.c.kill();
  for (let index = 0; index < 2; index++) {
    const options = { repo: REPOS[0], run: 4760 + index, profile: "windows" };
    (await until("the job is accepted", () => fleet.enqueue(`win-${index}`, options))).hold();
  }
  await fleet.api("POST", `${fleet.monitorUrls.d}policy/drain?note=${encodeURIComponent("new disks, back on Monday")}`);
  await until("the problems are shown", async () => {
    const { servers: shown, problems } = await fleet.dashboard();
    return problems.length > 0 && shown.some((server) => server.drain) && shown.some((server) => server.health === "down");
  });
  return { fleet, job };
}
