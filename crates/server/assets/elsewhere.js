// Where the servers of a cluster have an address each: what a page does when its own server falls silent.
//
// The feed goes on at another server at once. Forms and links go there when they are used, with what this server's
// cookies said, so that a vote is cast once, by the same voter. Without this the page's own buttons lead there.
const page = document.documentElement.dataset;
const servers = ["", ...page.others.split(" ")];
let followed = 0, moving = false;

/** live.js lost its feed, a page or a form, or cannot be told yet; taking it over is said by preventing the default. */
document.addEventListener("hustings:lost", async (event) => {
  event.preventDefault();
  if (event.detail instanceof HTMLFormElement) {
    // Where this server is as good as any, live.js goes on asking it.
    const server = await answering(true);
    if (server) submit(event.detail, server);
  } else if (event.detail) {
    goOn(location.pathname);
  } else {
    followed = (followed + 1) % servers.length;
    page.server = servers[followed];
  }
});

/** The best server: one that takes votes before one that only answers, this one before others; undefined if none does. */
async function answering(withOwn) {
  const ask = async (server) => {
    const response = await fetch(`${server}/readyz`, { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(2500) });
    return { server, isReady: response.ok };
  };
  const own = withOwn && await ask("").catch(() => undefined);
  if (own?.isReady) return "";
  const asked = servers.slice(1).map(ask);
  const ready = asked.map(async (one) => { if (!(await one).isReady) throw new Error("not ready"); return one; });
  const found = await Promise.any(ready).catch(() => own || Promise.any(asked)).catch(() => undefined);
  return found?.server;
}

/** Opens a page of another server, as the same person. A page that shows nobody's own things is just asked for. */
async function goOn(path) {
  if (moving) return;
  moving = true;
  const server = await answering();
  moving = false;
  if (server === undefined) return;
  const form = document.querySelector("#elsewhere");
  if (!form) { location.assign(server + path); return; }
  form.elements.path.value = path;
  form.action = `${server}/go-on`;
  HTMLFormElement.prototype.submit.call(form);
}

/** Sends a form to the best server, as soon as one answers. */
async function send(form, submitter) {
  if (moving) return;
  moving = true;
  let server;
  while ((server = await answering(true)) === undefined) await new Promise((done) => setTimeout(done, 1000));
  moving = false;
  submit(form, server, submitter);
}

/** Its key makes a vote count once, wherever the form arrives. */
function submit(form, server, submitter) {
  const path = new URL(submitter?.hasAttribute("formaction") ? submitter.formAction : form.action).pathname;
  const hidden = (name, value) => form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  for (const { name, value } of document.querySelectorAll("#elsewhere input[name^=as-]")) {
    if (server && !form.elements[name]) hidden(name, value);
  }
  if (submitter?.name) hidden(submitter.name, submitter.value);
  form.action = server + path;
  HTMLFormElement.prototype.submit.call(form);
}

/** Forms that would leave the page first look which server answers. */
document.addEventListener("submit", (event) => {
  const form = event.target, action = event.submitter?.getAttribute("formaction") ?? form.getAttribute("action");
  const isPlain = form.method === "post" && action?.startsWith("/") && form.enctype === "application/x-www-form-urlencoded";
  if (event.defaultPrevented || !isPlain || form.matches("#elsewhere, [data-press]")) return;
  event.preventDefault();
  send(form, event.submitter);
});

/** While another server is followed, this one's links lead there. */
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/']");
  const isPlain = !event.defaultPrevented && event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (!link || !isPlain || !page.server || link.target) return;
  event.preventDefault();
  goOn(new URL(link.href).pathname);
});
