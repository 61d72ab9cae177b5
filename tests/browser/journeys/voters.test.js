// Three people in a room vote in all elections of the demo; the third closes each; the record is checked.
import assert from "node:assert/strict";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { DESKTOP, castBallot, device, journey, look, openBrowser, scene } from "../support/browser.js";
import { folder, run, startDemo, waitFor } from "../support/hustings.js";

/** The demo's elections with, contest by contest, the names of their choices. */
async function elections(server) {
  const { elections } = await server.get("/elections");
  const inOrder = [];
  for (const { slug } of elections) {
    const { title, definition } = await server.get(`/elections/${slug}`);
    inOrder.push({ slug, title, contests: definition.contest.map((one) => one.choices.map((choice) => choice.name)) });
  }
  return inOrder;
}

/** What each of three voters marks: all agree in the first election, the rest ends in ties between the first two. */
function answers(election, place, voter) {
  return election.contests.map((names) => (place === 0 ? [names[0]] : voter < 2 ? [names[voter]] : []));
}

/** From the room's page through every election, by links and buttons only. */
async function voteInAll(page, server, list, voter, picture) {
  await page.goto(`${server.base}/poll/1`);
  for (const [place, election] of list.entries()) {
    if (place > 0) {
      await page.goto(`${server.base}/e/${election.slug}`);
    } else if (!page.url().includes("/e/")) {
      if (picture) await look(page, `${picture}-room`);
      await page.getByRole("link", { name: "Vote now" }).first().click();
    }
    await castBallot(page, answers(election, place, voter), { picture: place === 0 ? picture : undefined });
  }
}

scene("three voters in a room", async (test) => {
  const server = await startDemo(test, "--wait-for", "3");
  const list = await elections(server);
  assert.equal(list.length, 3, "the demo has three elections");
  const browser = await openBrowser(test);
  const projector = await device(browser, test, { viewport: DESKTOP });
  const phoneWithoutScript = await device(browser, test, { script: false });
  const phone = await device(browser, test);
  const desktop = await device(browser, test, { viewport: DESKTOP });
  const receipts = await folder();
  const step = journey(test);

  await step("the projector shows where to join", async () => {
    const screen = server.output.match(/http:\S+\/r\/\w+\/screen/);
    assert.ok(screen, `the demo prints the projector's address:\n${server.output}`);
    await projector.goto(server.base + new URL(screen[0]).pathname);
    await projector.getByRole("img", { name: /QR code/ }).first().waitFor();
    await look(projector, "projector-lobby");
  });

  await step("a phone without JavaScript votes in all three", async () => {
    await voteInAll(phoneWithoutScript, server, list, 0, "phone-without-script");
  });

  await step("nobody sees counts before the vote is over, but the turnout", async () => {
    const results = await server.get(`/elections/${list[0].slug}/results`);
    assert.equal(results.ballots, 1);
    assert.equal(results.state, "open");
  });

  await step("a phone with JavaScript votes in all three", async () => {
    await voteInAll(phone, server, list, 1, "phone");
  });

  await step("a second vote from the same browser shows the receipt of the first", async () => {
    await phone.goto(`${server.base}/e/${list[0].slug}`);
    await phone.getByRole("heading", { level: 1, name: "Your vote is cast" }).waitFor();
  });

  await step("the receipt downloads and its code stands on the page", async () => {
    await phone.goto(`${server.base}/e/${list[0].slug}/receipt`);
    const [download] = await Promise.all([
      phone.waitForEvent("download"),
      phone.getByRole("link", { name: "Download the receipt" }).click(),
    ]);
    const kept = path.join(receipts, "mine.receipt");
    await copyFile(await download.path(), kept);
    const receipt = JSON.parse(await readFile(kept, "utf8"));
    assert.equal(receipt.slug, list[0].slug);
    assert.equal(await phone.locator(".tracker").textContent(), receipt.tracker);
  });

  await step("the third voter, on a desktop, closes each election", async () => {
    await voteInAll(desktop, server, list, 2, "desktop");
    for (const { slug } of list) {
      await waitFor(async () => (await server.get(`/elections/${slug}/results`)).state !== "open", `${slug} to close`);
    }
  });

  await step("a waiting page shows the result by itself", async () => {
    await phone.locator(".outcome").first().waitFor();
    await look(phone, "phone-result-came");
  });

  await step("the winner stands on the results page in one sentence", async () => {
    const winner = list[0].contests[0][0];
    for (const [page, name] of [[phoneWithoutScript, "phone-without-script"], [phone, "phone"], [desktop, "desktop"]]) {
      await page.goto(`${server.base}/e/${list[0].slug}/results`);
      assert.equal(await page.locator("[data-outcome]").first().textContent(), `The winner is ${winner} with 3 votes`);
      await look(page, `${name}-results-winner`);
    }
  });

  await step("a tie is a tie", async () => {
    const [first, second] = list[1].contests[0];
    await desktop.goto(`${server.base}/e/${list[1].slug}/results`);
    const sentence = await desktop.locator("[data-outcome]").first().textContent();
    assert.match(sentence, /tie between/);
    assert.ok(sentence.includes(`${first} (1 vote)`) && sentence.includes(`${second} (1 vote)`), sentence);
    await look(desktop, "desktop-results-tie");
  });

  await step("the record downloads, and the audit passes with the kept receipt", async () => {
    await desktop.goto(`${server.base}/e/${list[0].slug}/record`);
    await look(desktop, "desktop-record");
    await phone.goto(`${server.base}/e/${list[0].slug}/record`);
    await look(phone, "phone-record");
    const [download] = await Promise.all([
      desktop.waitForEvent("download"),
      desktop.getByRole("link", { name: "Download the record" }).click(),
    ]);
    const record = path.join(receipts, "downloaded.record");
    await copyFile(await download.path(), record);
    const audit = await run("audit", record, "--receipt", path.join(receipts, "mine.receipt"));
    assert.equal(audit.code, 0, audit.stdout + audit.stderr);
  });

  await step("one flipped byte in it does not", async () => {
    const bytes = await readFile(path.join(receipts, "downloaded.record"));
    const ballot = bytes.indexOf('"ballot":"') + '"ballot":"'.length + 180;
    bytes[ballot] = bytes[ballot] === 0x41 ? 0x42 : 0x41;
    const flipped = path.join(receipts, "flipped.record");
    await writeFile(flipped, bytes);
    const audit = await run("audit", flipped);
    assert.equal(audit.code, 1, audit.stdout + audit.stderr);
  });

  await step("the record's page checks a receipt file and finds a tracker", async () => {
    await phoneWithoutScript.goto(`${server.base}/e/${list[0].slug}/record`);
    await phoneWithoutScript.getByLabel("Receipt file").setInputFiles(path.join(receipts, "mine.receipt"));
    await phoneWithoutScript.getByRole("button", { name: "Check this receipt" }).click();
    await phoneWithoutScript.locator(".checks li").first().waitFor();
    await look(phoneWithoutScript, "phone-without-script-receipt-checked");
    const { tracker } = JSON.parse(await readFile(path.join(receipts, "mine.receipt"), "utf8"));
    await phone.goto(`${server.base}/e/${list[0].slug}/record`);
    await phone.getByLabel("Code on the receipt").fill(tracker.toLowerCase());
    await phone.getByRole("button", { name: "Find by code" }).click();
    await phone.locator("[role=status]").first().waitFor();
    await look(phone, "phone-tracker-found");
  });
});

