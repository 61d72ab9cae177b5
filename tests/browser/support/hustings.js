// Starts the program under test and ends it again; talks to its command line and its interface.
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const BINARY = process.env.HUSTINGS_BIN ?? path.resolve(HERE, "../../../target/debug/hustings");
const START_MS = 20_000;
const STOP_MS = 15_000;
const ADDRESS = /http:\/\/\d+\.\d+\.\d+\.\d+:\d+/;
export const OFFICER_TOKEN = "an-officer-token-for-the-tests-only";

const folders = [];
process.on("exit", () => folders.forEach((made) => rmSync(made, { recursive: true, force: true, maxRetries: 5 })));

/** A fresh folder, removed when all tests of the file have ended and nobody writes to it any more. */
export async function folder() {
  folders.push(await mkdtemp(path.join(tmpdir(), "hustings-browser-")));
  return folders.at(-1);
}

/** Runs a command to its end: `{ code, stdout, stderr }`. */
export function run(...args) {
  return new Promise((resolve, reject) => {
    const child = spawn(BINARY, args, { stdio: ["ignore", "pipe", "pipe"], env: environment() });
    let stdout = "", stderr = "";
    child.stdout.on("data", (data) => { stdout += data; });
    child.stderr.on("data", (data) => { stderr += data; });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** Starts `hustings demo` on a free port; ends it with the test. */
export async function startDemo(test, ...args) {
  const data = path.join(await folder(), "data");
  const listen = args.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
  return start(test, ["demo", ...listen, "--data", data, ...args]);
}

/** Starts `hustings serve` on a free port; ends it with the test. */
export async function startServer(test, ...args) {
  const data = path.join(await folder(), "data");
  return start(test, ["serve", "--listen", "127.0.0.1:0", "--data", data, ...args]);
}

/** Starts `hustings serve` on a folder and an address that may have been another server's before. */
export async function serveAt(test, data, address) {
  return start(test, ["serve", "--listen", address, "--data", data]);
}

/** Starts one of a cluster's servers; its first line of output, as JSON, is its `facts`. */
export async function startMember(test, args, joinKey) {
  const server = await start(test, ["--json", "serve", ...args], joinKey ? { HUSTINGS_JOIN_KEY: joinKey } : {});
  server.facts = JSON.parse(server.output.split("\n").find((line) => line.startsWith("{\"")));
  return server;
}

async function start(test, args, more = {}) {
  const child = spawn(BINARY, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...environment(), ...more } });
  const server = { output: "", base: "", child };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => { server.output += data; });
  const ended = new Promise((resolve) => child.on("close", resolve));
  server.stop = async () => {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(late);
  };
  server.kill = () => { child.kill("SIGKILL"); return ended; };
  test.after(server.stop);
  await waitFor(() => {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${server.output}`);
    return ADDRESS.test(server.output);
  }, `an address in the output of hustings ${args[0]}`, () => server.output);
  // The address it listens on; as JSON it stands beside the one that people are told.
  server.base = (server.output.match(/"url":"([^"]+)"/) ?? [, server.output.match(ADDRESS)[0]])[1];
  await waitFor(async () => (await fetch(`${server.base}/readyz`).catch(() => ({}))).ok, "readyz");
  server.get = (where) => api(server, "GET", where);
  server.post = (where, body) => api(server, "POST", where, body);
  return server;
}

/** Calls the interface as the officer; throws on anything but success. */
async function api(server, method, where, body) {
  const headers = { authorization: `Bearer ${OFFICER_TOKEN}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  const response = await fetch(`${server.base}/api/v1${where}`, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${method} ${where}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** Waits, bounded, until `condition` holds. */
export async function waitFor(condition, what, context = () => "") {
  const until = Date.now() + START_MS;
  while (!(await condition())) {
    if (Date.now() > until) throw new Error(`waited ${START_MS} ms for ${what}\n${context()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function environment() {
  return { ...process.env, HUSTINGS_OFFICER_TOKEN: OFFICER_TOKEN, NO_COLOR: "1" };
}
