// A voter's pages in hard conditions: many contests, lost connections, a close in the middle, a room that is led.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { DESKTOP, PHONE, castBallot, device, journey, look, openBrowser, scene } from "../support/browser.js";
import { folder, run, startServer } from "../support/hustings.js";

const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAGUlEQVR4nGNkYPjPgAqYoDRpgB5KmEjSDgBqVgEPvSoFpAAAAABJRU5ErkJggg==", "base64");

function board(slug, more = {}) {
  return {
    slug, title: "Board of the club", organiser: "Allotment Club", description: "For two years.",
    contest: [
      { id: "chair", title: "Who chairs the club?", choices: [{ name: "Ann", party: "Green list", link: "https://example.org/ann" }, "Bernd", "Chen"] },
      { id: "helpers", title: "Who helps at the party?", choose: { max: 2 }, choices: ["Dana", "Emil", "Fatima"] },
      { id: "mood", title: "How was this year?", method: "rating", choices: [{ id: "1", name: "Poor" }, "2", "3", "4", { id: "5", name: "Great" }] },
    ],
    ...more,
  };
}

function lunch(slug, more = {}) {
  return { slug, title: "Lunch", contest: [{ id: "meal", title: "What is for lunch?", choices: ["Pizza", "Sushi"] }], ...more };
}

async function open(server, definition) {
  await server.post("/elections", definition);
  await server.post(`/elections/${definition.slug}/open`);
}

const step = (page) => page.locator(".step").filter({ visible: true });
const ballots = async (server, slug) => (await server.get(`/elections/${slug}/results`)).ballots;

for (const [name, options] of [
  ["phone", { viewport: PHONE }],
  ["phone-without-script", { viewport: PHONE, script: false }],
  ["desktop", { viewport: DESKTOP, colorScheme: "dark" }],
  ["narrow", { viewport: { width: 320, height: 256 } }],
  ["forced-colours", { viewport: PHONE, forcedColors: "active" }],
]) {
  scene(`one contest after the other: ${name}`, async (test) => {
    const server = await startServer(test);
    await open(server, board("board"));
    const page = await device(await openBrowser(test), test, options);
    const then = journey(test);

    await then("one contest is shown at a time, and the marks stay", async () => {
      await page.goto(`${server.base}/e/board`);
      await look(page, `board-${name}-1`);
      assert.equal(await step(page).count(), 1);
      await step(page).getByLabel("Bernd", { exact: true }).check();
      await step(page).getByRole("link", { name: "Next" }).click();
      await page.getByText("Contest 2 of 3").first().waitFor();
      assert.equal(await step(page).count(), 1);
      await step(page).getByLabel("Dana").check();
      await step(page).getByLabel("Fatima").check();
      if (options.script !== false) {
        await page.getByText("2 of 2 marked.").first().waitFor();
        assert.ok(await step(page).getByLabel("Emil").isDisabled(), "a third cannot be marked");
      }
      await look(page, `board-${name}-2`);
      await page.goBack();
      assert.ok(await step(page).getByLabel("Bernd", { exact: true }).isChecked(), "back keeps the marks");
      await page.goForward();
      await step(page).getByRole("link", { name: "Next" }).click();
      await step(page).getByLabel("4").check();
      await look(page, `board-${name}-3`);
    });

    await then("the review shows every answer, and one can be changed", async () => {
      await step(page).getByRole("button", { name: "Check my answers" }).click();
      await page.getByText("Nothing has been cast yet.").first().waitFor();
      await look(page, `board-${name}-review`);
      await page.getByRole("button", { name: "Change Who chairs the club?" }).click();
      await page.getByText("Contest 1 of 3").first().waitFor();
      assert.ok(await step(page).getByLabel("Bernd", { exact: true }).isChecked());
      await step(page).getByLabel("Leave this blank").check();
      await look(page, `board-${name}-change`);
      await step(page).getByRole("button", { name: "Check my answers" }).click();
      assert.equal(await page.locator(".answer").first().textContent(), "Blank");
      assert.equal(await page.getByText("You have marked nothing here").count(), 0, "it was left blank on purpose");
      assert.equal(await ballots(server, "board"), 0);
    });

    await then("back, forward, reload and the same link again find the marks", async () => {
      await page.goBack();
      await page.getByText("Contest 1 of 3").first().waitFor();
      assert.ok(await step(page).getByLabel("Leave this blank").isChecked());
      await page.goForward();
      await page.getByRole("button", { name: "Cast my vote" }).waitFor();
      await page.reload();
      await page.getByRole("button", { name: "Cast my vote" }).waitFor();
      await page.goto(`${server.base}/e/board#contest-mood`);
      assert.ok(await step(page).getByLabel("4").isChecked());
      await step(page).getByRole("button", { name: "Check my answers" }).click();
    });

    await then("the vote is cast, and says so", async () => {
      await page.getByRole("button", { name: "Cast my vote" }).click();
      await page.getByRole("heading", { level: 1, name: "Your vote is cast" }).waitFor();
      await look(page, `board-${name}-cast`);
      await page.goBack();
      await page.getByRole("heading", { level: 1, name: "Your vote is cast" }).waitFor();
      assert.equal(await ballots(server, "board"), 1);
      await page.goto(`${server.base}/e/board`);
      await page.getByRole("heading", { level: 1, name: "Your vote is cast" }).waitFor();
    });

    await then("its receipt is checked with one button", async () => {
      await page.getByRole("button", { name: "Check my receipt" }).click();
      await page.getByText("This ballot is on record.").first().waitFor();
      await page.getByText("1 of 1 ballots has been checked here.").first().waitFor();
      await look(page, `board-${name}-checked`);
    });
  });
}

