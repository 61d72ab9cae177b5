// Four tasks as somebody does them who knows only the README, with their taps counted and their time measured: from
// the demo's first line to a poll on the wall, a vote on a small phone, "check my vote", reveal and run-off.
import assert from "node:assert/strict";
import { DESKTOP, PHONE, device, journey, openBrowser, scene } from "../support/browser.js";
import { startDemo } from "../support/hustings.js";

/** Counts what a person presses; typing into one field counts once. */
class Person {
  constructor(page) {
    this.page = page;
    this.taps = 0;
    this.began = performance.now();
  }

  async tap(locator) {
    this.taps += 1;
    await locator.click();
  }

  async type(locator, text) {
    this.taps += 1;
    await locator.fill(text);
  }

  /** Seconds since the task began. */
  seconds() {
    return (performance.now() - this.began) / 1000;
  }
}

scene("four tasks of somebody who knows only the README", async (test) => {
  const began = performance.now();
  const server = await startDemo(test);
  const browser = await openBrowser(test);
  const desk = await device(browser, test, { viewport: DESKTOP });
  const wall = await device(browser, test, { viewport: { width: 1280, height: 720 } });
  const phone = await device(browser, test, { viewport: PHONE });
  const step = journey(test);
  const facts = (task, person) => test.diagnostic(`${task}: ${person.seconds().toFixed(1)} s, ${person.taps} taps`);
  let code;

  await step("a poll is on the wall within a minute of the demo's first line", async () => {
    const facilitator = new Person(desk);
    facilitator.began = began;
    await desk.goto(server.output.match(/http:\S+\/admin\?code=\S+/)[0]);
    await facilitator.tap(desk.getByRole("button", { name: "Pair this device" }));
    await facilitator.type(desk.getByLabel("Question"), "Where do we meet?");
    await facilitator.type(desk.getByLabel("Choices, one a line"), "Library\nPark\nRiver");
    await facilitator.tap(desk.getByRole("button", { name: "Start now" }));
    const projector = desk.getByRole("link", { name: "Projector" }).first();
    code = (await projector.getAttribute("href")).match(/\/r\/(\w+)\//)[1];
    facilitator.taps += 1;
    await wall.goto(server.base + (await projector.getAttribute("href")));
    await wall.getByRole("heading", { name: "Where do we meet?" }).waitFor();
    facts("poll on the wall", facilitator);
    assert.ok(facilitator.seconds() <= 60 && facilitator.taps <= 8, `${facilitator.seconds()} s, ${facilitator.taps} taps`);
  });

  await step("a vote takes at most 30 seconds and 4 taps a contest on a small phone", async () => {
    const voter = new Person(phone);
    await phone.goto(`${server.base}/j/${code}`);
    await voter.tap(phone.getByText("Park", { exact: true }));
    await voter.tap(phone.getByRole("button", { name: "Check my answers" }));
    await voter.tap(phone.getByRole("button", { name: "Cast my vote" }));
    await phone.getByRole("heading", { level: 1, name: "Your vote is cast" }).waitFor();
    facts("vote", voter);
    assert.ok(voter.seconds() <= 30 && voter.taps <= 4, `${voter.seconds()} s, ${voter.taps} taps`);
  });

  await step("'check my vote' is found within 15 seconds", async () => {
    const voter = new Person(phone);
    await voter.tap(phone.getByRole("button", { name: "Check my receipt" }));
    await phone.locator(".note-good[role=status]").filter({ hasText: /record/ }).waitFor();
    facts("check my vote", voter);
    assert.ok(voter.seconds() <= 15 && voter.taps <= 2, `${voter.seconds()} s, ${voter.taps} taps`);
  });

  await step("reveal and run-off need nobody's help", async () => {
    const other = await device(browser, test);
    await other.goto(`${server.base}/j/${code}`);
    await other.getByText("Library", { exact: true }).click();
    await other.getByRole("button", { name: "Check my answers" }).click();
    await other.getByRole("button", { name: "Cast my vote" }).click();
    await other.getByRole("heading", { level: 1, name: "Your vote is cast" }).waitFor();

    const facilitator = new Person(desk);
    await facilitator.tap(desk.locator("#press-close"));
    for (const box of await desk.getByRole("checkbox", { name: /sure|undone|close/i }).all()) await facilitator.tap(box);
    const ask = desk.getByRole("button", { name: "Close the vote now" });
    if (await ask.count()) await facilitator.tap(ask.first());
    await desk.getByRole("button", { name: "Show results" }).first().waitFor();
    assert.equal(await wall.getByText(/tie between/).count(), 0, "hidden until it is revealed");
    await facilitator.tap(desk.getByRole("button", { name: "Show results" }).first());
    await wall.getByText(/tie between/).first().waitFor();
    await phone.goto(`${server.base}/j/${code}`);
    await facilitator.tap(desk.getByRole("button", { name: /^Run-off/ }).first());
    await wall.getByText(/Round 2/).first().waitFor();
    await phone.goto(`${server.base}/j/${code}`);
    await phone.getByRole("button", { name: "Check my answers" }).waitFor();
    facts("close, reveal, run-off", facilitator);
  });
});
