// A room's vote goes on through the death of the server that leads: with an address per server, and behind one name.
import assert from "node:assert/strict";
import { DESKTOP, castBallot, device, journey, look, openBrowser, scene } from "../support/browser.js";
import { OFFICER_TOKEN, waitFor } from "../support/hustings.js";
import { startBalancer, startCluster } from "../support/cluster.js";

const WALL = { width: 1280, height: 720 };

async function logIn(page, base) {
  await page.goto(`${base}/admin`);
  await page.getByLabel("Officer token").fill(OFFICER_TOKEN);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { level: 1, name: "Polls and rooms" }).waitFor();
}

const PICTURE = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC", "base64");

/** A led room with one open poll, whose counts are shown on reveal; the picture is given to one server. */
async function furnish(server, elsewhere = server) {
  const { photo } = await fetch(`${server.base}/api/v1/pictures`, {
    method: "POST", body: PICTURE, headers: { authorization: `Bearer ${OFFICER_TOKEN}`, "content-type": "image/png" },
  }).then((answer) => answer.json());
  await elsewhere.post("/elections", {
    slug: "meal", title: "What do we eat?", results: "on-reveal",
    contest: [{ id: "meal", title: "What do we eat?", choices: [{ name: "Pizza", photo }, "Sushi"] }],
  });
  const { code } = await server.post("/rooms", { title: "The hall", pace: "led", elections: ["meal"] });
  await server.post("/elections/meal/open");
  await server.post(`/rooms/${code}/screen`, { show: "election", election: "meal" });
  return { code, photo };
}

async function toReview(page, base, name) {
  await page.goto(`${base}/e/meal`);
  await page.locator(".step").filter({ visible: true }).getByLabel(name, { exact: true }).check();
  await page.getByRole("button", { name: "Check my answers" }).click();
  await page.getByText("Nothing has been cast yet.").first().waitFor();
}

const CAST = { level: 1, name: "Your vote is cast" };