scene("a keyboard goes through every contest", async (test) => {
  const server = await startServer(test);
  await open(server, board("board"));
  const page = await device(await openBrowser(test), test, { viewport: PHONE });
  await page.goto(`${server.base}/e/board`);
  const focusOn = async (what, name) => {
    for (let presses = 0; presses < 40; presses++) {
      if (await page.evaluate(what)) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`the tab key does not lead to ${name}`);
  };
  const isSeen = () => page.evaluate(() => {
    const box = document.activeElement.closest(".option, .level, a, button").getBoundingClientRect();
    const bar = [...document.querySelectorAll(".sticky")].find((one) => one.offsetParent)?.getBoundingClientRect();
    const isInBar = document.activeElement.closest(".sticky");
    return box.top >= 0 && (isInBar || box.top < (bar?.top ?? innerHeight));
  });
  await focusOn(() => document.activeElement.type === "radio", "the first choice");
  await page.keyboard.press("ArrowDown");
  assert.ok(await step(page).getByLabel("Bernd", { exact: true }).isChecked());
  assert.ok(await isSeen(), "the bar does not hide what has the focus");
  await focusOn(() => document.activeElement.textContent === "Next" , "Next");
  await page.keyboard.press("Enter");
  await page.getByText("Contest 2 of 3").first().waitFor();
  await focusOn(() => document.activeElement.type === "checkbox", "the second contest's choices");
  for (const name of ["Dana", "Emil"]) {
    await page.keyboard.press("Space");
    assert.ok(await step(page).getByLabel(name).isChecked(), name);
    assert.ok(await isSeen(), name);
    await page.keyboard.press("Tab");
  }
  await focusOn(() => document.activeElement.textContent === "Next", "Next");
  await page.keyboard.press("Enter");
  await focusOn(() => document.activeElement.closest(".level"), "the scale");
  await page.keyboard.press("ArrowRight");
  await focusOn(() => document.activeElement.textContent === "Check my answers", "the review");
  await page.keyboard.press("Enter");
  await page.getByText("Nothing has been cast yet.").first().waitFor();
  await focusOn(() => document.activeElement.textContent === "Cast my vote", "casting");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Your vote is cast" }).waitFor();
});