scene("a ballot cast after the close is told so", async (test) => {
  const server = await startDemo(test, "--wait-for", "3");
  const [first] = await elections(server);
  const browser = await openBrowser(test);
  const page = await device(browser, test, { script: false });
  await page.goto(`${server.base}/e/${first.slug}`);
  await page.getByLabel(first.contests[0][0], { exact: true }).check();
  await page.getByRole("button", { name: "Check my answers" }).click();
  await server.post(`/elections/${first.slug}/close`);
  await page.getByRole("button", { name: "Cast my vote" }).click();
  await page.getByText(/not (been )?(cast|counted)/).first().waitFor();
  await look(page, "phone-closed-while-voting");
});

scene("a ballot with too many marks is sent back with its marks", async (test) => {
  const server = await startDemo(test, "--wait-for", "3");
  await server.post("/elections", {
    slug: "two-of-three", title: "Two of three",
    contest: [{ id: "pick", title: "Pick two", choose: { min: 1, max: 2 }, choices: ["Red", "Green", "Blue"] }],
  });
  await server.post("/elections/two-of-three/open");
  const page = await device(await openBrowser(test), test, { script: false });
  await page.goto(`${server.base}/e/two-of-three`);
  for (const name of ["Red", "Green", "Blue"]) await page.getByLabel(name, { exact: true }).check();
  await page.getByRole("button", { name: "Check my answers" }).click();
  await page.locator("[role=alert]").getByText("Your vote has not been cast.").first().waitFor();
  assert.ok(await page.getByLabel("Green", { exact: true }).isChecked(), "what was marked stays marked");
  assert.match(await page.title(), /^Error: /);
  await look(page, "phone-too-many-marks");
  await page.getByLabel("Blue", { exact: true }).uncheck();
  await page.getByRole("button", { name: "Check my answers" }).click();
  await page.getByRole("button", { name: "Cast my vote" }).click();
  await page.getByRole("heading", { level: 1, name: "Your vote is cast" }).waitFor();
});

scene("a keyboard is enough", async (test) => {
  const server = await startDemo(test, "--wait-for", "3");
  const [first] = await elections(server);
  const page = await device(await openBrowser(test), test, { viewport: DESKTOP });
  await page.goto(`${server.base}/e/${first.slug}`);
  const focusOn = async (what) => {
    for (let presses = 0; presses < 40; presses++) {
      if (await page.evaluate(what)) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`the tab key does not lead to ${what}`);
  };
  await focusOn(() => document.activeElement.matches("fieldset input"));
  await page.keyboard.press("Space");
  await focusOn(() => document.activeElement.textContent === "Check my answers");
  await page.keyboard.press("Enter");
  await page.getByText("Nothing has been cast yet.").first().waitFor();
  await focusOn(() => document.activeElement.textContent === "Cast my vote");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Your vote is cast" }).waitFor();
});