scene("a vote on stage goes on through the death of the leader: an address per server", async (test) => {
  const cluster = await startCluster(test);
  const leader = await cluster.leader();
  const others = cluster.servers.filter((server) => server !== leader);
  const browser = await openBrowser(test);
  const wall = await device(browser, test, { viewport: WALL });
  const officer = await device(browser, test, { viewport: DESKTOP });
  const [early, marked, reviewed, waiting] = await Promise.all([0, 1, 2, 3].map(() => device(browser, test)));
  const plain = await device(browser, test, { script: false });
  const step = journey(test);
  const isElsewhere = (page) => others.some(({ base }) => page.url().startsWith(base));
  let code, photo;

  await step("projector, desk and phones are all at the server that leads", async () => {
    ({ code, photo } = await furnish(leader, others[0]));
    await logIn(officer, leader.base);
    await officer.goto(`${leader.base}/admin/r/${code}`);
    await wall.goto(`${leader.base}/r/${code}/screen`);
    await wall.getByRole("heading", { level: 1, name: "What do we eat?" }).waitFor();
    for (const phone of [early, waiting]) {
      await phone.goto(`${leader.base}/e/meal`);
      await castBallot(phone, [["Pizza"]]);
    }
    await wall.getByText("2 people have voted").first().waitFor();
    await toReview(reviewed, leader.base, "Sushi");
    await toReview(plain, leader.base, "Sushi");
    await look(plain, "cluster-review-elsewhere");
    await marked.goto(`${leader.base}/e/meal`);
    await marked.getByLabel("Pizza", { exact: true }).check();
  });

  await step("the operator sees three servers and that one can be lost", async () => {
    const operator = await device(browser, test, { viewport: DESKTOP });
    await logIn(operator, others[0].base);
    await operator.getByRole("link", { name: "Servers" }).click();
    await operator.getByText("One more server can be lost without stopping the vote.").first().waitFor();
    assert.equal(await operator.locator("table.servers tbody tr").count(), 3);
    await look(operator, "cluster-servers");
  });

  await step("a picture that one server was given is on every server's disk", async () => {
    for (const server of others) {
      await waitFor(async () => (await fetch(server.base + photo)).ok, `the picture at ${server.base}`);
      const shown = Buffer.from(await (await fetch(server.base + photo)).arrayBuffer());
      assert.ok(shown.equals(PICTURE));
    }
    const made = await fetch(`${others[0].base}/pictures/${"0".repeat(64)}.png`);
    assert.equal(made.status, 404, "what no election names is asked of nobody");
  });

  await step("the leader is killed, and a phone elsewhere votes on", async () => {
    await leader.kill();
    const late = await device(browser, test);
    await waitFor(async () => (await fetch(`${others[0].base}/readyz`)).ok, "another leader");
    await late.goto(`${others[0].base}/e/meal`);
    await castBallot(late, [["Pizza"]]);
    await wall.getByText("3 people have voted").first().waitFor();
    assert.ok((await fetch(others[1].base + photo)).ok, "the picture outlives the server it was given to");
  });

  await step("who was at the review casts with one press, and has the receipt", async () => {
    await reviewed.getByRole("button", { name: "Cast my vote" }).click();
    await reviewed.getByRole("heading", CAST).waitFor();
    assert.ok(isElsewhere(reviewed), reviewed.url());
    await wall.getByText("4 people have voted").first().waitFor();
  });

  await step("who was still marking goes on with the marks", async () => {
    await marked.getByRole("button", { name: "Check my answers" }).click();
    await marked.getByText("Nothing has been cast yet.").first().waitFor();
    assert.ok(isElsewhere(marked), marked.url());
    await marked.getByText("Pizza").first().waitFor();
    await marked.getByRole("button", { name: "Cast my vote" }).click();
    await marked.getByRole("heading", CAST).waitFor();
    await wall.getByText("5 people have voted").first().waitFor();
  });

  await step("without script the form's own buttons lead to another server", async () => {
    const other = others[0].base;
    await plain.locator("form[action$='/cast']").getByRole("button", { name: other }).click();
    await plain.getByRole("heading", CAST).waitFor();
    assert.ok(plain.url().startsWith(other), plain.url());
    await wall.getByText("6 people have voted").first().waitFor();
  });

  await step("the operator reads what is wrong and what to do", async () => {
    const operator = await device(browser, test, { viewport: DESKTOP });
    await logIn(operator, others[0].base);
    await operator.goto(`${others[0].base}/cluster`);
    await operator.getByText(`Server ${leader.facts.cluster.node} is silent`).first().waitFor();
    await operator.getByText("No server can be spared").first().waitFor();
    await look(operator, "cluster-servers-one-lost");
  });

  await step("the desk goes on elsewhere, still logged in, closes and reveals", async () => {
    await officer.waitForURL((url) => others.some(({ base }) => url.href.startsWith(base)));
    await officer.getByRole("heading", { level: 1, name: "The hall" }).waitFor();
    await officer.locator("summary", { hasText: "Close" }).click();
    await officer.locator("details[open]").getByRole("button", { name: "Close the vote now" }).click();
    await officer.getByText("Only you see these counts.").first().waitFor();
    await officer.locator(".presses").getByRole("button", { name: "Show results" }).first().click();
    await wall.getByText("The winner is Pizza").first().waitFor();
    await waiting.getByText("The winner is Pizza").first().waitFor();
    await look(wall, "cluster-wall-after");
  });

  await step("every receipt is one ballot, and no ballot is without one", async () => {
    const results = await others[0].get("/elections/meal/results");
    assert.equal(results.ballots, 6);
    assert.deepEqual(results.contests[0].counts.map(({ votes }) => votes), [4, 2]);
  });
});