for (const script of [true, false]) {
  scene(`a fault takes the focus and leads to its contest: ${script ? "with" : "without"} script`, async (test) => {
    const server = await startServer(test);
    const definition = board("board");
    definition.contest[1].choose = { min: 2, max: 2 };
    await open(server, definition);
    const page = await device(await openBrowser(test), test, { script });
    await page.goto(`${server.base}/e/board#contest-helpers`);
    await step(page).getByLabel("Dana").check();
    await step(page).getByRole("link", { name: "Next" }).click();
    await step(page).getByRole("button", { name: "Check my answers" }).click();
    await page.getByText("Your vote has not been cast.").first().waitFor();
    assert.match(await page.title(), /^Error: /);
    await page.locator(".summary:focus").waitFor();
    await page.getByText("Contest 2 of 3").first().waitFor();
    assert.ok(await step(page).getByLabel("Dana").isChecked());
    await look(page, `fault-${script ? "script" : "plain"}`);
    await page.getByRole("link", { name: /Choose 2: 1 is marked/ }).click();
    await step(page).getByLabel("Emil").check();
    await step(page).getByRole("button", { name: "Check my answers" }).click();
    await page.getByText("Nothing has been cast yet.").first().waitFor();
  });
}

scene("a connection that is lost while casting loses nothing and counts nothing twice", async (test) => {
  const server = await startServer(test);
  for (const slug of ["offline", "answer-lost", "busy"]) await open(server, lunch(slug));
  const browser = await openBrowser(test);
  const then = journey(test);
  const review = async (slug) => {
    const page = await device(browser, test);
    await page.goto(`${server.base}/e/${slug}`);
    await page.getByLabel("Sushi").check();
    await page.getByRole("button", { name: "Check my answers" }).click();
    return page;
  };
  const cast = (page) => page.getByRole("button", { name: "Cast my vote" }).click();
  const arrived = (page) => page.getByRole("heading", { level: 1, name: "Your vote is cast" }).waitFor();

  await then("offline, the form stays and says what is known", async () => {
    const page = await review("offline");
    await page.context().setOffline(true);
    await cast(page);
    await page.getByText("it is not known yet whether your vote was cast").first().waitFor();
    await look(page, "phone-not-known");
    await page.context().setOffline(false);
    await cast(page);
    await arrived(page);
    assert.equal(await ballots(server, "offline"), 1);
  });

  await then("the vote arrived and its answer did not", async () => {
    const page = await review("answer-lost");
    await page.route("**/cast", async (route) => {
      await route.fetch({ maxRedirects: 0 });
      await route.abort();
    }, { times: 1 });
    await cast(page);
    await page.getByText("it is not known yet whether your vote was cast").first().waitFor();
    assert.equal(await ballots(server, "answer-lost"), 1);
    await server.post("/elections/answer-lost/close");
    await cast(page);
    await arrived(page);
    assert.equal(await ballots(server, "answer-lost"), 1);
  });

  await then("a server that is full is asked again by itself", async () => {
    const page = await review("busy");
    const full = { status: 503, headers: { "retry-after": "1" }, contentType: "text/html", body: "<title>Full</title><main></main>" };
    await page.route("**/cast", (route) => route.fulfill(full), { times: 1 });
    await cast(page);
    await page.getByText("Trying again in 1 s.").first().waitFor();
    await look(page, "phone-busy");
    await arrived(page);
    assert.equal(await ballots(server, "busy"), 1);
  });
});

