// Keeps a page of the daemon current while it is visible.
//
// The stream `events` says when something has changed. The page is then fetched again, at most once a
// second, and the document is changed where it differs: focus, selection, what is open and the scroll
// position stay. Durations are counted here between updates. A page whose server is silent says so. A
// hidden page requests nothing. Without this script the page is complete, as of the time it shows.

const REFRESH_PAUSE = 1000; // between two fetches of the page
const REFRESH_EVERY = 4500; // also without an event: reports of servers are no events
const SILENCE_MAX = 12000; // the stream has a comment every 5 s
const OFFLINE_MAX = 3000; // silence while there is no stream
const PAGE_AGE_MAX = 20000; // of the state that is shown
const RECONNECT_PAUSE = 2000;
const FETCH_TIMEOUT = 10000;

const clock = () => performance.now();
const events = document.body.dataset.events;

let serverTime; // of the page that is shown, in milliseconds since the Unix epoch
let shownAt; // when it arrived
let heardAt; // when the server last sent anything
let stream = null; // aborts the stream and everything else that is under way
let isStreaming = false;
let refreshTimer = null;
let refreshedAt = -Infinity;
let visibleAt; // since when the page is visible
let wasLost = false;

// ---- Changing the document where it differs -------------------------------------------------------

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE && (node.id || node.dataset.key)) || null;

// What people have changed themselves stays: open details, text in a form.
function isTheirs(element, name) {
  return (name === "open" && element.localName === "details") || (name === "value" && element.localName === "input");
}

function morphAttributes(from, to) {
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !isTheirs(from, name)) from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value && !isTheirs(from, name)) from.setAttribute(name, value);
  }
}

function isSame(from, to) {
  return from.nodeType === to.nodeType && from.nodeName === to.nodeName && keyOf(from) === keyOf(to);
}

function morphChildren(from, to) {
  const wanted = [...to.childNodes];
  const keys = new Set(wanted.map(keyOf).filter(Boolean));
  const keyed = new Map();
  for (const child of [...from.childNodes]) {
    const key = keyOf(child);
    if (key && !keys.has(key)) child.remove();
    else if (key) keyed.set(key, child);
  }
  let next = from.firstChild;
  for (const child of wanted) {
    const key = keyOf(child);
    // A row that moves to another table keeps its focus as well.
    const elsewhere = () => child.id && from.isConnected && document.getElementById(child.id);
    let match = key ? keyed.get(key) || elsewhere() : next;
    if (match && !isSame(match, child)) match = null;
    if (!match) {
      from.insertBefore(document.importNode(child, true), next);
      continue;
    }
    if (match === next) next = next.nextSibling;
    else from.insertBefore(match, next);
    morph(match, child);
  }
  while (next) {
    const rest = next;
    next = next.nextSibling;
    rest.remove();
  }
}

function morph(from, to) {
  if (from.isEqualNode(to)) return;
  if (from.nodeType !== Node.ELEMENT_NODE) {
    from.nodeValue = to.nodeValue;
    return;
  }
  morphAttributes(from, to);
  // A part with `data-keep` belongs to a script.
  if (!("keep" in from.dataset)) morphChildren(from, to);
}

// ---- Times ------------------------------------------------------------------------------------

const pad = (number) => String(number).padStart(2, "0");

// The same as `shared::format::elapsed`.
function elapsed(seconds) {
  const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(seconds / unit));
  if (minutes < 1) return `${seconds} s`;
  if (hours < 1) return `${minutes} min ${pad(seconds % 60)} s`;
  if (days < 1) return `${hours} h ${pad(minutes % 60)} min`;
  return `${days} d ${hours % 24} h`;
}

const now = () => serverTime + (clock() - shownAt);

function countDurations(root) {
  for (const element of root.querySelectorAll("[data-since]")) {
    const seconds = Math.max(0, Math.floor((now() - Number(element.dataset.since)) / 1000));
    const text = elapsed(seconds);
    if (element.textContent !== text) element.textContent = text;
  }
}

// Times of day are sent in UTC and shown in the time zone of the reader.
function localise(root) {
  const today = new Date().toDateString();
  for (const element of root.querySelectorAll("time[data-at]")) {
    const at = new Date(Number(element.dataset.at));
    const time = at.toLocaleTimeString([], { hour12: false });
    element.textContent = at.toDateString() === today ? time : `${at.toLocaleDateString()} ${time}`;
    element.title = at.toISOString();
  }
}

// ---- One job in the address: #job=<public id> ---------------------------------------------------

