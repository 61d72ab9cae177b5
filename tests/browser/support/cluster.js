// Three servers of one cluster, and a balancer for those that stand behind one name.
import { createServer, request } from "node:http";
import net from "node:net";
import path from "node:path";
import { folder, startMember, waitFor } from "./hustings.js";

// Hosts of their own, as browsers see it: cookies of one do not reach another.
const HOSTS = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];

/** Starts three servers; each says `publicUrl` of itself, or its own address. */
export async function startCluster(test, { publicUrl } = {}) {
  const places = [];
  for (const host of HOSTS) places.push({ host, voters: await freePort(host), nodes: await freePort(host) });
  const seeds = places.map(({ host, nodes }) => `${host}:${nodes}`).join(",");
  const root = await folder();
  const servers = [];
  const start = (index, more) => {
    const { host, voters, nodes } = places[index];
    return startMember(test, [
      "--data", path.join(root, `data${index}`), "--listen", `${host}:${voters}`, "--public-url", publicUrl ?? `http://${host}:${voters}`,
      "--cluster", "hall", "--discovery", "off", "--node-listen", `${host}:${nodes}`, "--node-address", `${host}:${nodes}`, ...more,
    ], servers[0]?.facts.cluster.join_key);
  };
  for (const index of places.keys()) servers.push(await start(index, index === 0 ? ["--first"] : ["--seeds", seeds]));
  /** Starts a server again that was killed. */
  const restart = async (server) => {
    const index = servers.indexOf(server);
    servers[index] = await start(index, ["--seeds", seeds]);
  };
  const view = async (server = servers.find(({ child }) => child.exitCode === null && child.signalCode === null)) =>
    (await fetch(`${server.base}/api/v1/cluster`)).json();
  await waitFor(async () => (await view()).can_lose === 1, "three voters", () => servers.map(({ output }) => output).join("\n"));
  /** The server that leads now. */
  const leader = async () => {
    let found;
    await waitFor(async () => {
      const { leader: id } = await view();
      found = servers.find(({ facts, child }) => facts.cluster.node === id && child.signalCode === null);
      return found;
    }, "a leader");
    return found;
  };
  return { servers, leader, view, restart };
}

function freePort(host) {
  return new Promise((resolve, reject) => {
    const probe = net.createServer().on("error", reject);
    probe.listen(0, host, () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/**
 * A balancer: each request goes to the next server. What cannot be sent to one goes to another; what was sent and not
 * answered is not sent twice by itself, as is usual, but answered with 502.
 */
export async function startBalancer(test) {
  const balancer = { servers: [], base: "" };
  let turn = 0;
  const server = createServer((incoming, outgoing) => {
    const body = [];
    incoming.on("data", (part) => body.push(part)).on("end", () => {
      const first = turn++;
      const attempt = (next) => {
        if (next === balancer.servers.length) return outgoing.writeHead(502, { "content-type": "text/html" }).end("<h1>Bad gateway</h1>");
        const { hostname, port } = new URL(balancer.servers[(first + next) % balancer.servers.length].base);
        const passed = request({ hostname, port, method: incoming.method, path: incoming.url, headers: incoming.headers }, (answer) => {
          outgoing.writeHead(answer.statusCode, answer.headers);
          answer.pipe(outgoing);
          answer.on("error", () => outgoing.destroy());
        });
        outgoing.on("close", () => passed.destroy());
        passed.on("error", (error) => {
          if (outgoing.headersSent) outgoing.destroy();
          else if (error.code === "ECONNREFUSED" || incoming.method === "GET") attempt(next + 1);
          else outgoing.writeHead(502, { "content-type": "text/html" }).end("<h1>Bad gateway</h1>");
        });
        passed.end(Buffer.concat(body));
      };
      attempt(0);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  test.after(() => { server.closeAllConnections(); server.close(); });
  balancer.base = `http://127.0.0.1:${server.address().port}`;
  return balancer;
}
