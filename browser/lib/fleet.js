// A queue, its monitors and the emulated GitHub as real processes, each of which can be killed, frozen and
// started again, and jobs for them.

import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";

import { until } from "./until.js";

export const TOKEN = "browser-test-token";
const GITHUB_TOKEN = "emulated"; // the one that the emulated GitHub accepts
const BIN = process.env.CI_RUNNERS_BIN;
if (!BIN) throw new Error("CI_RUNNERS_BIN is not set; start the tests with browser/run");

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => net.createServer());
  for (const server of servers) await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const ports = servers.map((server) => server.address().port);
  for (const server of servers) await new Promise((done) => server.close(done));
  return ports;
}

// One process of the fleet.
class Daemon {
  constructor(name, program, args, environment, folder) {
    Object.assign(this, { name, program, args, environment, folder, child: null });
  }

  start() {
    const log = fs.openSync(path.join(this.folder, `${this.name}.log`), "a");
    // Nothing of the environment of the tests gets into the settings.
    const env = { PATH: process.env.PATH, ...this.environment };
    this.child = spawn(path.join(BIN, this.program), this.args, { cwd: this.folder, env, stdio: ["ignore", log, log] });
    fs.closeSync(log);
    this.ended = new Promise((done) => this.child.on("exit", done));
  }

  async kill() {
    if (!this.child || this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill("SIGKILL");
    await this.ended;
  }

  freeze() {
    this.child.kill("SIGSTOP");
  }

  resume() {
    this.child.kill("SIGCONT");
  }
}

export class Fleet {
  // `servers` are the profiles of each server with their targets: `{ a: { linux: 2 } }`. `queueSettings` are
  // further lines of its table, `otherServers` URLs of monitors that are no part of the fleet. `prepareQueue` is
  // called with its folder and the URL of the first server before it starts.
  static async start({ servers, queueSettings = "", otherServers = [], prepareQueue }) {
    const fleet = new Fleet();
    fleet.enqueued = new Set();
    fleet.folder = fs.mkdtempSync(path.join(os.tmpdir(), "ci-runners-browser-"));
    fs.mkdirSync(path.join(fleet.folder, "hold"));
    const [queuePort, githubPort, ...ports] = await freePorts(2 + Object.keys(servers).length);
    fleet.queueUrl = `http://127.0.0.1:${queuePort}/`;
    fleet.githubUrl = `http://127.0.0.1:${githubPort}/`;
    fleet.github = new Daemon("github", "ci-runners-dev", ["emulator", "--port", `${githubPort}`], {}, fleet.folder);
    fleet.monitors = {};
    fleet.monitorUrls = {};
    Object.keys(servers).forEach((name, index) => (fleet.monitorUrls[name] = `http://127.0.0.1:${ports[index]}/`));
    const urls = [...Object.values(fleet.monitorUrls), ...otherServers];
    const environment = (folder) => ({
      SERVO_CI_MONITOR_API_TOKEN: TOKEN,
      GITHUB_TOKEN,
      SERVO_CI_MONITOR_DATA_PATH: path.join(folder, "data"),
    });
    let queueFolder;
    for (const [name, profiles] of Object.entries(servers)) {
      const folder = path.join(fleet.folder, name);
      fs.mkdirSync(folder);
      queueFolder ??= folder;
      const url = fleet.monitorUrls[name];
      const queue = `\n[queue]\nservers = ${JSON.stringify(urls)}\nport = ${queuePort}\nsettle = 1\nabandon_after = 3600\n${queueSettings}\n`;
      fs.writeFileSync(path.join(folder, "monitor.toml"), monitorSettings(name, url, githubPort, fleet.queueUrl, profiles) + queue);
      fleet.monitors[name] = new Daemon(`monitor-${name}`, "monitor", [], environment(folder), folder);
    }
    fleet.queue = new Daemon("queue", "queue", [], environment(queueFolder), queueFolder);
    prepareQueue?.(queueFolder, urls[0]);
    fleet.daemons = [fleet.github, ...Object.values(fleet.monitors), fleet.queue];
    const idle = {};
    for (const profiles of Object.values(servers)) {
      for (const [profile, target] of Object.entries(profiles)) idle[profile] = (idle[profile] ?? 0) + target;
    }
    try {
      await fleet.startAll(idle);
    } catch (error) {
      console.error(fleet.logs());
      await fleet.stop();
      throw error;
    }
    return fleet;
  }

  async startAll(idle) {
    for (const daemon of this.daemons) daemon.start();
    await until("the emulated GitHub answers", () => this.emulator("GET", "requests"));
    await until("all runners are idle", async () => {
      const { profiles } = await this.dashboard();
      const found = Object.fromEntries(profiles.map((profile) => [profile.profile_key, profile.idle]));
      return Object.entries(idle).every(([profile, count]) => found[profile] === count);
    });
  }

  logs() {
    const files = fs.readdirSync(this.folder, { recursive: true }).filter((name) => name.endsWith(".log"));
    return files.map((name) => `--- ${name}\n${fs.readFileSync(path.join(this.folder, name), "utf8").slice(-3000)}`).join("\n");
  }

