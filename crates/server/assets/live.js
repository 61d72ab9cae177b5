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
  for (const node of scope.querySelectorAll("[data-every]")) setTimeout(refresh, node.dataset.every * 1000);
  for (const button of scope.querySelectorAll("[data-copy]")) offerCopy(button);
  for (const button of scope.querySelectorAll("[data-print]")) offer(button, () => print());
  for (const button of scope.querySelectorAll("[data-mute]")) offerMute(button);
  for (const set of scope.querySelectorAll("[data-max]")) limitMarks(set);
  for (const form of scope.querySelectorAll("form[data-send]")) sendInPlace(form);
  for (const time of scope.querySelectorAll("time[datetime]")) showTime(time);
  for (const node of scope.querySelectorAll("[data-closes-in-ms]")) node.dataset.closesInMs = Number(node.dataset.closesInMs) + performance.now() - loadedAt;
  countDown();
  document.dispatchEvent(new CustomEvent("hustings:main"));
}

// --- The feed ---------------------------------------------------------------------------------------------------

let source, ticking, heardAt = Date.now(), askedAt, broken = false;

function follow(root) {
  const status = () => document.querySelector("[data-live=status]");
  let newest, newestAt = 0, announcedAt = 0, frame = 0;
  source?.close();
  clearInterval(ticking);
  askedAt = Date.now();
  // In a cluster elsewhere.js says which server is followed.
  source = new EventSource((texts.server ?? "") + root.dataset.events);
  source.onopen = () => { if (broken) announce(texts.again); broken = false; heardAt = Date.now(); tell(); };
  source.onerror = () => { broken = true; if (isLost() || source.readyState === EventSource.CLOSED) comeBack(root); tell(); };
  source.addEventListener("alive", () => { heardAt = Date.now(); });
  source.addEventListener("snapshot", (event) => {
    heardAt = Date.now();
    const snapshot = JSON.parse(event.data);
    if (root.dataset.slug && snapshot.slug !== root.dataset.slug) return;
    newest = snapshot;
    newestAt = heardAt;
    frame ||= requestAnimationFrame(() => { frame = 0; show(root, newest); });
    if (Date.now() - announcedAt > 15_000 && !isMuted()) {
      announcedAt = Date.now();
      announce(plural(root.querySelector("[data-voted]")?.dataset.voted ?? texts.voted, newest.voters));
    }
  });
  source.addEventListener("room", (event) => {
    heardAt = Date.now();
    const room = JSON.parse(event.data);
    set("connected", room.connected ?? 0);
    for (const { slug, voters } of room.elections ?? []) set(`voters:${slug}`, voters);
    if (root.dataset.version && room.version !== root.dataset.version) refresh();
    if ("followRoom" in root.dataset) goAlong(root, room);
  });
  ticking = setInterval(tell, 1000);

  function tell() {
    countDown();
    if (texts.others && Date.now() - Math.max(heardAt, askedAt) > 13_000) source.onerror();
    const silent = Math.round((Date.now() - heardAt) / 1000);
    put(document.querySelector("[data-live=stale]"), broken && silent > 3 ? fill(texts.stale, { seconds: silent }) : "");
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

/** Where an officer leads: to the election that comes on the screen; and the news of this one while it is not there. */
function goAlong(root, { show, election, elections = [] }) {
  const { slug, followRoom } = root.dataset;
  const isOpen = elections.some((line) => line.slug === election && line.state === "open");
  if ((show === "election" || (show === "results" && isOpen)) && election !== slug && election !== followRoom) {
    setTimeout(() => location.assign(`/e/${election}`), Math.random() * 1500);
    root.dataset.followRoom = election;
  }
  const own = elections.find((line) => line.slug === slug);
  const news = own && `${own.state} ${own.revealed}`;
  if (election !== slug && root.news && root.news !== news) refresh();
  root.news = news;
}

/** A feed that the server refused is asked for again after a while, not at once by everybody; another server's soon. */
function comeBack(root) {
  source.close();
  askedAt = Infinity;
  const spread = texts.others ? 300 : 3000;
  setTimeout(() => root.isConnected && follow(root), spread + Math.random() * spread * 2);
}

/** Tells elsewhere.js that a server does not answer, and what was to be sent; whether there is another one. */
function isLost(form) {
  return !document.dispatchEvent(new CustomEvent("hustings:lost", { cancelable: true, detail: form }));
}

function show(root, snapshot) {
  const isHidden = root.dataset.counts === "hidden";
  const turns = root.dataset.counts && isHidden === snapshot.counts_visible;
  if (turns && !root.querySelector("[data-results]")) refresh();
  if (snapshot.state !== root.dataset.state) changeState(root, snapshot);
  // What only its voters may see is not in the public feed: the page is asked for again now and then.
  if (root.dataset.own && String(snapshot.ballots) !== root.dataset.own) refresh(8000);
  for (const node of root.querySelectorAll("[data-voted]")) put(node, plural(node.dataset.voted, snapshot.voters));
  if (snapshot.closes_at) showClosing(snapshot);
  set("ballots", snapshot.ballots);
  set("voters", snapshot.voters);
  set(`voters:${snapshot.slug}`, snapshot.voters);
  for (const bar of document.querySelectorAll("[data-turnout]")) bar.setAttribute("width", `${Math.min(100, (snapshot.voters * 100) / Math.max(1, Number(bar.dataset.turnout)))}%`);
  // Nor may what the public does not see yet take away what this page shows to its own.
  if (snapshot.counts_visible || !root.dataset.own) for (const contest of snapshot.contests ?? []) showContest(root, contest);
  if (turns) unveil(root, snapshot.counts_visible);
}

/** The result came inside the feed, or is hidden again: the page has its tables already, and asks for nothing. */
function unveil(root, isShown) {
  root.dataset.counts = isShown ? "shown" : "hidden";
  delete root.dataset.own;
  for (const node of root.querySelectorAll("[data-results]")) node.hidden = !isShown;
  for (const node of root.querySelectorAll("[data-before-results]")) node.hidden = isShown;
  if (isShown) announce(root.querySelector("[data-outcome]")?.textContent ?? "");
  else for (const node of root.querySelectorAll("[data-votes], [data-share], [data-blank]")) node.textContent = "";
}

function changeState(root, { state }) {
  const isFilledIn = document.querySelector("[data-live=warning]");
  // All that a page with results shows of a pause or the end is in the feed.
  const isWhole = root.querySelector("[data-results]") && root.dataset.state !== "draft";
  if (isFilledIn) warn(texts[{ open: "warnOpen", paused: "warnPaused" }[state] ?? "warnClosed"]);
  if (isFilledIn || isWhole) showState(state);
  else if (root.hasAttribute("data-refresh")) refresh();
  root.dataset.state = state;
}

function showState(state) {
  const text = texts[`state${state[0].toUpperCase()}${state.slice(1)}`];
  const chip = document.querySelector("[data-live=state]");
  if (text && chip) {
    put(chip, text);
    chip.className = `chip chip-${state}`;
  }
  for (const node of document.querySelectorAll("[data-until-close]")) node.hidden = OVER.includes(state);
  for (const node of document.querySelectorAll("[data-after-close]")) node.hidden = !OVER.includes(state);
}

function showContest(root, contest) {
  const outcome = contest.outcome;
  const sentence = root.querySelector(`[data-outcome="${contest.id}"]`);
  const total = contest.counts?.reduce((sum, row) => sum + row.votes, 0);
  put(sentence, outcome ? outcome.texts?.[language] ?? outcome.sentence
    : total && sentence?.dataset.rated ? rated(sentence.dataset.rated, contest.counts, total)
    : sentence?.dataset.without ?? "");
  if (!contest.counts) return;
  if (total) put(root.querySelector(`[data-average="${contest.id}"]`), average(contest.counts, total));
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

/** A rating while voting goes on, in one sentence. */
function rated(forms, counts, total) {
  return fill(plural(forms, total), { average: average(counts, total) });
}

/** Rounded half up to a tenth, as the server writes it. */
function average(counts, total) {
  const points = counts.reduce((sum, row) => sum + row.choice * row.votes, 0);
  return decimal(Math.floor((20 * points + total) / (2 * total)));
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
  const spread = document.querySelector(".screen, .officer") ? 0 : 1500;
  setTimeout(takeOver, patience + Math.random() * spread, 1);
}

/** An officer who is asked something, or writes, goes on with that first. */
function isBusy() {
  const focused = document.activeElement;
  return document.querySelector(".officer details.ask[open], dialog[open]")
    || (focused?.closest(".officer") && focused.matches("input, textarea, select"));
}

async function takeOver(attempt) {
  if (isBusy()) { setTimeout(takeOver, 1000, attempt); return; }
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" } });
    if (response.status >= 500) throw new Error(response.statusText);
    if (response.redirected) { location.replace(response.url); return; }
    const page = await response.text();
    // Who has been asked something while the page came goes on with that, and gets a newer page afterwards.
    if (isBusy()) { setTimeout(takeOver, 1000, attempt); return; }
    become(page);
    refreshing = false;
  } catch {
    if (attempt > 1) isLost("page");
    setTimeout(takeOver, Math.min(10_000, 500 * attempt) + Math.random() * 1000, attempt + 1);
  }
}

/** Takes over another page's <main>. A dialogue that is open in the old one is open in the new one. */
function become(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const focused = document.activeElement?.id;
  const dialog = document.querySelector("dialog[open]");
  document.title = page.title;
  document.body.className = page.body.className;
  document.querySelector("main").replaceWith(page.querySelector("main"));
  if (dialog) document.querySelector(`dialog[aria-labelledby="${dialog.getAttribute("aria-labelledby")}"]`)?.showModal();
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  start(document.querySelector("main"));
}
document.addEventListener("hustings:page", (event) => become(event.detail));

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

/**
 * Sends a form without leaving the page, so that a lost connection leaves it there, to be sent again as it is. A server
 * that is full is asked again by itself: the form carries a key, and counts once however often it comes.
 */
function sendInPlace(form) {
  const line = form.querySelector("[data-sending]");
  let tries = 0, isSending = false;
  form.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("formaction")) return;
    event.preventDefault();
    tries = 0;
    send();
  });

  async function send() {
    if (isSending) return;
    isSending = true;
    document.querySelector("[data-nothing-cast]")?.remove();
    say(texts.sending);
    try {
      const body = new URLSearchParams(new FormData(form));
      const response = await fetch(form.action, { method: "POST", body, signal: AbortSignal.timeout(texts.others ? 8000 : 20_000) });
      const seconds = Number(response.headers.get("retry-after")) || 0;
      const page = await response.text();
      // A balancer's page about a server that is gone says nothing about the vote.
      if (!page.includes("<main")) throw new Error(response.statusText);
      const isUnknown = page.includes("data-not-known>");
      if (seconds && tries++ < (isUnknown ? 15 : 5)) {
        say(fill(isUnknown ? texts.notKnown : texts.busy, { seconds }));
        if (isUnknown && tries % 2 === 0) isLost(form);
        setTimeout(send, seconds * 1000 + Math.random() * 1000);
      } else if (response.redirected) {
        location.assign(response.url);
      } else {
        become(page);
        scrollTo(0, 0);
        document.querySelector("main").focus();
      }
    } catch {
      if (isLost(form)) setTimeout(send, 2000);
      else say(texts.notSent);
    }
    isSending = false;
  }

  function say(text) { line.hidden = false; line.textContent = text; }
}

