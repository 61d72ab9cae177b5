// The browser: phones and desktops with and without script, screenshots, and what every page must hold.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SCREENSHOTS = process.env.HUSTINGS_SCREENSHOTS ?? path.resolve("../../target/screenshots");
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const STEP_MS = 15_000;
const SCENE_MS = 240_000;
/** Pages without script: axe, a script itself, cannot run there. Their markup is the same. */
const scriptless = new WeakSet();

export const PHONE = { width: 360, height: 740 };
export const DESKTOP = { width: 1280, height: 800 };

/** A test that ends in time, whatever hangs. */
export function scene(name, body, options = {}) {
  test(name, { timeout: SCENE_MS, ...options }, body);
}

/** Steps of one journey, each a test of its own: when one fails, those after it are skipped. */
export function journey(test) {
  let failed = false;
  return (name, body) => test.test(name, async (step) => {
    if (failed) return step.skip("an earlier step failed");
    try {
      await body(step);
    } catch (error) {
      failed = true;
      throw error;
    }
  });
}

/** Opens Chromium; it closes with the test. */
export async function openBrowser(test, executablePath = process.env.HUSTINGS_CHROMIUM ?? "/usr/bin/chromium") {
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  test.after(() => browser.close());
  return browser;
}

/** One person's device: a context of its own, so its own cookies. What goes wrong in its console fails the test. */
export async function device(browser, test, { viewport = PHONE, script = true, ...more } = {}) {
  const context = await browser.newContext({ viewport, javaScriptEnabled: script, acceptDownloads: true, reducedMotion: "reduce", ...more });
  const page = await context.newPage();
  if (!script) scriptless.add(page);
  page.setDefaultTimeout(STEP_MS);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    // Answers that a journey asks for, lines that it cuts, and the server going away when the test ends.
    const expected = /status of (401|403|404|409|422|503)|ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_INTERNET_DISCONNECTED|ERR_FAILED/;
    if (message.type() === "error" && !expected.test(message.text())) complaints.push(message.text());
  });
  test.after(() => assert.deepEqual(complaints, [], "the browser's console"));
  return page;
}

/** Checks what every page must hold, and takes a picture of the whole of it. */
export async function look(page, name) {
  assert.equal(await page.locator("h1").count(), 1, `${name}: one h1`);
  assert.equal(await page.locator("html[lang]").count(), 1, `${name}: a language`);
  assert.equal(await page.locator("[style]").count(), 0, `${name}: no inline style`);
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wider <= 0, `${name}: ${wider} px wider than the window`);
  mkdirSync(path.dirname(path.join(SCREENSHOTS, name)), { recursive: true });
  // The caret is left alone: hiding it would write style attributes into the page.
  await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`), fullPage: true, caret: "initial" });
  if (!scriptless.has(page)) await checkAccessibility(page, name);
}

/** WCAG 2.2 A and AA as far as a program can tell. */
async function checkAccessibility(page, name) {
  await page.evaluate(AXE);
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
  // In forced colours people see their system's palette, and axe reads what the sheet would have said.
  const found = await page.evaluate((values) => globalThis.axe.run({
    runOnly: { type: "tag", values },
    rules: { "color-contrast": { enabled: !matchMedia("(forced-colors: active)").matches } },
  }), tags);
  const problems = found.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.target).join(" ")}`);
  assert.deepEqual(problems, [], `${name}: accessibility`);
}

/** Fills in and casts the ballot at hand: `answers` holds, contest by contest, the names to mark. Ends on the receipt. */
export async function castBallot(page, answers, { picture } = {}) {
  const step = page.locator(".step").filter({ visible: true });
  for (const [index, names] of answers.entries()) {
    for (const name of names) await step.getByLabel(name, { exact: true }).check();
    if (index + 1 < answers.length) await step.getByRole("link", { name: "Next" }).click();
  }
  if (picture) await look(page, `${picture}-ballot`);
  await page.getByRole("button", { name: "Check my answers" }).click();
  await page.getByText("Nothing has been cast yet.").waitFor();
  if (picture) await look(page, `${picture}-review`);
  await page.getByRole("button", { name: "Cast my vote" }).click();
  await page.getByRole("heading", { level: 1, name: "Your vote is cast" }).waitFor();
  if (picture) await look(page, `${picture}-cast`);
}