scene("a vote that closes while the form is open says so at once, and touches no mark", async (test) => {
  const server = await startServer(test);
  await open(server, lunch("lunch"));
  const browser = await openBrowser(test);
  const page = await device(browser, test);
  const reviewing = await device(browser, test);
  for (const one of [page, reviewing]) {
    await one.goto(`${server.base}/e/lunch`);
    await one.getByLabel("Pizza").check();
  }
  await reviewing.getByRole("button", { name: "Check my answers" }).click();
  await server.post("/elections/lunch/pause");
  await page.getByText("Voting is paused.").first().waitFor();
  await server.post("/elections/lunch/open");
  await page.getByText("Voting is open again.").first().waitFor();
  await server.post("/elections/lunch/close");
  await page.getByText("Voting has closed.").first().waitFor();
  assert.ok(await page.getByLabel("Pizza").isChecked());
  assert.equal(await page.locator("[data-live=state]").textContent(), "Closed");
  await look(page, "phone-closed-on-the-ballot");
  await reviewing.getByText("Voting has closed.").first().waitFor();
  await reviewing.getByRole("button", { name: "Cast my vote" }).click();
  await reviewing.getByText("Your vote was not cast.").first().waitFor();
  await look(reviewing, "phone-closed-while-casting");
});

scene("waiting pages unveil the result with no request made", async (test) => {
  const server = await startServer(test);
  await open(server, lunch("lunch", { closing: { after_voters: 3 } }));
  await open(server, lunch("shown", { results: "on-reveal" }));
  await open(server, lunch("published", { results: "on-publish" }));
  const browser = await openBrowser(test);
  const german = await device(browser, test, { locale: "de" });
  const arabic = await device(browser, test, { locale: "ar" });
  const plain = await device(browser, test, { script: false });
  const then = journey(test);
  const requests = [];
  const vote = async (page, slug) => {
    await page.goto(`${server.base}/e/${slug}`);
    await page.locator("input[value=sushi]").check();
    await page.locator(".step button").click();
    await page.locator(".sticky button").click();
    await page.waitForURL(/receipt/);
  };
  const listen = (page) => {
    page.removeAllListeners("request");
    page.on("request", (request) => requests.push(request.url()));
  };

  await then("turnout moves by itself, as a sentence of the reader's language", async () => {
    await vote(german, "lunch");
    await german.locator(".turnout", { hasText: "1 von 3 hat abgestimmt" }).waitFor();
    await vote(arabic, "lunch");
    await german.locator(".turnout", { hasText: "2 von 3 haben abgestimmt" }).waitFor();
    await arabic.locator(".turnout", { hasText: /صوّت اثنان من/ }).waitFor();
    await look(arabic, "arabic-waiting");
  });

  await then("the end comes inside the feed", async () => {
    for (const page of [german, arabic]) listen(page);
    await vote(plain, "lunch");
    await german.locator(".outcome", { hasText: "Gewonnen hat Sushi mit 3 Stimmen" }).waitFor();
    await arabic.locator(".outcome", { hasText: /الفائز هو/ }).waitFor();
    assert.equal(await german.locator(".winner [data-share]").textContent(), "100 %");
    assert.equal(await german.locator("[data-live=state]").textContent(), "Geschlossen");
    assert.equal(await german.getByText("Schließt, wenn").isVisible(), false);
    assert.deepEqual(requests, [], "no request was made");
    await look(german, "german-result-came");
    await look(arabic, "arabic-result-came");
    assert.equal(await plain.locator(".outcome").first().textContent(), "The winner is Sushi with 3 votes");
  });

  await then("what an officer shows and hides again comes and goes", async () => {
    await vote(german, "shown");
    await german.getByText("Stand nach Stimme 1").first().waitFor();
    requests.length = 0;
    await server.post("/elections/shown/reveal");
    await german.locator(".bars").first().waitFor();
    assert.equal(await german.locator("[data-row='meal/sushi'] [data-votes]").textContent(), "1");
    await server.post("/elections/shown/hide");
    await german.getByText("sobald die Leitung sie zeigt").first().waitFor();
    assert.equal(await german.locator("[data-row='meal/sushi'] [data-votes]").textContent(), "");
    await server.post("/elections/shown/close");
    await server.post("/elections/shown/reveal");
    await german.locator(".outcome", { hasText: "Gewonnen hat Sushi mit 1 Stimme" }).waitFor();
    assert.deepEqual(requests, []);
  });

  await then("a closed vote waits for its publication", async () => {
    await vote(german, "published");
    await german.locator(".turnout", { hasText: "1 Person hat abgestimmt" }).waitFor();
    await german.getByText("Stand nach Stimme 1").first().waitFor();
    requests.length = 0;
    await server.post("/elections/published/close");
    await german.getByText("Geschlossen").first().waitFor();
    await german.getByText("sobald die Wahlleitung das Ergebnis veröffentlicht").first().waitFor();
    await server.post("/elections/published/publish");
    await german.locator(".outcome", { hasText: "Gewonnen hat Sushi mit 1 Stimme" }).waitFor();
    assert.deepEqual(requests, []);
  });

  await then("the results page does the same, with the outcome as its title", async () => {
    await open(server, lunch("last", { results: "on-reveal" }));
    await german.goto(`${server.base}/e/last/results`);
    await server.post("/elections/last/close");
    await server.post("/elections/last/reveal");
    await german.getByRole("heading", { level: 1, name: "Es wurden keine Stimmen abgegeben" }).waitFor();
    await server.post("/elections/last/hide");
    await german.getByRole("heading", { level: 1, name: "What is for lunch?" }).waitFor();
  });
});