// --- Small things -----------------------------------------------------------------------------------------------

/** A number, alone or in the sentence that the node has for it. */
function set(name, count) {
  for (const node of document.querySelectorAll(`[data-live="${name}"]`)) put(node, node.dataset.forms ? plural(node.dataset.forms, count) : number(count));
}

function put(node, text, mayBeInForm = false) {
  if (node && node.textContent !== text && (mayBeInForm || !node.closest("form"))) node.textContent = text;
}

/** Shown and read out at once where a ballot is filled in; elsewhere read out. */
function warn(text) {
  const place = document.querySelector("[data-live=warning]");
  if (!place) return announce(text);
  place.hidden = false;
  put(place, text);
}

/** Read out by screen readers. */
function announce(text) {
  put(document.querySelector("[data-live=spoken]"), text);
}

function fill(text, values) {
  return (text ?? "").replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

function plural(json, count) {
  const forms = JSON.parse(json);
  return fill(forms[new Intl.PluralRules(language).select(count)] ?? forms.other, { n: number(count) });
}

function number(value) {
  const mark = { de: ".", fr: "\u202f" }[language] ?? ",";
  return String(value).replace(/\B(?=(\d{3})+$)/g, mark);
}

/** In tenths of a percent, rounded half up, as the server writes it. */
function share(part, whole) {
  const tenths = Math.floor((part * 2000 + whole) / (whole * 2));
  return `${tenths % 10 ? decimal(tenths) : tenths / 10} %`;
}

function decimal(tenths) {
  return `${Math.floor(tenths / 10)}${["de", "fr"].includes(language) ? "," : "."}${tenths % 10}`;
}

/** The reader's own zone, and UTC beside it where that differs; of today only the hour. */
function showTime(time) {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.valueOf()) || time.dataset.own) return;
  time.dataset.own = "shown";
  const isToday = at.toDateString() === new Date().toDateString();
  const own = at.toLocaleString(language, { dateStyle: isToday ? undefined : "medium", timeStyle: "short" });
  const utc = isToday ? time.textContent.replace(/^\S+ /, "") : time.textContent;
  const needsUtc = time.hasAttribute("data-with-utc") && at.getTimezoneOffset() !== 0;
  time.textContent = needsUtc ? `${own} (${utc})` : time.hasAttribute("data-with-utc") ? `${own} UTC` : own;
}

