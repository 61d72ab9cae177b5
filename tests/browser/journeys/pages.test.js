// Every page in every state once, at phone and desktop size, light and dark: pictures, and what each page must hold.
import assert from "node:assert/strict";
import { DESKTOP, PHONE, castBallot, device, journey, look, openBrowser, scene } from "../support/browser.js";
import { OFFICER_TOKEN, startServer } from "../support/hustings.js";

const CHOICES = ["A short one", "One with a name so long that it has to be broken on a narrow screen, whatever it says", "مرحبا"];

function definition(slug, more = {}) {
  return { slug, title: `The ${slug} election`, contest: [{ id: "one", title: "What shall it be?", choices: CHOICES }], ...more };
}

/** A room with an election in each state. */
async function furnish(server) {
  const list = { eligibility: "list", voters: ["u1", "u2"], results: "live" };
  const motion = { id: "fence", title: "A new fence", method: "motion", majority: ">=2/3", description: "It costs 300." };
  await server.post("/elections", definition("draft"));
  for (const [slug, more] of [
    ["open", { description: "About something.", contest: [...definition("open").contest, motion] }],
    ["listed", list], ["paused", {}], ["closed", {}], ["published", {}], ["cancelled", {}],
  ]) {
    await server.post("/elections", definition(slug, more));
    await server.post(`/elections/${slug}/open`);
  }
  await server.post("/elections/paused/pause");
  await server.post("/elections/closed/close");
  await server.post("/elections/published/close");
  await server.post("/elections/published/publish");
  await server.post("/elections/cancelled/cancel", { reason: "rain" });
  return server.post("/rooms", { title: "Annual meeting", pace: "own", elections: ["open", "paused", "closed"] });
}

for (const [size, viewport, colorScheme] of [["phone", PHONE, "light"], ["desktop", DESKTOP, "dark"]]) {
  scene(`every page: ${size}, ${colorScheme}`, async (test) => {
    const server = await startServer(test, "--embed-origin", "https://www.example.org");
    const { code } = await furnish(server);
    const browser = await openBrowser(test);
    const page = await device(browser, test, { viewport, colorScheme });
    const step = journey(test);
    const visit = async (where, name) => {
      const response = await page.goto(server.base + where);
      assert.equal(response.status(), 200, where);
      await look(page, `pages-${size}-${name}`);
    };

    for (const slug of ["draft", "open", "paused", "closed", "published", "cancelled"]) {
      await step(`the election that is ${slug}`, async () => {
        await visit(`/e/${slug}`, slug);
        await visit(`/e/${slug}/results`, `${slug}-results`);
        if (slug !== "draft") await visit(`/e/${slug}/record`, `${slug}-record`);
      });
    }

    await step("a list asks for an id, and refuses another", async () => {
      await visit("/e/listed", "listed");
      await page.getByLabel("Your voter id").fill("nobody");
      await page.getByRole("button", { name: "Show my ballot" }).click();
      await page.getByText("Not on the list.").first().waitFor();
      await look(page, `pages-${size}-not-on-list`);
      await page.getByLabel("Your voter id").fill("u1");
      await page.getByRole("button", { name: "Show my ballot" }).click();
      await castBallot(page, [[CHOICES[2]]]);
      await look(page, `pages-${size}-listed-cast`);
    });

    await step("the room, and its screen in every state", async () => {
      await visit(`/j/${code}`, "room");
      for (const screen of [{ show: "lobby" }, { show: "election", election: "open" }, { show: "results", election: "closed" }, { show: "black" }]) {
        await server.post(`/rooms/${code}/screen`, screen);
        await visit(`/r/${code}/screen`, `screen-${screen.show}`);
        await visit(`/r/${code}/overlay`, `overlay-${screen.show}`);
        await visit(`/r/${code}/embed`, `embed-${screen.show}`);
      }
    });

    await step("the officer's pages", async () => {
      await page.goto(`${server.base}/admin`);
      await page.getByLabel("Officer token").fill(OFFICER_TOKEN);
      await page.getByRole("button", { name: "Log in" }).click();
      await page.getByRole("heading", { level: 1, name: "Polls and rooms" }).waitFor();
      await visit("/admin", "admin");
      for (const slug of ["draft", "open", "listed", "closed", "cancelled"]) await visit(`/admin/e/${slug}`, `admin-${slug}`);
      await visit(`/admin/r/${code}`, "admin-room");
      await visit(`/admin/r/${code}/remote`, "admin-remote");
    });
  });
}
