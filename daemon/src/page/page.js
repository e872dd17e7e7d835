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

// ---- Actions of operators -------------------------------------------------------------------------

// What an operator has typed, for further actions: in the memory of this page only. The forms are made here, so
// that without this script no token can get into an address.
const operator = { token: "", author: "" };

const FIELDS = {
  token: { type: "password", required: true, autocomplete: "off", placeholder: "API token" },
  author: { type: "text", maxLength: 100, placeholder: "Your name (public)" },
  note: { type: "text", maxLength: 200, placeholder: "Why (public)" },
  targets: { type: "text", maxLength: 2000, placeholder: "linux=3 windows=0" },
};

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

// The query of a request: what was typed of what it sends.
function queryOf(form, button) {
  const pairs = [];
  const text = (name) => (button.sends.includes(name) && form.elements[name]?.value.trim()) || "";
  for (const target of text("targets").split(/[\s,]+/).filter(Boolean)) pairs.push(target.split("=").map(encodeURIComponent).join("="));
  if (text("note")) pairs.push(`note=${encodeURIComponent(text("note"))}`);
  if (!pairs.length) return "";
  return (button.path.includes("?") ? "&" : "?") + pairs.join("&");
}

async function act(form, button, result, output) {
  for (const name of Object.keys(operator)) operator[name] = form.elements[name].value;
  const headers = { authorization: `Bearer ${operator.token}`, accept: "application/json, text/plain" };
  if (operator.author.trim()) headers["ci-runners-author"] = encodeURIComponent(operator.author.trim());
  result.textContent = "…";
  try {
    const response = await fetch(button.path + queryOf(form, button), { method: button.method, headers });
    if (response.status === 401 || response.status === 403) form.elements.token.value = operator.token = "";
    const text = await response.text();
    output.hidden = !response.ok || button.done !== "";
    if (!output.hidden) output.textContent = text;
    result.textContent = response.ok ? button.done : JSON.parse(text).message;
    refreshSoon();
  } catch {
    result.textContent = "There is no usable response; try again.";
  }
}

function makeForm(place) {
  const form = make("form");
  const result = make("p", { role: "status" });
  const output = make("pre", { hidden: true, tabIndex: 0, ariaLabel: "Output of the guest" });
  const buttons = make("div", { className: "buttons" });
  const { buttons: wanted } = JSON.parse(place.dataset.actions);
  const names = ["token", "author", "note", "targets"].filter((name) => name in operator || wanted.some((it) => it.sends.includes(name)));
  for (const name of names) {
    const { placeholder } = FIELDS[name];
    form.append(make("input", { name, ...FIELDS[name], ariaLabel: placeholder, value: operator[name] ?? "" }));
  }
  form.append(buttons, result, output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const pressed = event.submitter ?? buttons.firstElementChild;
    const { buttons: all } = JSON.parse(place.dataset.actions);
    const button = all.find((it) => it.label === pressed.dataset.label);
    if (!button) return;
    if (button.is_final && !pressed.dataset.sure) {
      pressed.dataset.sure = "yes";
      pressed.textContent = `${button.label}: press again`;
      return;
    }
    for (const it of buttons.children) it.disabled = true;
    await act(form, button, result, output);
    showButtons(place);
  });
  return form;
}

function showButtons(place) {
  const { title, buttons } = JSON.parse(place.dataset.actions);
  place.querySelector("summary").textContent = title;
  const shown = buttons.map(({ label }) => {
    const button = make("button", { textContent: label });
    button.dataset.label = label;
    return button;
  });
  place.querySelector(".buttons")?.replaceChildren(...shown);
}

// Makes the form when it is first opened, and changes its buttons when the page offers others.
function offerActions(place) {
  if (place.offered === place.dataset.actions) return;
  place.offered = place.dataset.actions;
  if (!place.firstElementChild) {
    const details = make("details", {}, make("summary"));
    details.addEventListener("toggle", () => {
      if (!details.open) return;
      if (!details.querySelector("form")) details.append(makeForm(place));
      for (const [name, text] of Object.entries(operator)) details.querySelector(`[name=${name}]`).value ||= text;
      showButtons(place);
    });
    place.append(details);
  }
  showButtons(place);
}

function offerAllActions() {
  for (const place of document.querySelectorAll("[data-actions]")) offerActions(place);
}

document.addEventListener("page-updated", offerAllActions);
offerAllActions();
adopt(document);
addEventListener("hashchange", showJob);
showJob();
if (events) {
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", changeVisibility);
  changeVisibility();
  showConnection();
}
