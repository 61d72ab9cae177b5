// A facilitator, two phones and a projector: create, vote, reveal, tie, run-off; keys, remote, restart, embed.
import assert from "node:assert/strict";
import path from "node:path";
import { DESKTOP, PHONE, castBallot, device, journey, look, openBrowser, scene } from "../support/browser.js";
import { OFFICER_TOKEN, folder, serveAt, startDemo, startServer, waitFor } from "../support/hustings.js";

const WALL = { width: 1280, height: 720 };

async function logIn(page, server) {
  await page.goto(`${server.base}/admin`);
  await page.getByLabel("Officer token").fill(OFFICER_TOKEN);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { level: 1, name: "Polls and rooms" }).waitFor();
}

/** The only election that is in this state. */
async function inState(server, state) {
  return (await server.get("/elections")).elections.find((election) => election.state === state);
}

/** Presses a button of the room; with `ask`, also the one that it unfolds. */
async function press(page, name, { ask } = {}) {
  if (ask) {
    await page.locator("summary", { hasText: name }).click();
    await page.locator("details[open]").getByRole("button", { name: ask }).click();
  } else {
    await page.locator(".presses").getByRole("button", { name, exact: false }).first().click();
  }
}

async function wallShows(wall, text, script) {
  if (script) return wall.getByText(text).first().waitFor();
  await waitFor(async () => {
    await wall.reload();
    return await wall.getByText(text).first().isVisible();
  }, `the wall to show ${text}`);
}

for (const [name, viewport, script] of [["desk", DESKTOP, true], ["remote-without-script", PHONE, false]]) {
  scene(`a poll from the idea to the run-off: ${name}`, async (test) => {
    const server = await startServer(test);
    const browser = await openBrowser(test);
    const officer = await device(browser, test, { viewport, script });
    const wall = await device(browser, test, { viewport: WALL, script });
    const phones = [await device(browser, test), await device(browser, test)];
    const step = journey(test);
    let code;

    await step("a template starts a poll and puts it on the wall", async () => {
      await logIn(officer, server);
      await officer.getByRole("link", { name: "Pick one" }).click();
      assert.equal(await officer.getByLabel("Question").inputValue(), "Where do we meet?");
      await officer.getByRole("button", { name: "Start now" }).click();
      await officer.waitForURL(/\/admin\/r\/\w+/);
      code = officer.url().match(/\/r\/(\w+)/)[1];
      await wall.goto(`${server.base}/r/${code}/screen`);
      await wall.getByRole("heading", { level: 1, name: "Where do we meet?" }).waitFor();
      if (!script) await officer.goto(`${server.base}/admin/r/${code}/remote`);
      await look(officer, `stage-${name}-open`);
    });

    await step("two phones join by the code and vote for different things", async () => {
      for (const [index, phone] of phones.entries()) {
        await phone.goto(server.base);
        await phone.getByLabel("Code").fill(`${code.slice(0, 3).toLowerCase()} ${code.slice(3)}`);
        await phone.getByRole("button", { name: "Join" }).click();
        await castBallot(phone, [[["Library", "Park"][index]]]);
      }
      await wallShows(wall, "2 people have voted", script);
    });

    await step("closed is not revealed, except to the officer", async () => {
      await press(officer, "Close", { ask: "Close the vote now" });
      await officer.getByText("Only you see these counts.").first().waitFor();
      await officer.getByText("It's a tie between").first().waitFor();
      await wallShows(wall, "Closed", script);
      assert.equal(await wall.getByText("tie").count(), 0);
      await look(officer, `stage-${name}-only-you`);
    });

    await step("the reveal shows the tie on the wall, and it hides again", async () => {
      await press(officer, "Show results");
      await wallShows(wall, "It's a tie between Library (1 vote) and Park (1 vote)", script);
      await look(wall, `stage-${name}-wall-tie`);
      await press(officer, "Hide results");
      await waitFor(async () => {
        if (!script) await wall.reload();
        return (await wall.getByText("tie").count()) === 0;
      }, "the wall to hide the tie");
      await press(officer, "Show results");
    });

    await step("one press opens the run-off, and the phones find it", async () => {
      await press(officer, "Run-off");
      await wallShows(wall, "Round 2", script);
      assert.equal((await inState(server, "open")).slug, "where-do-we-meet-2");
      for (const phone of phones) {
        await phone.goto(`${server.base}/j/${code}`);
        await phone.waitForURL(/\/e\/where-do-we-meet-2/);
        assert.equal(await phone.getByLabel("River").count(), 0, "only those who were tied");
        await castBallot(phone, [["Park"]]);
      }
      await press(officer, "Close", { ask: "Close the vote now" });
      await press(officer, "Show results");
      await wallShows(wall, "The winner is Park with 2 votes", script);
      await look(wall, `stage-${name}-wall-winner`);
    });

    await step("who comes after the lock is told so", async () => {
      await press(officer, "Lock joining");
      await officer.getByText("joining is locked").first().waitFor();
      const late = await device(browser, test);
      await late.goto(`${server.base}/j/${code}`);
      await late.getByRole("heading", { level: 1, name: "Joining is closed" }).waitFor();
      await look(late, `stage-${name}-locked`);
      await press(officer, "Unlock joining");
    });

    await step("repeating asks, and keeps the earlier round", async () => {
      await press(officer, "Repeat", { ask: "Repeat as a new round" });
      await officer.getByRole("heading", { level: 2, name: "Where do we meet?" }).waitFor();
      await waitFor(async () => (await inState(server, "draft"))?.slug === "where-do-we-meet-3", "round 3");
      assert.equal((await server.get("/elections/where-do-we-meet-2")).state, "closed");
    });
  });
}