scene("in a led room a voter goes along with the screen", async (test) => {
  const server = await startServer(test);
  for (const slug of ["first", "second"]) await open(server, lunch(slug));
  const { code } = await server.post("/rooms", { title: "Hall", pace: "led", elections: ["first", "second"] });
  const show = (election) => server.post(`/rooms/${code}/screen`, { show: "election", election });
  await show("first");
  const browser = await openBrowser(test);
  const page = await device(browser, test);
  const filling = await device(browser, test);
  const plain = await device(browser, test, { script: false });
  await page.goto(`${server.base}/e/first`);
  await castBallot(page, [["Pizza"]]);
  await plain.goto(`${server.base}/e/first`);
  await castBallot(plain, [["Pizza"]]);
  await filling.goto(`${server.base}/e/first`);
  await filling.getByLabel("Sushi").check();
  await show("second");
  await page.waitForURL(/\/e\/second$/);
  await page.getByRole("heading", { level: 1, name: "What is for lunch?" }).waitFor();
  assert.match(filling.url(), /\/e\/first$/, "nobody is led away from a ballot");
  assert.ok(await filling.getByLabel("Sushi").isChecked());
  await server.post("/elections/first/close");
  await filling.getByText("Voting has closed.").first().waitFor();
  await filling.getByRole("link", { name: "Go to the current question" }).waitFor();
  await look(filling, "phone-led-closed");
  await page.goto(`${server.base}/e/first/receipt`);
  await page.locator(".outcome", { hasText: "The winner is Pizza with 2 votes" }).waitFor();
  await page.waitForTimeout(2500);
  assert.match(page.url(), /first\/receipt$/, "who looks back at a receipt stays there");
  await plain.getByRole("link", { name: "Go to the current question" }).click();
  await plain.waitForURL(new RegExp(`/e/second$|/j/${code}$`));
});

scene("the time that is left counts down, and an extension shows", async (test) => {
  const server = await startServer(test);
  await open(server, lunch("lunch", { closing: { at: new Date(Date.now() + 62_000).toISOString() } }));
  const browser = await openBrowser(test);
  const page = await device(browser, test, { timezoneId: "Asia/Tokyo", locale: "en-GB" });
  await page.goto(`${server.base}/e/lunch`);
  assert.match(await page.locator(".closes").textContent(), /Closes \d+:\d\d.* \(.*UTC\) · 1:0\d left/);
  await page.getByText("Voting closes in one minute.").first().waitFor();
  await server.post("/elections/lunch/extend", { closes_at: new Date(Date.now() + 600_000).toISOString() });
  await page.getByText(/· (9:\d\d|10:00) left/).waitFor();
  await look(page, "phone-countdown");
});

