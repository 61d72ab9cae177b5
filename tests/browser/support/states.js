// The states that pages can be in: how each is brought about.

const NAMES = ["A short one", "One with a name so long that it has to be broken on a narrow screen, whatever it says", "مرحبا"];
const MANY = Array.from({ length: 20 }, (_, index) => `Choice number ${index + 1}`);

function plurality(slug, more = {}, contest = {}) {
  return { slug, title: `The ${slug} election`, organiser: "The hall", contest: [{ id: "one", title: "What shall it be?", choices: NAMES, ...contest }], ...more };
}

/** A house with an election in each state. Answers where they are. */
export async function furnish(server) {
  const create = async (definition, ...acts) => {
    await server.post("/elections", definition);
    for (const act of acts) {
      if (typeof act === "string") await server.post(`/elections/${definition.slug}/${act}`);
      else await act(definition.slug);
    }
  };
  const votes = (...answers) => async (slug) => {
    for (const choices of answers) await vote(server, slug, choices);
  };
  const soon = new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+Z$/, "Z");
  await create(plurality("draft"));
  await create(plurality("open", { description: "About something.", closing: { at: soon } }), "open");
  await create(plurality("several", {
    contest: [
      { id: "one", title: "What shall it be?", choices: NAMES },
      { id: "two", title: "Mark up to two", choose: { min: 0, max: 2 }, choices: MANY.slice(0, 5) },
      { id: "fence", title: "A new fence", method: "motion", majority: ">=2/3", description: "It costs 300." },
      { id: "lunch", title: "How was lunch?", method: "rating" },
    ],
  }), "open");
  await create(plurality("listed", { eligibility: "list", voters: ["u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9"], results: "live" }), "open");
  await create(plurality("again", { revote: "last-counts", results: "own-ballot" }), "open");
  await create(plurality("few", { closing: { after_voters: 1000 } }), "open");
  await create(plurality("live", { results: "live" }), "open");
  await create(plurality("shut"), "open");
  await create(plurality("paused"), "open", "pause");
  await create(plurality("closed"), "open", "close");
  await create(plurality("cancelled"), "open");
  await server.post("/elections/cancelled/cancel", { reason: "rain" });
  const ids = (await server.get("/elections/open")).definition.contest[0].choices.map((choice) => choice.id);
  const [short, long, arabic] = ids;
  await create(plurality("hidden", { results: "on-reveal" }), "open", votes({ one: [short] }), "close");
  await create(plurality("winner"), "open", votes({ one: [short] }, { one: [short] }, { one: [long] }, { one: [] }), "close", "publish");
  await create(plurality("tie", { draw: "none" }), "open", votes({ one: [short] }, { one: [arabic] }), "close");
  await create(plurality("motion", { contest: [{ id: "one", title: "A new fence", method: "motion", majority: ">1/2" }] }), "open", votes({ one: ["yes"] }, { one: ["yes"] }, { one: ["no"] }), "close");
  await create(plurality("rated", { contest: [{ id: "one", title: "How was lunch?", method: "rating" }] }), "open", votes({ one: ["4"] }, { one: ["5"] }, { one: ["2"] }), "close");
  await create(plurality("many", {}, { choices: MANY }), "open", votes({ one: ["choice-number-7"] }, { one: ["choice-number-7"] }, { one: ["choice-number-2"] }), "close");
  const room = (title, pace, elections) => server.post("/rooms", { title, pace, elections });
  const own = await room("Annual meeting", "own", ["open", "several", "paused", "winner"]);
  const led = await room("The stage", "led", ["live", "several", "winner", "tie", "rated", "many", "hidden"]);
  const locked = await room("A locked room", "led", ["shut"]);
  await server.post(`/rooms/${locked.code}/lock`);
  const bare = await room("A bare room", "own", []);
  return { own: own.code, led: led.code, locked: locked.code, bare: bare.code, choices: ids };
}

async function vote(server, slug, choices) {
  const { token } = await fetch(`${server.base}/api/v1/elections/${slug}/sessions`, { method: "POST" }).then((answer) => answer.json());
  const answer = await fetch(`${server.base}/api/v1/elections/${slug}/ballots`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ choices }),
  });
  if (answer.status !== 201) throw new Error(`${slug}: ${answer.status} ${await answer.text()}`);
}

/** Marks the first option of the ballot's contests, or none, and sends it to be reviewed. */
async function review(page, base, slug, { blank = false, tooMany = false } = {}) {
  await page.goto(`${base}/e/${slug}`);
  await page.evaluate(({ blank, tooMany }) => {
    const form = document.querySelector("form[action$='/review']");
    const sets = [...form.querySelectorAll("fieldset")];
    for (const set of blank ? [] : sets) set.querySelector("input[type=radio], input[type=checkbox]").checked = true;
    if (tooMany) for (const box of form.querySelectorAll("input[type=checkbox]")) { box.disabled = false; box.checked = true; }
    form.submit();
  }, { blank, tooMany });
  await page.waitForURL(/\/review$/);
}

async function cast(page, base, slug) {
  await review(page, base, slug);
  await page.evaluate(() => {
    const form = document.querySelector("form[action$='/cast']");
    HTMLFormElement.prototype.submit.call(form);
  });
  await page.waitForURL(/\/receipt$/);
}