scene("keys lead the room, and a switch turns them off for good", async (test) => {
  const server = await startServer(test);
  for (const slug of ["tea", "cake"]) {
    await server.post("/elections", { slug, title: `More ${slug}?`, results: "on-reveal", contest: [{ title: `More ${slug}?`, choices: ["Yes", "No"] }] });
  }
  const { code } = await server.post("/rooms", { title: "Kitchen", pace: "led", elections: ["tea", "cake"] });
  const browser = await openBrowser(test);
  const officer = await device(browser, test, { viewport: DESKTOP });
  await logIn(officer, server);
  await officer.goto(`${server.base}/admin/r/${code}`);
  const shows = (show, election) => waitFor(async () => {
    const { screen } = await server.get(`/rooms/${code}`);
    return screen.show === show && (election === undefined || screen.election === election);
  }, `${show} of ${election}`);
  const settled = (name) => officer.getByRole("heading", { level: 2, name, exact: true }).waitFor();

  await officer.keyboard.press("ArrowRight");
  await shows("election", "tea");
  await settled("More tea?");
  await officer.keyboard.press("s");
  await waitFor(async () => (await inState(server, "open"))?.slug === "tea", "tea to open");
  await officer.locator("#press-pause:enabled").waitFor();
  await officer.keyboard.press("p");
  await waitFor(async () => (await inState(server, "paused"))?.slug === "tea", "tea to pause");
  await officer.getByRole("button", { name: "Go on" }).waitFor();
  await officer.keyboard.press("S");
  await officer.locator("#press-pause:enabled").waitFor();
  await officer.keyboard.press("c");
  assert.equal((await inState(server, "open"))?.slug, "tea", "it asks first");
  await officer.keyboard.press("Escape");
  await officer.keyboard.press("c");
  await officer.keyboard.press("Enter");
  await waitFor(async () => (await inState(server, "closed"))?.slug === "tea", "tea to close");
  await officer.locator("#press-reveal:enabled").waitFor();
  await officer.keyboard.press("r");
  await shows("results", "tea");
  await officer.getByRole("button", { name: "Hide results" }).waitFor();
  await officer.keyboard.press("b");
  await shows("black");
  await officer.getByRole("button", { name: "Light again" }).waitFor();
  await officer.keyboard.press("b");
  await shows("results", "tea");
  await officer.getByRole("button", { name: "Black" }).waitFor();
  await officer.keyboard.press("l");
  await officer.getByRole("button", { name: "Unlock joining" }).waitFor();

  await officer.keyboard.press("?");
  await officer.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
  await look(officer, "stage-keys");
  await officer.getByLabel("Use these keys").uncheck();
  await officer.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await officer.keyboard.press("ArrowRight");
  await officer.reload();
  await officer.keyboard.press("ArrowRight");
  await officer.getByText("joining is locked").first().waitFor();
  assert.equal((await server.get(`/rooms/${code}`)).screen.election, "tea", "switched off, and remembered");
});

scene("the help stays open while newer pages come in", async (test) => {
  const server = await startServer(test);
  for (const slug of ["tea", "cake"]) {
    await server.post("/elections", { slug, title: `More ${slug}?`, results: "on-reveal", contest: [{ title: `More ${slug}?`, choices: ["Yes", "No"] }] });
  }
  const { code } = await server.post("/rooms", { title: "Kitchen", pace: "led", elections: ["tea", "cake"] });
  const browser = await openBrowser(test);
  const officer = await device(browser, test, { viewport: DESKTOP });
  await logIn(officer, server);
  await officer.goto(`${server.base}/admin/r/${code}`);
  const help = officer.getByRole("dialog", { name: "Keyboard shortcuts" });
  const held = [];
  const isHeld = (count) => waitFor(() => held.length === count, `${count} held requests`);
  const letGo = () => held.shift().continue();
  const hold = (route) => { held.push(route); };

  // Another officer moved on: the page is asked for again, and the help is opened before it is there.
  await officer.route(`**/admin/r/${code}`, hold);
  await server.post(`/rooms/${code}/screen`, { show: "election", election: "tea" });
  await isHeld(1);
  await officer.keyboard.press("?");
  await help.waitFor();
  await letGo();
  await officer.waitForTimeout(500);
  assert.ok(await help.isVisible(), "over a refreshed page");
  await officer.unroute(`**/admin/r/${code}`, hold);
  await help.getByRole("button", { name: "Close" }).click();
  await officer.getByRole("heading", { level: 2, name: "More tea?", exact: true }).waitFor();

  // A press that is still on its way brings its page under the open help.
  await officer.route(`**/admin/r/${code}/lock`, hold);
  await officer.keyboard.press("l");
  await isHeld(1);
  await officer.keyboard.press("?");
  await help.waitFor();
  await letGo();
  await officer.getByText("Unlock joining").first().waitFor({ state: "attached" });
  assert.ok(await help.isVisible(), "over the page after a press");
});