const jobInAddress = () => (/^#job=([0-9a-f]{16})$/.exec(location.hash) || [])[1];

function markJob(root) {
  const job = jobInAddress();
  if (!job) return;
  for (const element of root.querySelectorAll(`[data-job="${job}"]`)) element.classList.add("chosen");
}

function showJob() {
  for (const element of document.querySelectorAll(".chosen")) element.classList.remove("chosen");
  markJob(document);
  const row = jobInAddress() && document.getElementById(`job=${jobInAddress()}`);
  if (!row) return;
  for (let parent = row.closest("details"); parent; parent = parent.parentElement.closest("details")) parent.open = true;
  row.scrollIntoView({ block: "center" });
}

// ---- The page, again and again ------------------------------------------------------------------

// Takes over the time of the page in `root`, and completes what only a browser knows.
function adopt(root) {
  serverTime = Number(root.body.dataset.now);
  shownAt = clock();
  for (const element of root.querySelectorAll("[data-host]")) element.textContent = location.host;
  localise(root);
  countDurations(root);
  markJob(root);
}

function isOtherVersion(other) {
  const version = (root) => root.querySelector("script[src]")?.getAttribute("src");
  return version(other) !== version(document);
}

// Both ends of the selected text: a node and an offset each.
function selection() {
  const { anchorNode, anchorOffset, focusNode, focusOffset } = getSelection();
  return [anchorNode, anchorOffset, focusNode, focusOffset];
}

function restoreSelection(ends) {
  const isSelected = selection().every((part, index) => part === ends[index]);
  if (!isSelected && ends[0]?.isConnected && ends[2]?.isConnected) getSelection().setBaseAndExtent(...ends);
}

function show(html) {
  const other = new DOMParser().parseFromString(html, "text/html");
  if (!other.body.dataset.now) return; // an error page of a proxy
  if (isOtherVersion(other)) return location.reload();
  adopt(other);
  const focused = document.activeElement;
  const selected = selection();
  other.body.className = document.body.className;
  document.title = other.title;
  morph(document.body, other.body);
  // A row that has moved has lost the focus, and the selection in it.
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  restoreSelection(selected);
  document.dispatchEvent(new Event("page-updated"));
}

async function refresh(signal) {
  refreshedAt = clock();
  try {
    const timeout = AbortSignal.timeout(FETCH_TIMEOUT);
    const response = await fetch(location.pathname + location.search, {
      headers: { accept: "text/html" },
      signal: AbortSignal.any([signal, timeout]),
    });
    if (!response.ok && response.status !== 404) return;
    const html = await response.text();
    if (signal.aborted) return;
    heardAt = clock();
    show(html);
    showConnection();
  } catch {
    // `showConnection` says so once it has lasted.
  }
}

function refreshSoon() {
  if (refreshTimer !== null || !stream) return;
  const { signal } = stream;
  const pause = Math.max(0, refreshedAt + REFRESH_PAUSE - clock());
  refreshTimer = setTimeout(async () => {
    await refresh(signal);
    if (!signal.aborted) refreshTimer = null;
  }, pause);
}

// ---- The stream of events -------------------------------------------------------------------------

// Reads it until it ends. `fetch` rather than `EventSource`, which hides comments and cannot be asked for
// events of all names.
async function readStream(signal) {
  const attempt = new AbortController();
  const timer = setTimeout(() => attempt.abort(), FETCH_TIMEOUT);
  const headers = { accept: "text/event-stream" };
  const response = await fetch(events, { signal: AbortSignal.any([signal, attempt.signal]), headers });
  clearTimeout(timer);
  heardAt = clock();
  if (!response.ok || !response.body) return;
  isStreaming = true;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heardAt = clock();
    if (value.includes("data:") || clock() - refreshedAt > REFRESH_EVERY) refreshSoon();
  }
}

async function connect() {
  const controller = new AbortController();
  stream = controller;
  refreshSoon();
  while (stream === controller) {
    await readStream(controller.signal).catch(() => {});
    isStreaming = false;
    if (stream !== controller) return;
    // While there are too many streams, the page is fetched from time to time.
    if (clock() - refreshedAt > REFRESH_EVERY) refreshSoon();
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_PAUSE));
  }
}

function disconnect() {
  stream?.abort();
  stream = null;
  isStreaming = false;
  clearTimeout(refreshTimer);
  refreshTimer = null;
}

// ---- What the page says of itself -------------------------------------------------------------------

function say(text) {
  document.getElementById("news").textContent = text;
}

function showConnection() {
  const silence = clock() - heardAt;
  const age = clock() - Math.max(shownAt, visibleAt);
  const isLost = silence > (isStreaming ? SILENCE_MAX : OFFLINE_MAX) || age > PAGE_AGE_MAX;
  const shown = new Date(serverTime).toLocaleTimeString([], { hour12: false });
  const since = Math.max(silence, age);
  const text = isLost ? `no connection for ${elapsed(Math.floor(since / 1000))}; this is the state of ${shown}` : `live, ${shown}`;
  document.body.classList.toggle("lost", isLost);
  document.body.classList.toggle("live", !isLost);
  document.getElementById("connection").textContent = text;
  if (isLost !== wasLost) say(isLost ? text : "connected again");
  // A connection that is silent, but not closed, is given up.
  if (isLost && isStreaming) {
    disconnect();
    connect();
  }
  wasLost = isLost;
}

function tick() {
  if (document.hidden) return;
  countDurations(document);
  showConnection();
}

function changeVisibility() {
  disconnect();
  if (document.hidden) return;
  // The time while it was hidden is no silence of the server.
  heardAt = visibleAt = clock();
  connect();
}

// ---- Withdrawing a job ------------------------------------------------------------------------------

// The form is made here, so that without this script no token can get into an address. The token is sent
// with one request and kept nowhere.
function offerWithdrawal(place) {
  const form = document.createElement("form");
  const token = document.createElement("input");
  Object.assign(token, { type: "password", required: true, autocomplete: "off", placeholder: "API token" });
  token.setAttribute("aria-label", "API token");
  const button = document.createElement("button");
  button.textContent = "Withdraw";
  const result = document.createElement("p");
  result.setAttribute("role", "status");
  form.append(token, button, result);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const headers = { authorization: `Bearer ${token.value}`, accept: "application/json" };
    token.value = "";
    button.disabled = true;
    try {
      const response = await fetch(place.dataset.withdraw, { method: "DELETE", headers });
      result.textContent = response.ok ? "It is withdrawn." : (await response.json()).message;
    } catch {
      result.textContent = "There is no connection; try again.";
    }
    button.disabled = false;
  });
  place.append(form);
}

for (const place of document.querySelectorAll("[data-withdraw]")) offerWithdrawal(place);
adopt(document);
addEventListener("hashchange", showJob);
showJob();
if (events) {
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", changeVisibility);
  changeVisibility();
  showConnection();
}