scene("announcements of the turnout can be switched off for the tab", async (test) => {
  const server = await startServer(test);
  await open(server, lunch("lunch"));
  const browser = await openBrowser(test);
  const page = await device(browser, test);
  await page.goto(`${server.base}/e/lunch`);
  await castBallot(page, [["Pizza"]]);
  await page.locator("[data-live=spoken]").filter({ hasText: "1 person has voted" }).waitFor({ state: "attached" });
  const mute = page.getByRole("button", { name: "Mute announcements" });
  await mute.click();
  assert.equal(await mute.getAttribute("aria-pressed"), "true");
  await page.reload();
  assert.equal(await mute.getAttribute("aria-pressed"), "true");
  await page.getByText("As of vote 1,").first().waitFor();
  assert.equal(await page.locator("[data-live=spoken]").textContent(), "");
});

for (const [name, options] of [["phone", { viewport: PHONE, locale: "ar" }], ["desktop", { viewport: DESKTOP, locale: "ar", colorScheme: "dark" }]]) {
  scene(`right to left, every page of a voter's: ${name}`, async (test) => {
    const server = await startServer(test);
    await open(server, board("board", { results: "live", closing: { after_voters: 10 } }));
    await open(server, lunch("done", { results: "live" }));
    await open(server, { ...lunch("listed"), eligibility: "list", voters: ["u1"] });
    await server.post("/elections/done/close");
    const page = await device(await openBrowser(test), test, options);
    await page.goto(`${server.base}/e/board`);
    await look(page, `arabic-${name}-ballot-1`);
    await page.locator("#chair\\.bernd").check();
    await step(page).locator("a.button").first().click();
    await page.locator("#helpers\\.dana").check();
    await look(page, `arabic-${name}-ballot-2`);
    await step(page).locator("a.button").first().click();
    await page.locator("#mood\\.4").check();
    await look(page, `arabic-${name}-ballot-3`);
    await step(page).locator("button").click();
    await look(page, `arabic-${name}-review`);
    await page.locator(".sticky button").click();
    await page.waitForURL(/receipt/);
    await look(page, `arabic-${name}-receipt`);
    assert.equal(await page.locator(".tracker").evaluate((node) => getComputedStyle(node).direction), "ltr");
    for (const where of ["/e/board/results", "/e/board/record", "/e/done", "/e/listed"]) {
      await page.goto(server.base + where);
      await look(page, `arabic-${name}${where.replaceAll("/", "-")}`);
    }
  });
}

scene("pictures of choices, and what is printed", async (test) => {
  const server = await startServer(test);
  const file = path.join(await folder(), "ann.png");
  await writeFile(file, PNG);
  const added = await run("picture", "add", file, "--server", server.base, "--json");
  assert.equal(added.code, 0, added.stderr);
  const { photo } = JSON.parse(added.stdout);
  await open(server, lunch("lunch", { contest: [{ id: "who", title: "Who?", choices: [{ name: "Ann", photo, description: "Baker" }, "Bob"] }] }));
  const page = await device(await openBrowser(test), test);
  await page.goto(`${server.base}/e/lunch`);
  assert.ok(await page.locator(".option img").evaluate((image) => image.complete && image.naturalWidth === 8));
  await castBallot(page, [["Ann"]], { picture: "phone-pictures" });
  await page.emulateMedia({ media: "print" });
  for (const gone of ["Download the receipt", "Check my receipt"]) {
    assert.equal(await page.getByText(gone).isVisible(), false, gone);
  }
  assert.ok(await page.locator(".tracker").isVisible());
  await look(page, "printed-receipt");
});
