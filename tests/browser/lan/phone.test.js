// A phone on a room's network, over plain HTTP at an address that is not loopback: it joins by the printed address,
// votes, and an officer pairs another device. Two hosts, joined by a cable: network namespaces made here.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, writeFile } from "node:fs/promises";
import path from "node:path";
import { castBallot, device, journey, look, openBrowser, scene } from "../support/browser.js";
import { folder, startDemo } from "../support/hustings.js";

const HALL = "192.168.77.1";
const PHONE = "192.168.77.2";

const ip = (...words) => execFileSync("ip", words, { stdio: ["ignore", "pipe", "pipe"] });

/** This process is in a network namespace of its own (see `cargo xtask test`): the hall. The phone gets another. */
function layCable() {
  assert.equal(String(ip("route")), "", "not on a machine's own network: run this by `cargo xtask test --only lan`");
  ip("link", "set", "lo", "up");
  ip("netns", "add", "phone");
  ip("link", "add", "hall0", "type", "veth", "peer", "name", "phone0");
  ip("link", "set", "phone0", "netns", "phone");
  ip("address", "add", `${HALL}/24`, "dev", "hall0");
  ip("link", "set", "hall0", "up");
  ip("route", "add", "default", "via", "192.168.77.254", "dev", "hall0");
  ip("-n", "phone", "address", "add", `${PHONE}/24`, "dev", "phone0");
  ip("-n", "phone", "link", "set", "phone0", "up");
  ip("-n", "phone", "link", "set", "lo", "up");
}

/** Chromium as a program of the other host. */
async function browserOfPhone(test) {
  const chromium = process.env.HUSTINGS_CHROMIUM ?? "/usr/bin/chromium";
  const program = path.join(await folder(), "chromium-on-the-phone");
  await writeFile(program, `#!/bin/sh\nexec ip netns exec phone "${chromium}" "$@"\n`);
  await chmod(program, 0o755);
  return openBrowser(test, program);
}

scene("a phone on the room's network", async (test) => {
  layCable();
  const server = await startDemo(test, "--listen", "0.0.0.0:8700", "--wait-for", "2");
  const browser = await browserOfPhone(test);
  const phone = await device(browser, test);
  const remote = await device(browser, test);
  const step = journey(test);

  await step("the printed address is the one that phones reach", async () => {
    const addresses = server.output.match(/http:\/\/\S+/g);
    assert.ok(addresses[0].startsWith(`http://${HALL}:8700/`), server.output);
  });

  await step("it votes, and is told that the connection is not encrypted", async () => {
    const join = server.output.match(/http:\/\/\S+\/j\/\w+/)[0];
    await phone.goto(join);
    await phone.getByText("This connection is not encrypted").first().waitFor();
    await phone.getByRole("link", { name: "Vote now" }).first().click();
    await castBallot(phone, [["Falafel"]]);
    await look(phone, "lan-phone-cast");
    const cookies = await phone.context().cookies();
    assert.ok(cookies.length > 0 && cookies.every((cookie) => cookie.httpOnly && !cookie.name.startsWith("__Host-")), JSON.stringify(cookies));
  });

  await step("its vote is still there when the link is opened again", async () => {
    await phone.goto(server.output.match(/http:\/\/\S+\/j\/\w+/)[0]);
    await phone.getByText("You have voted").first().waitFor();
  });

  await step("over this connection nobody is asked for the officer token", async () => {
    await remote.goto(`http://${HALL}:8700/admin`);
    assert.equal(await remote.getByLabel("Officer token").count(), 0);
    await remote.getByLabel("Pairing code").fill("AAAA-AAAA");
    await remote.getByRole("button", { name: "Pair this device" }).click();
    await remote.getByText("This code is wrong, used, or too old.").first().waitFor();
    await look(remote, "lan-officer-login");
  });

  await step("a form that was not served to this browser is refused", async () => {
    const answer = await phone.evaluate(async () => {
      const response = await fetch("/j/AAAAAA/another", { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: "form=x" });
      return response.status;
    });
    assert.ok([403, 404].includes(answer), `${answer}`);
  });
});
