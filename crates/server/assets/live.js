// What pages do on their own. Every page says and does everything without this.
//
// Figures come in as server-sent events, always whole. Marked nodes get new text; nothing inside a form is ever
// touched. When a page has become another one, its <main> is asked for again, never while something is filled in.
const texts = document.documentElement.dataset;
const language = document.documentElement.lang || "en";
const OVER = ["closed", "published", "cancelled"];

/** What has to be done again when <main> was replaced. */
function start(scope) {
  const root = scope.querySelector("[data-events]");
  if (root) follow(root);
  for (const button of scope.querySelectorAll("[data-copy]")) offerCopy(button);
}

// --- The feed ---------------------------------------------------------------------------------------------------

let source, ticking;

function follow(root) {
  const status = () => document.querySelector("[data-live=status]");
  let newest, newestAt = 0, heardAt = Date.now(), announcedAt = 0, broken = false, frame = 0;
  source?.close();
  clearInterval(ticking);
  source = new EventSource(root.dataset.events);
  source.onopen = () => { if (broken) announce(texts.again); broken = false; heardAt = Date.now(); tell(); };
  source.onerror = () => { broken = true; tell(); if (source.readyState === EventSource.CLOSED) comeBack(root); };
  source.addEventListener("snapshot", (event) => {
    heardAt = Date.now();
    const snapshot = JSON.parse(event.data);
    if (root.dataset.slug && snapshot.slug !== root.dataset.slug) return;
    newest = snapshot;
    newestAt = heardAt;
    frame ||= requestAnimationFrame(() => { frame = 0; show(root, newest); });
    if (Date.now() - announcedAt > 15_000) {
      announcedAt = Date.now();
      put(document.querySelector("[data-live=spoken]"), plural("voted", newest.voters));
    }
  });
  source.addEventListener("room", (event) => {
    heardAt = Date.now();
    const room = JSON.parse(event.data);
    set("connected", number(room.connected ?? 0));
    for (const { slug, voters } of room.elections ?? []) set(`voters:${slug}`, number(voters));
    if (root.dataset.version && room.version !== root.dataset.version) refresh();
  });
  ticking = setInterval(tell, 1000);

  function tell() {
    countDown();
    const line = status();
    if (!line) return;
    const isOver = OVER.includes(newest?.state ?? root.dataset.state) && !root.dataset.version;
    const seconds = Math.round((Date.now() - (broken ? heardAt : newestAt || heardAt)) / 1000);
    const text = broken ? fill(texts.stale, { seconds })
      : isOver ? ""
      : newest ? fill(texts.asOf, { n: number(newest.ballots), seconds })
      : texts.now;
    put(line, text ?? "");
  }
}

/** A feed that the server refused is asked for again after a while, not at once by everybody. */
function comeBack(root) {
  setTimeout(() => follow(root), 3000 + Math.random() * 5000);
}

function show(root, snapshot) {
  const isHidden = root.dataset.counts === "hidden";
  if (snapshot.counts_visible && isHidden && root.querySelector("[data-results]")) reveal(root, snapshot);
  else if (root.dataset.counts && isHidden === snapshot.counts_visible) refresh();
  if (snapshot.state !== root.dataset.state) changeState(root, snapshot);
  // What only its voters may see is not in the public feed: the page is asked for again now and then.
  if (root.dataset.own && String(snapshot.ballots) !== root.dataset.own) refresh(8000);
  set("ballots", number(snapshot.ballots));
  set("voters", number(snapshot.voters));
  set(`voters:${snapshot.slug}`, number(snapshot.voters));
  for (const bar of document.querySelectorAll("[data-turnout]")) bar.setAttribute("width", `${Math.min(100, (snapshot.voters * 100) / Math.max(1, Number(bar.dataset.turnout)))}%`);
  for (const contest of snapshot.contests ?? []) showContest(root, contest);
}

/** The result came inside the feed: the page has its table already, and nothing has to be asked for. */
function reveal(root, snapshot) {
  root.dataset.counts = "shown";
  for (const node of root.querySelectorAll("[data-results]")) node.hidden = false;
  for (const node of root.querySelectorAll("[data-before-results]")) node.hidden = true;
  announce(root.querySelector("[data-outcome]")?.textContent ?? "");
}

function changeState(root, snapshot) {
  const warning = document.querySelector("[data-live=warning]");
  if (warning) {
    warning.hidden = false;
    const key = snapshot.state === "open" ? "warnOpen" : snapshot.state === "paused" ? "warnPaused" : "warnClosed";
    put(warning, texts[key], true);
  } else if (OVER.includes(snapshot.state) && root.querySelector("[data-results]")) {
    // All that such a page shows of the end is in the feed.
    const chip = document.querySelector("[data-live=state]");
    put(chip, texts[`state${snapshot.state[0].toUpperCase()}${snapshot.state.slice(1)}`] ?? "");
    if (chip) chip.className = `chip chip-${snapshot.state}`;
  } else if (root.hasAttribute("data-refresh")) {
    refresh();
  }
  root.dataset.state = snapshot.state;
}

function showContest(root, contest) {
  const outcome = contest.outcome;
  if (outcome) put(root.querySelector(`[data-outcome="${contest.id}"]`), outcome.texts?.[language] ?? outcome.sentence);
  if (!contest.counts) return;
  const total = contest.counts.reduce((sum, row) => sum + row.votes, 0);
  const most = Math.max(1, ...contest.counts.map((row) => row.votes));
  for (const { choice, votes } of contest.counts) {
    const row = root.querySelector(`[data-row="${contest.id}/${choice}"]`);
    if (!row) continue;
    row.classList.toggle("winner", outcome?.winners?.includes(choice) ?? false);
    put(row.querySelector("[data-votes]"), number(votes));
    put(row.querySelector("[data-share]"), share(votes, Math.max(1, contest.share_base ?? total)));
    row.querySelector("[data-bar]")?.setAttribute("width", `${(votes * 100) / most}%`);
  }
  put(root.querySelector(`[data-blank="${contest.id}"]`), number(contest.blank ?? 0));
}