scene("a vote on stage goes on through the death of the leader: behind one name", async (test) => {
  const balancer = await startBalancer(test);
  const cluster = await startCluster(test, { publicUrl: balancer.base });
  balancer.servers = cluster.servers;
  const leader = await cluster.leader();
  const browser = await openBrowser(test);
  const wall = await device(browser, test, { viewport: WALL });
  const officer = await device(browser, test, { viewport: DESKTOP });
  const [early, reviewed, late] = await Promise.all([0, 1, 2].map(() => device(browser, test)));
  const { base } = balancer;
  const step = journey(test);

  await step("every request may reach another server, and nobody notices", async () => {
    const { code } = await furnish(leader);
    const policy = (await fetch(base)).headers.get("content-security-policy");
    assert.match(policy, /connect-src 'self'; form-action 'self';/, "one name needs no further ones");
    await logIn(officer, base);
    await officer.goto(`${base}/admin/r/${code}`);
    await wall.goto(`${base}/r/${code}/screen`);
    await early.goto(`${base}/e/meal`);
    await castBallot(early, [["Pizza"]]);
    await wall.getByText("1 person has voted").first().waitFor();
    await toReview(reviewed, base, "Sushi");
  });

  await step("the leader is killed; the vote at hand is cast once", async () => {
    await leader.kill();
    await reviewed.getByRole("button", { name: "Cast my vote" }).click();
    // Where the answer was lost on its way, the page says so, and the same button tells.
    const cast = reviewed.getByRole("heading", CAST);
    await waitFor(async () => {
      if (await cast.isVisible()) return true;
      const again = reviewed.getByRole("button", { name: "Cast my vote" });
      if (await reviewed.getByText("it will not count twice").isVisible()) await again.click();
      return false;
    }, "the receipt");
    await wall.getByText("2 people have voted").first().waitFor();
  });

  await step("phones join, and the officer closes and reveals", async () => {
    await late.goto(`${base}/e/meal`);
    await castBallot(late, [["Pizza"]]);
    await wall.getByText("3 people have voted").first().waitFor();
    await officer.locator("summary", { hasText: "Close" }).click();
    await officer.locator("details[open]").getByRole("button", { name: "Close the vote now" }).click();
    await officer.getByText("Only you see these counts.").first().waitFor();
    await officer.locator(".presses").getByRole("button", { name: "Show results" }).first().click();
    await wall.getByText("The winner is Pizza").first().waitFor();
    await early.getByText("The winner is Pizza").first().waitFor();
    const alive = cluster.servers.find((server) => server !== leader);
    assert.equal((await alive.get("/elections/meal/results")).ballots, 3);
  });
});

scene("a server that hangs is left by wall and phone", async (test) => {
  const cluster = await startCluster(test);
  const leader = await cluster.leader();
  const others = cluster.servers.filter((server) => server !== leader);
  const browser = await openBrowser(test);
  const wall = await device(browser, test, { viewport: WALL });
  const phone = await device(browser, test);
  const { code } = await furnish(leader);
  await wall.goto(`${leader.base}/r/${code}/screen`);
  await wall.getByText("0 people have voted").first().waitFor();
  await toReview(phone, leader.base, "Pizza");
  // It keeps its connections and says nothing: only the missing signs of life tell.
  leader.child.kill("SIGSTOP");
  test.after(() => leader.kill());
  await phone.getByRole("button", { name: "Cast my vote" }).click();
  await phone.getByRole("heading", CAST).waitFor({ timeout: 60_000 });
  assert.ok(others.some(({ base }) => phone.url().startsWith(base)), phone.url());
  await wall.getByText("1 person has voted").first().waitFor({ timeout: 60_000 });
  await leader.kill();
});

scene("where a majority is missing the page says so, asks again, and casts once when it is back", async (test) => {
  const cluster = await startCluster(test);
  const [survivor, ...lost] = cluster.servers;
  const browser = await openBrowser(test);
  const [phone, plain] = [await device(browser, test), await device(browser, test, { script: false })];
  await furnish(survivor);
  await toReview(phone, survivor.base, "Pizza");
  await toReview(plain, survivor.base, "Sushi");
  for (const server of lost) await server.kill();
  await phone.getByRole("button", { name: "Cast my vote" }).click();
  await phone.getByText("Asking again; it counts once.").first().waitFor({ timeout: 60_000 });
  await look(phone, "cluster-not-known");
  await plain.getByRole("button", { name: "Cast my vote" }).click({ timeout: 60_000 });
  await plain.getByText("We do not know yet whether your vote was recorded").first().waitFor({ timeout: 60_000 });
  await look(plain, "cluster-not-known-without-script");
  await cluster.restart(lost[0]);
  await phone.getByRole("heading", CAST).waitFor({ timeout: 60_000 });
  await plain.getByRole("button", { name: "Cast my vote" }).click();
  await plain.getByRole("heading", CAST).waitFor();
  assert.equal((await survivor.get("/elections/meal/results")).ballots, 2);
});