export function voterStates(server, empty, places) {
  const { base } = server;
  const visit = (name, where) => ({ name, show: (page) => page.goto(base + where) });
  const states = [
    visit("home", "/"),
    visit("home-wrong-code", "/j?code=ZZZZZZ"),
    visit("room-own", `/j/${places.own}`),
    visit("room-bare", `/j/${places.bare}`),
    visit("room-locked", `/j/${places.locked}`),
    visit("no-such-room", "/j/ZZZZZZ"),
    visit("no-such-election", "/e/nowhere"),
    visit("not-found", "/nowhere"),
    visit("errors", "/errors"),
    visit("identify", "/e/listed"),
    { name: "identify-not-on-list", show: async (page) => {
      await page.goto(`${base}/e/listed`);
      await page.locator("input[name=voter]").fill("nobody");
      await page.locator("form[action$='/enter'] button").click();
      await page.waitForURL(/\/enter$/);
    } },
    visit("ballot", "/e/open"),
    visit("ballot-several", "/e/several"),
    visit("ballot-second-step", "/e/several#contest-two"),
    visit("ballot-motion-step", "/e/several#contest-fence"),
    visit("ballot-rating-step", "/e/several#contest-lunch"),
    { name: "ballot-too-many", show: (page) => review(page, base, "several", { tooMany: true }) },
    { name: "review", show: (page) => review(page, base, "several") },
    { name: "review-blank", show: (page) => review(page, base, "several", { blank: true }) },
    { name: "receipt-waiting", show: (page) => cast(page, base, "open") },
    { name: "receipt-n-of-m", show: (page) => cast(page, base, "few") },
    { name: "receipt-live", show: (page) => cast(page, base, "live") },
    { name: "receipt-again", show: (page) => cast(page, base, "again") },
    ...["draft", "paused", "closed", "cancelled"].map((slug) => visit(`waiting-${slug}`, `/e/${slug}`)),
    visit("results-hidden", "/e/open/results"),
    visit("results-live", "/e/live/results"),
    visit("results-none", "/e/closed/results"),
    visit("results-cancelled", "/e/cancelled/results"),
    ...["winner", "tie", "motion", "rated", "many"].map((slug) => visit(`results-${slug}`, `/e/${slug}/results`)),
    visit("record-open", "/e/open/record"),
    visit("record-published", "/e/winner/record"),
    visit("record-no-such-code", "/e/winner/record?tracker=ABCD-EFGH-JKMN"),
    visit("record-not-a-code", "/e/winner/record?tracker=hello"),
    { name: "record-not-a-receipt", show: async (page) => {
      await page.goto(`${base}/e/winner/record`);
      await page.evaluate(() => { for (const more of document.querySelectorAll("details")) more.open = true; });
      await page.locator("textarea[name=receipt]").fill("{}");
      await page.locator("form[method=post][enctype] button").click();
      await page.getByRole("status").first().waitFor();
    } },
    { name: "empty-house", show: (page) => page.goto(empty.base) },
  ];
  return states;
}

export function screenStates(server, places) {
  const on = (name, screen) => ({ name, show: async (page) => {
    await server.post(`/rooms/${places.led}/screen`, screen);
    await page.goto(`${server.base}/r/${places.led}/screen`);
  } });
  const overlay = (name, screen) => ({ name, show: async (page) => {
    await server.post(`/rooms/${places.led}/screen`, screen);
    await page.goto(`${server.base}/r/${places.led}/overlay`);
  } });
  return [
    on("lobby", { show: "lobby" }),
    on("question", { show: "election", election: "live" }),
    on("question-several", { show: "election", election: "several" }),
    on("results-live", { show: "results", election: "live" }),
    on("results-winner", { show: "results", election: "winner" }),
    on("results-tie", { show: "results", election: "tie" }),
    on("results-rated", { show: "results", election: "rated" }),
    on("results-many", { show: "results", election: "many" }),
    on("results-hidden", { show: "results", election: "hidden" }),
    on("black", { show: "black" }),
    overlay("overlay-question", { show: "election", election: "live" }),
    overlay("overlay-results", { show: "results", election: "winner" }),
  ];
}

export function officerStates(server, empty, places) {
  const visit = (name, where, base = server.base) => ({ name, show: (page) => page.goto(base + where) });
  return [
    visit("list", "/admin"),
    visit("list-empty", "/admin", empty.base),
    ...["draft", "open", "listed", "paused", "closed", "winner", "tie", "motion", "rated", "many", "hidden", "cancelled"].map((slug) =>
      visit(`election-${slug}`, `/admin/e/${slug}`)),
    visit("room-led", `/admin/r/${places.led}`),
    visit("room-own", `/admin/r/${places.own}`),
    visit("room-locked", `/admin/r/${places.locked}`),
    visit("room-bare", `/admin/r/${places.bare}`),
    visit("remote", `/admin/r/${places.led}/remote`),
    visit("remote-locked", `/admin/r/${places.locked}/remote`),
    visit("servers", "/cluster"),
    { name: "login", show: async (page) => {
      await page.context().clearCookies({ name: /officer/ });
      await page.goto(`${server.base}/admin`);
    } },
    { name: "login-wrong", show: async (page) => {
      await page.context().clearCookies({ name: /officer/ });
      await page.goto(`${server.base}/admin`);
      await page.locator("form[action='/admin/login'] input[type=password]").fill("wrong");
      await page.locator("form[action='/admin/login'] button").click();
      await page.getByRole("alert").waitFor();
    } },
  ];
}
