// Every page in every state, in every dress: light, dark, forced colours, 320 px, 400 % zoom, from right to left, and
// printed. Each holds what every page must hold (see `look`): no violation that axe can find, nothing wider than the
// window. The pictures are for people to look at.
import assert from "node:assert/strict";
import { DESKTOP, PHONE, device, look, openBrowser, scene } from "../support/browser.js";
import { OFFICER_TOKEN, startServer } from "../support/hustings.js";
import { furnish, officerStates, screenStates, voterStates } from "../support/states.js";

const DRESSES = [
  { name: "light", viewport: PHONE, media: { colorScheme: "light" } },
  { name: "dark", viewport: DESKTOP, media: { colorScheme: "dark" } },
  { name: "forced", viewport: PHONE, media: { forcedColors: "active" } },
  { name: "320px", viewport: { width: 320, height: 640 }, media: {} },
  // A window of 1280 × 1024 at 400 % has 320 × 256 of its pixels.
  { name: "zoom400", viewport: { width: 320, height: 256 }, media: {} },
];
const PLAIN = { colorScheme: "light", forcedColors: "none" };
let checked = 0;

/** Shows each state once in each language, and looks at it in each dress. */
async function lookAtAll(test, browser, server, group, states, options = {}) {
  for (const [language, dresses] of [["en", options.dresses ?? DRESSES], ["ar", [{ name: "rtl", viewport: PHONE, media: {} }]]]) {
    for (const state of states) {
      // One after the other: a group shares what its states change.
      await test.test(`${group}: ${state.name}, ${language}`, async (step) => {
        const page = await device(browser, step, { viewport: dresses[0].viewport });
        await page.context().addCookies([{ name: "hustings-language", value: language, url: server.base }]);
        if (options.before) await options.before(page);
        await state.show(page);
        if (language === "ar") assert.equal(await page.locator("html[dir=rtl]").count(), 1, "from right to left");
        for (const dress of dresses) {
          await page.setViewportSize(options.viewport ?? dress.viewport);
          await page.emulateMedia({ ...PLAIN, ...dress.media });
          await look(page, `states/${group}/${state.name}-${dress.name}`);
          checked += 1;
        }
        await page.context().close();
      });
    }
  }
}

scene("every state of every page", async (test) => {
  const server = await startServer(test);
  const empty = await startServer(test);
  const places = await furnish(server);
  const browser = await openBrowser(test);

  const voters = lookAtAll(test, browser, server, "voter", voterStates(server, empty, places));
  const screens = lookAtAll(test, browser, server, "screen", screenStates(server, places), {
    dresses: [{ name: "dark", media: {} }, { name: "forced", media: { forcedColors: "active" } }],
    viewport: { width: 1280, height: 720 },
  });
  const logIn = async (page) => {
    for (const { base } of [server, empty]) {
      await page.goto(`${base}/admin`);
      await page.locator("form[action='/admin/login'] input[type=password]").fill(OFFICER_TOKEN);
      await page.locator("form[action='/admin/login'] button").click();
      await page.locator("form[action='/admin/logout']").waitFor({ state: "attached" });
    }
  };
  const officers = screens.then(() => lookAtAll(test, browser, server, "officer", officerStates(server, empty, places), { before: logIn }));
  await Promise.all([voters, officers]);

  await test.test("printed: a receipt and a result", async (step) => {
    const page = await device(browser, step);
    for (const state of voterStates(server, empty, places).filter(({ name }) => ["receipt-waiting", "results-winner"].includes(name))) {
      await state.show(page);
      await page.emulateMedia({ media: "print" });
      await look(page, `states/voter/${state.name}-printed`);
      checked += 1;
    }
  });
  test.diagnostic(`${checked} states looked at`);
}, { timeout: 900_000, concurrency: 2 });
