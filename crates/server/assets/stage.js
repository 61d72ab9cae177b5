// The stage: what a projector and an officer's remote do on their own. Both work without this, by reloading.
//
// live.js keeps <main> up to date and says so by "hustings:main"; what was pressed here goes back by "hustings:page".
const PAGE_MS = 8000;
const REVEAL_MS = 1600;
const still = matchMedia("(prefers-reduced-motion: reduce)");
let turning, revealing = [], shownBefore;

function set() {
  wall();
  for (const button of document.querySelectorAll("[data-keys]")) button.hidden = false;
  const use = document.querySelector("[data-keys-on]");
  if (use) use.checked = keysAreOn();
}

// --- The wall ---------------------------------------------------------------------------------------------------

let page = 0, paused = false;

function wall() {
  clearInterval(turning);
  stopReveal();
  const root = document.querySelector(".screen [data-slug]");
  document.body.classList.toggle("scripted", document.body.classList.contains("screen"));
  const revealed = root?.dataset.reveal;
  const isNews = shownBefore !== undefined && revealed && shownBefore !== revealed;
  shownBefore = revealed ?? "";
  page = 0;
  show();
  if (isNews && !still.matches) reveal(root);
  // Under reduced motion nothing turns by itself; the arrow keys turn.
  if (pages().length > 1 && !still.matches) turning = setInterval(() => paused || revealing.length || turn(1), PAGE_MS);
}

function pages() {
  return [...document.querySelectorAll(".screen [data-page]")];
}

function show() {
  const all = pages();
  all.forEach((one, index) => { one.hidden = index !== page; });
  const line = document.querySelector("[data-page-number]");
  if (!line) return;
  line.hidden = all.length < 2;
  line.textContent = `${page + 1} / ${all.length}`;
}

function turn(by) {
  const count = pages().length;
  page = (page + by + count) % count;
  show();
}

/** Rows come from the last to the first, then the outcome; any key or click shows all at once. */
function reveal(root) {
  const rows = [...root.querySelectorAll("[data-page]:not([hidden]) [data-row]")].reverse();
  const order = [...rows, ...root.querySelectorAll("[data-page]:not([hidden]) :is(.outcome, .average)")];
  for (const node of order) node.classList.add("to-come");
  const step = Math.min(350, REVEAL_MS / Math.max(1, order.length));
  revealing = order.map((node, index) => setTimeout(() => {
    node.classList.remove("to-come");
    if (index === order.length - 1) revealing = [];
  }, 200 + index * step));
}

function stopReveal() {
  for (const timer of revealing) clearTimeout(timer);
  const was = revealing.length > 0;
  revealing = [];
  for (const node of document.querySelectorAll(".to-come")) node.classList.remove("to-come");
  return was;
}

document.addEventListener("click", () => document.body.classList.contains("screen") && stopReveal());
document.addEventListener("keydown", (event) => {
  if (!document.body.classList.contains("screen") || event.ctrlKey || event.altKey || event.metaKey) return;
  if (stopReveal()) return;
  if (event.key === "ArrowRight" || event.key === "PageDown") turn(1);
  else if (event.key === "ArrowLeft" || event.key === "PageUp") turn(-1);
  else if (event.key === " ") paused = !paused;
});

// --- The officer ------------------------------------------------------------------------------------------------

const KEYS = "hustings-keys";

function keysAreOn() {
  try { return localStorage.getItem(KEYS) !== "off"; } catch { return true; }
}

document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-keys-on]")) return;
  try { localStorage.setItem(KEYS, event.target.checked ? "on" : "off"); } catch { /* a browser that remembers nothing */ }
});

document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-keys]")) help();
});

function help() {
  document.querySelector("dialog.keys")?.showModal();
}

/** Letters press the page's own buttons, never while something is typed; a switch turns them off. */
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable], dialog");
  if (isTyping || event.repeat || event.ctrlKey || event.altKey || event.metaKey || !document.querySelector(".lead")) return;
  if (event.key === "?" && keysAreOn()) { help(); event.preventDefault(); return; }
  if (!keysAreOn()) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const button = document.querySelector(`.lead [data-key="${CSS.escape(key)}"]`);
  if (!button || button.disabled) return;
  event.preventDefault();
  if (button.matches("summary")) {
    button.parentElement.open = true;
    button.parentElement.querySelector("button").focus();
  } else {
    button.click();
  }
});

// Escape takes back what was asked.
document.addEventListener("keydown", (event) => {
  const asked = event.key === "Escape" && document.querySelector(".officer details.ask[open]");
  if (!asked) return;
  asked.open = false;
  asked.querySelector("summary").focus();
});

/** Buttons of the lead are sent without leaving the page, so that nothing jumps under a thumb. */
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("form[data-press]") || form.dataset.sent) return;
  event.preventDefault();
  form.dataset.sent = "yes";
  const body = new URLSearchParams(new FormData(form, event.submitter));
  try {
    const response = await fetch(form.action, { method: "POST", body });
    for (const open of document.querySelectorAll(".officer details.ask[open]")) open.open = false;
    document.dispatchEvent(new CustomEvent("hustings:page", { detail: await response.text() }));
    if (!document.activeElement || document.activeElement === document.body) document.querySelector("main").focus({ preventScroll: true });
    say(document.querySelector("#done")?.textContent ?? document.querySelector(".lead")?.dataset.spoken ?? "");
  } catch {
    delete form.dataset.sent;
    const line = document.querySelector("[data-problem]");
    if (line) line.textContent = document.querySelector(".lead").dataset.notSent;
    document.dispatchEvent(new CustomEvent("hustings:lost", { cancelable: true, detail: "page" }));
  }
});

function say(text) {
  const line = document.querySelector("[data-live=spoken]");
  if (line) line.textContent = text;
}

document.addEventListener("hustings:main", set);
set();
