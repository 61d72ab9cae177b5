// Live figures for pages that already say everything without this. Absolute snapshots come in as
// server-sent events; marked nodes get new text. Nothing inside a form is ever touched.
const root = document.querySelector("[data-events]");
if (root) follow(root);
for (const button of document.querySelectorAll("[data-copy]")) offerCopy(button);
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.valueOf())) time.textContent = at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

function follow(root) {
  const status = root.querySelector("[data-live=status]") ?? document.querySelector("[data-live=status]");
  const shownState = root.dataset.state;
  const shownCounts = root.dataset.counts;
  let newest = null, heardAt = Date.now(), announced = 0, broken = false, timer = 0;

  const source = new EventSource(root.dataset.events);
  source.onopen = () => { broken = false; heardAt = Date.now(); tell(); };
  source.onerror = () => { broken = true; tell(); };
  source.addEventListener("snapshot", (event) => {
    heardAt = Date.now();
    newest = JSON.parse(event.data);
    if (!timer) timer = requestAnimationFrame(() => { timer = 0; show(newest); });
  });
  source.addEventListener("room", (event) => {
    if (JSON.parse(event.data).version !== shownState) reloadSoon();
  });
  setInterval(tell, 1000);

  function tell() {
    if (!status) return;
    const seconds = Math.round((Date.now() - heardAt) / 1000);
    const isOver = ["closed", "published", "cancelled"].includes(newest?.state ?? shownState);
    const text = isOver ? "" : broken ? `Last update ${seconds} s ago, trying again.` : "Live: figures appear by themselves.";
    if (status.textContent !== text) status.textContent = text;
  }

  function show(snapshot) {
    const counts = snapshot.counts_visible ? "shown" : "hidden";
    const isRoom = root.hasAttribute("data-room");
    if (!isRoom && (snapshot.state !== shownState || (shownCounts && counts !== shownCounts))) {
      if (root.hasAttribute("data-reload")) { reloadSoon(); return; }
      if (snapshot.state !== shownState) warn(snapshot);
    }
    // What only its voters may see is not in the public feed: the page is asked for again now and then.
    if (root.hasAttribute("data-own") && String(snapshot.ballots) !== root.dataset.own) reloadSoon(8000);
    set("ballots", group(snapshot.ballots));
    set("voters", group(snapshot.voters));
    set(`voters:${snapshot.slug}`, group(snapshot.voters));
    // Read out at most every 12 s, so that a screen reader is not talked over.
    if (Date.now() - announced > 12000) {
      announced = Date.now();
      set("spoken", `${group(snapshot.voters)} have voted.`);
    }
    for (const contest of snapshot.contests ?? []) showContest(contest);
  }

  function warn(snapshot) {
    const box = document.querySelector("[data-live=warning]");
    if (!box) return;
    box.hidden = false;
    box.textContent = snapshot.state === "open" ? "Voting is open again."
      : snapshot.state === "paused" ? "Voting is paused. Your vote has not been cast."
      : "Voting has closed. If you have not cast your vote, it was not counted.";
  }

  function showContest(contest) {
    if (!contest.counts) return;
    const total = contest.counts.reduce((sum, row) => sum + row.votes, 0);
    const most = Math.max(1, ...contest.counts.map((row) => row.votes));
    for (const { choice, votes } of contest.counts) {
      const row = root.querySelector(`[data-row="${contest.id}/${choice}"]`);
      if (!row) continue;
      put(row.querySelector("[data-votes]"), group(votes));
      put(row.querySelector("[data-share]"), share(votes, Math.max(1, contest.share_base ?? total)));
      row.querySelector("[data-bar]")?.setAttribute("width", `${(votes * 100) / most}%`);
    }
    put(root.querySelector(`[data-blank="${contest.id}"]`), group(contest.blank ?? 0));
  }

  function set(name, text) {
    for (const node of document.querySelectorAll(`[data-live="${name}"]`)) put(node, text);
  }
}

function put(node, text) {
  if (node && node.textContent !== text && !node.closest("form")) node.textContent = text;
}

let reloading = false;
// Spread over a moment, so that a close does not bring everybody back at once.
function reloadSoon(patience = 150) {
  if (reloading) return;
  reloading = true;
  const spread = document.body.classList.contains("screen") ? 0 : 1500;
  setTimeout(() => location.reload(), patience + Math.random() * spread);
}

function group(number) {
  const digits = String(number);
  return digits.length <= 4 ? digits : digits.replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

function share(part, whole) {
  const tenths = Math.floor((part * 2000 + whole) / (whole * 2));
  return tenths % 10 === 0 ? `${tenths / 10} %` : `${(tenths / 10).toFixed(1)} %`;
}

function offerCopy(button) {
  if (!navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  });
}