/** What is left until a closing time, from the server's clock as it was when the page was made. */
const loadedAt = performance.now();
let isWarned = false;
function countDown() {
  for (const node of document.querySelectorAll("[data-closes-in-ms]")) {
    const left = Math.max(0, Math.ceil((Number(node.dataset.closesInMs) - (performance.now() - loadedAt)) / 1000));
    if (left > 0 && left <= 60 && !isWarned) {
      isWarned = true;
      warn(texts.warnMinute);
    }
    const text = left >= 3600 ? `${Math.floor(left / 3600)}:${two(Math.floor(left / 60) % 60)}:${two(left % 60)}` : `${Math.floor(left / 60)}:${two(left % 60)}`;
    put(node, text, true);
  }
}

function two(part) {
  return String(part).padStart(2, "0");
}

/** The closing time as it is now: officers extend it. */
function showClosing({ closes_at, at }) {
  for (const node of document.querySelectorAll("[data-closes-in-ms]")) {
    node.dataset.closesInMs = Date.parse(closes_at) - Date.parse(at) + performance.now() - loadedAt;
  }
  for (const time of document.querySelectorAll("time[data-closes]")) {
    if (Date.parse(time.dateTime) === Date.parse(closes_at)) continue;
    time.dateTime = closes_at;
    time.textContent = `${closes_at.slice(0, 10)} ${closes_at.slice(11, 16)} UTC`;
    delete time.dataset.own;
    showTime(time);
  }
}

/** A button that only a script can do something with. */
function offer(button, act) {
  button.hidden = false;
  button.addEventListener("click", act);
}

function offerCopy(button) {
  if (!navigator.clipboard) return;
  offer(button, async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = texts.copied;
    announce(texts.copied);
  });
}

/** The turnout is read out now and then, unless that is switched off for as long as the tab lives. */
function isMuted() {
  return sessionStorage.getItem("muted") === "true";
}

function offerMute(button) {
  const look = () => button.setAttribute("aria-pressed", isMuted());
  look();
  offer(button, () => {
    sessionStorage.setItem("muted", !isMuted());
    look();
  });
}

start(document);
