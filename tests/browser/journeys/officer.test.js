// An officer makes a poll, opens it, closes it and publishes it, on the pages alone.
import assert from "node:assert/strict";
import { DESKTOP, PHONE, castBallot, device, journey, look, openBrowser, scene } from "../support/browser.js";
import { OFFICER_TOKEN, startServer, waitFor } from "../support/hustings.js";

async function logIn(page, server) {
  await page.goto(`${server.base}/admin`);
  await page.getByLabel("Officer token").fill(OFFICER_TOKEN);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { level: 1, name: "Polls and rooms" }).waitFor();
}

for (const [name, viewport, script] of [["desktop", DESKTOP, true], ["phone-without-script", PHONE, false]]) {
  scene(`an officer runs a poll: ${name}`, async (test) => {
    const server = await startServer(test);
    const browser = await openBrowser(test);
    const officer = await device(browser, test, { viewport, script });
    const voter = await device(browser, test);
    const step = journey(test);
    let slug;

    await step("a wrong token is refused", async () => {
      await officer.goto(`${server.base}/admin`);
      await look(officer, `officer-${name}-login`);
      await officer.getByLabel("Officer token").fill("wrong");
      await officer.getByRole("button", { name: "Log in" }).click();
      await officer.getByText("Not logged in.").first().waitFor();
    });

    await step("a new poll takes a question and its choices", async () => {
      await logIn(officer, server);
      await look(officer, `officer-${name}-empty`);
      await officer.getByLabel("Question").fill("Where do we meet?");
      await officer.getByLabel("Choices, one a line").fill("Library\nPark\nRiver");
      await officer.getByText("When results are shown, and when it closes").click();
      await officer.getByLabel("Results are shown").selectOption("at-close");
      await look(officer, `officer-${name}-form`);
      await officer.getByRole("button", { name: "Start now" }).click();
      await waitFor(async () => (await server.get("/elections")).elections.length === 1, "the poll");
      [{ slug }] = (await server.get("/elections")).elections;
      await officer.goto(`${server.base}/admin/e/${slug}`);
      if ((await server.get(`/elections/${slug}`)).state === "draft") {
        await officer.getByRole("button", { name: /open/i }).first().click();
      }
      await waitFor(async () => (await server.get(`/elections/${slug}`)).state === "open", "the poll to open");
      await officer.goto(`${server.base}/admin/e/${slug}`);
      await look(officer, `officer-${name}-open`);
    });

    await step("a voter votes, and the officer sees the turnout", async () => {
      await voter.goto(`${server.base}/e/${slug}`);
      await castBallot(voter, [["Park"]]);
      await officer.goto(`${server.base}/admin/e/${slug}`);
      await officer.locator("[data-live=voters]").filter({ hasText: "1 person has voted" }).waitFor();
    });

    await step("closing asks once and prints the outcome", async () => {
      const form = officer.locator("form[action$='/close']");
      await officer.locator("summary", { hasText: "Close the vote now" }).click();
      await officer.getByText("It cannot be opened again.").first().waitFor();
      assert.equal((await server.get(`/elections/${slug}`)).state, "open", "not before it is confirmed");
      await look(officer, `officer-${name}-close-asked`);
      await form.getByRole("button").click();
      await officer.getByText("The winner is Park with 1 vote").first().waitFor();
      await look(officer, `officer-${name}-closed`);
    });

    await step("publishing ends it", async () => {
      await officer.locator("summary", { hasText: "Publish the result" }).click();
      await officer.locator("form[action$='/publish']").getByRole("button").click();
      await waitFor(async () => (await server.get(`/elections/${slug}`)).state === "published", "publication");
      await officer.goto(`${server.base}/admin`);
      await look(officer, `officer-${name}-list`);
    });

    await step("logging out ends the session", async () => {
      await officer.goto(`${server.base}/admin`);
      await officer.getByRole("button", { name: "Log out" }).click();
      await officer.goto(`${server.base}/admin/e/${slug}`);
      await officer.getByRole("heading", { level: 1, name: "Officer login" }).waitFor();
    });
  });
}

scene("pages that are not there, and the page of errors, say so plainly", async (test) => {
  const server = await startServer(test);
  const page = await device(await openBrowser(test), test);
  for (const [where, name] of [["/e/nowhere", "no-such-election"], ["/j/ZZZZZZ", "no-such-room"], ["/nowhere", "not-found"]]) {
    const response = await page.goto(server.base + where);
    assert.equal(response.status(), 404, where);
    await look(page, `phone-${name}`);
  }
  await page.goto(`${server.base}/errors`);
  await look(page, "phone-errors");
  await page.goto(server.base);
  await look(page, "phone-home");
});