  // Ends everything. Runners end by themselves once GitHub is gone and the files that hold their jobs are too.
  async stop() {
    for (const daemon of this.daemons) await daemon.kill();
    fs.rmSync(this.folder, { recursive: true, force: true, maxRetries: 20 });
  }

  async dashboard() {
    const response = await fetch(`${this.queueUrl}dashboard.json`);
    if (!response.ok) throw new Error(`dashboard.json: ${response.status}`);
    return response.json();
  }

  // A request with the API token; its text, which may be empty.
  async api(method, url, headers = {}) {
    const response = await fetch(url, { method, headers: { authorization: `Bearer ${TOKEN}`, accept: "application/json", ...headers } });
    const text = await response.text();
    if (!response.ok) throw Object.assign(new Error(`${method} ${url}: ${response.status} ${text}`), { status: response.status });
    return text;
  }

  async emulator(method, what, body) {
    const init = { method, headers: { "content-type": "application/json" }, body: body && JSON.stringify(body) };
    const response = await fetch(`${this.githubUrl}_emulator/${what}`, init);
    if (!response.ok) throw new Error(`emulator, ${what}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? null : response.json();
  }

  async withdraw(uniqueId) {
    this.enqueued.delete(uniqueId);
    await this.api("DELETE", `${this.queueUrl}job/${uniqueId}`);
  }

  // Ends the jobs of a test, whatever has become of them.
  async withdrawAll() {
    fs.rmSync(path.join(this.folder, "hold"), { recursive: true });
    fs.mkdirSync(path.join(this.folder, "hold"));
    for (const uniqueId of this.enqueued) {
      await this.withdraw(uniqueId).catch((error) => {
        if (error.status !== 404) throw error;
      });
    }
  }

  async enqueue(uniqueId, { profile = "linux", repo = "acme/engine", run = 1, count } = {}) {
    const query = new URLSearchParams({ unique_id: uniqueId, qualified_repo: repo, run_id: run, labels_from_response: true });
    const several = count ? `/${count}` : "";
    const ticket = await this.api("POST", `${this.queueUrl}profile/${profile}/enqueue${several}?${query}`);
    this.enqueued.add(uniqueId);
    return new Job(this, { uniqueId, repo, runId: run, ticket });
  }
}

function monitorSettings(name, url, githubPort, queueUrl, profiles) {
  const command = JSON.stringify([path.join(BIN, "ci-runners-dev"), "agent", "--give-up-after", "1s"]);
  let text = `
listen_on = ["127.0.0.1"]
port = ${new URL(url).port}
external_base_url = "${url}"
queue_member = true
queue_url = "${queueUrl}"
github_api_url = "http://127.0.0.1:${githubPort}"
github_api_scope = "/orgs/acme"
github_api_suffix = "server-${name}"
allowed_qualified_repo_prefix = "acme/"
api_cache_timeout = 1
monitor_poll_interval = "200ms"
monitor_start_timeout = 60
monitor_reserve_timeout = 300
available_normal_memory = "16G"
`;
  for (const [key, target] of Object.entries(profiles)) {
    text += `
[profiles.${key}]
github_runner_label = "self-hosted-image:${key}"
target_count = ${target}
requires_normal_memory = "1G"
[profiles.${key}.guest]
driver = "command"
command = ${command}
`;
  }
  return text;
}

// A job of the queue, as its client sees it.
export class Job {
  constructor(fleet, facts) {
    Object.assign(this, facts, { fleet });
  }

  get holdFile() {
    return path.join(this.fleet.folder, "hold", this.uniqueId);
  }

  // Waits for its runners and starts a workflow job on each, which runs until `finish`.
  async run() {
    const url = `${this.fleet.queueUrl}take/${this.uniqueId}`;
    const taken = await until(`${this.uniqueId} has its runners`, () =>
      this.fleet.api("POST", url, { authorization: `Bearer ${this.ticket}`, prefer: "wait=5" }),
    );
    fs.writeFileSync(this.holdFile, "");
    const command = `while [ -e '${this.holdFile}' ]; do sleep 0.1; done`;
    for (const { label } of [JSON.parse(taken)].flat()) {
      await this.fleet.emulator("POST", "jobs", { repo: this.repo, run_id: this.runId, labels: [label], command });
    }
    return this;
  }

  // A request that is held, so that its client is not silent.
  hold() {
    const headers = { authorization: `Bearer ${this.ticket}`, prefer: "wait=50" };
    this.fleet.api("POST", `${this.fleet.queueUrl}take/${this.uniqueId}`, headers).catch(() => {});
    return this;
  }

  finish() {
    fs.rmSync(this.holdFile, { force: true });
  }

  async withdraw() {
    await this.fleet.withdraw(this.uniqueId);
  }

  // What pages call it.
  async publicId() {
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(this.uniqueId));
    return Buffer.from(digest).toString("hex").slice(0, 16);
  }
}