scene("wall and phone outlive a restart of the server in mid-vote", async (test) => {
  const data = path.join(await folder(), "data");
  const first = await serveAt(test, data, "127.0.0.1:0");
  const address = new URL(first.base).host;
  await first.post("/elections", { slug: "tea", title: "More tea?", results: "live", contest: [{ id: "q", title: "More tea?", choices: ["Yes", "No"] }] });
  await first.post("/elections/tea/open");
  const { code } = await first.post("/rooms", { title: "Kitchen", pace: "led", elections: ["tea"] });
  await first.post(`/rooms/${code}/screen`, { show: "results", election: "tea" });
  const browser = await openBrowser(test);
  const wall = await device(browser, test, { viewport: WALL });
  const phone = await device(browser, test);
  const again = await device(browser, test);
  await wall.goto(`${first.base}/r/${code}/screen`);
  await phone.goto(`${first.base}/j/${code}`);
  await castBallot(phone, [["Yes"]]);
  await wall.getByText("1 person has voted").first().waitFor();
  await again.goto(`${first.base}/j/${code}`);
  await again.getByLabel("No", { exact: true }).check();

  await first.stop();
  await wall.getByText(/Last update \d+ s ago, trying again/).waitFor();
  const second = await serveAt(test, data, address);
  assert.equal(second.base, first.base);
  await again.getByRole("button", { name: "Check my answers" }).click();
  await again.getByRole("button", { name: "Cast my vote" }).click();
  await again.getByRole("heading", { level: 1, name: "Your vote is cast" }).waitFor();
  await wall.getByText("2 people have voted").first().waitFor({ timeout: 30_000 });
  await second.post("/elections/tea/close");
  await wall.getByText("It's a tie between").first().waitFor();
  await phone.reload();
  await phone.getByText("It's a tie between").first().waitFor();
  await look(wall, "stage-wall-after-restart");
});

scene("a wall turns its pages, and a reveal goes from the last to the first", async (test) => {
  const server = await startServer(test);
  const choices = Array.from({ length: 10 }, (_, index) => `Place ${index + 1}`);
  await server.post("/elections", { slug: "where", title: "Where?", results: "on-reveal", contest: [{ id: "q", title: "Where?", choices }] });
  await server.post("/elections/where/open");
  const { code } = await server.post("/rooms", { title: "Hall", pace: "led", elections: ["where"] });
  await server.post(`/rooms/${code}/screen`, { show: "election", election: "where" });
  const browser = await openBrowser(test);
  const wall = await device(browser, test, { viewport: WALL, reducedMotion: "no-preference" });
  const still = await device(browser, test, { viewport: WALL });
  for (const page of [wall, still]) await page.goto(`${server.base}/r/${code}/screen`);
  await wall.getByText("1 / 2").first().waitFor();
  await wall.getByText("Place 10").first().waitFor();
  await wall.keyboard.press("ArrowLeft");
  await still.getByText("1 / 2").first().waitFor();
  await still.keyboard.press("ArrowRight");
  await still.getByText("2 / 2").first().waitFor();
  await server.post("/elections/where/close");
  await server.post("/elections/where/reveal");
  await server.post(`/rooms/${code}/screen`, { show: "results", election: "where" });
  await still.locator("[data-row]").first().waitFor();
  assert.equal(await still.locator(".to-come").count(), 0, "no motion where none is wanted");
  await wall.locator(".to-come").first().waitFor({ state: "attached" });
  await wall.keyboard.press("x");
  assert.equal(await wall.locator(".to-come").count(), 0, "any key shows all at once");
});

scene("a poll of the demo is on the wall in under a minute", async (test) => {
  const demo = await startDemo(test);
  const began = Date.now();
  const link = demo.output.match(/http:\S+\/admin\?code=[\w-]+/)[0];
  const browser = await openBrowser(test);
  const officer = await device(browser, test, { viewport: DESKTOP });
  const wall = await device(browser, test, { viewport: WALL });
  let presses = 0;
  const click = async (what) => { presses += 1; await what.click(); };
  await officer.goto(link);
  await click(officer.getByRole("button", { name: "Pair this device" }));
  await click(officer.getByRole("link", { name: "Feedback 1–5" }));
  await click(officer.getByRole("button", { name: "Start now" }));
  const href = await officer.getByRole("link", { name: "Projector" }).getAttribute("href");
  presses += 1;
  await wall.goto(new URL(href, officer.url()).href);
  await wall.getByRole("heading", { level: 1, name: "How was it?" }).waitFor();
  assert.ok(Date.now() - began < 60_000 && presses <= 5, `${Date.now() - began} ms, ${presses} presses`);
});