// --- Pages that have become others ------------------------------------------------------------------------------

let refreshing = false;

/**
 * Asks for the page again and takes over its <main>. Spread over a moment, so that not everybody comes at once;
 * tried until it works, so that a restart of the server leaves no error page on a wall.
 */
function refresh(patience = 100) {
  if (refreshing) return;
  refreshing = true;
  const spread = document.body.classList.contains("screen") ? 0 : 1500;
  setTimeout(takeOver, patience + Math.random() * spread, 1);
}

async function takeOver(attempt) {
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" } });
    if (response.status >= 500) throw new Error(response.statusText);
    if (response.redirected) { location.replace(response.url); return; }
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const focused = document.activeElement?.id;
    document.title = page.title;
    document.body.className = page.body.className;
    document.querySelector("main").replaceWith(page.querySelector("main"));
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    for (const time of document.querySelectorAll("main time[datetime]")) showTime(time);
    refreshing = false;
    start(document.querySelector("main"));
  } catch {
    setTimeout(takeOver, Math.min(10_000, 500 * attempt) + Math.random() * 1000, attempt + 1);
  }
}

// --- Voting -----------------------------------------------------------------------------------------------------

/** "Choose up to 2": what would be too many cannot be marked, and the line below says why. */
function limitMarks(set) {
  const boxes = [...set.querySelectorAll("input[type=checkbox]")];
  const line = set.querySelector("[data-marked]");
  const max = Number(set.dataset.max);
  const look = () => {
    const marked = boxes.filter((box) => box.checked).length;
    for (const box of boxes) box.disabled = marked >= max && !box.checked;
    put(line, fill(marked >= max ? texts.markedAll : texts.marked, { n: number(marked), max: number(max) }), true);
  };
  set.addEventListener("change", look);
  look();
}

/** Sends a form without leaving the page, so that a lost connection leaves it there, to be sent again as it is. */
function sendInPlace(form) {
  form.addEventListener("submit", async (event) => {
    if (event.submitter?.hasAttribute("formaction")) return;
    event.preventDefault();
    const line = form.querySelector("[data-sending]");
    const buttons = form.querySelectorAll("button");
    for (const button of buttons) button.setAttribute("aria-disabled", "true");
    say(texts.sending);
    try {
      const response = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      if (response.redirected) { location.assign(response.url); return; }
      document.open();
      document.write(await response.text());
      document.close();
    } catch {
      say(texts.notSent);
      for (const button of buttons) button.removeAttribute("aria-disabled");
    }
    function say(text) { line.hidden = false; line.textContent = text; }
  });
}

// --- Small things -----------------------------------------------------------------------------------------------

function set(name, text) {
  for (const node of document.querySelectorAll(`[data-live="${name}"]`)) put(node, text);
}

function put(node, text, mayBeInForm = false) {
  if (node && node.textContent !== text && (mayBeInForm || !node.closest("form"))) node.textContent = text;
}

/** Read out by screen readers. */
function announce(text) {
  put(document.querySelector("[data-live=spoken]"), text);
}

function fill(text, values) {
  return (text ?? "").replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

function plural(name, count) {
  const forms = JSON.parse(texts[name] ?? "{}");
  return fill(forms[new Intl.PluralRules(language).select(count)] ?? forms.other, { n: number(count) });
}

function number(value) {
  const mark = { de: ".", fr: "\u202f" }[language] ?? ",";
  return String(value).replace(/\B(?=(\d{3})+$)/g, mark);
}

/** In tenths of a percent, rounded half up, as the server writes it. */
function share(part, whole) {
  const tenths = Math.floor((part * 2000 + whole) / (whole * 2));
  const mark = ["de", "fr"].includes(language) ? "," : ".";
  return `${Math.floor(tenths / 10)}${tenths % 10 ? mark + (tenths % 10) : ""} %`;
}

/** The reader's own zone, and what the server wrote beside it. */
function showTime(time) {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.valueOf()) || time.dataset.own) return;
  time.dataset.own = time.textContent;
  const own = at.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
  time.textContent = time.hasAttribute("data-with-utc") ? `${own} (${time.dataset.own})` : own;
}

/** What is left until a closing time, from the server's clock as it was when the page was made. */
const loadedAt = performance.now();
function countDown() {
  for (const node of document.querySelectorAll("[data-closes-in-ms]")) {
    const left = Math.max(0, Math.ceil((Number(node.dataset.closesInMs) - (performance.now() - loadedAt)) / 1000));
    const text = left >= 3600 ? `${Math.floor(left / 3600)}:${two(Math.floor(left / 60) % 60)}:${two(left % 60)}` : `${Math.floor(left / 60)}:${two(left % 60)}`;
    put(node, text, true);
  }
}

function two(part) {
  return String(part).padStart(2, "0");
}

function offerCopy(button) {
  if (!navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = texts.copied;
  });
}

start(document);
for (const time of document.querySelectorAll("time[datetime]")) showTime(time);
for (const set of document.querySelectorAll("[data-max]")) limitMarks(set);
for (const form of document.querySelectorAll("form[data-send]")) sendInPlace(form);
