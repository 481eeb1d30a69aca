/** `--reconnect`: one session after another. */

import { assertEquals, assertMatch } from "@std/assert";
import { testWith } from "../../helpers/conditions.ts";
import { until } from "../../helpers/deadlines.ts";
import { Folder } from "../../helpers/folder.ts";
import { resettingPeer } from "../../helpers/peers.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import {
  accept,
  closedPort,
  rawListener,
  receiveText,
  send,
} from "../../helpers/tcp.ts";

/** The options of a client that comes back to a port. */
function comingBackTo(port: number, ...more: string[]): string[] {
  const retry = ["--retry-delay", "10ms", "--retries", "500"];
  return ["--connect", `${port}`, "--reconnect", ...retry, ...more];
}

/** Listens on a port of a moment ago, which an attempt of the client may hold. */
function listenAgain(port: number): Promise<Deno.TcpListener> {
  return until(() => {
    try {
      return Deno.listen({ hostname: "127.0.0.1", port });
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
      return undefined;
    }
  }, "the port");
}

Deno.test("--reconnect follows a server over its restarts, and stdout is one stream", async () => {
  const port = closedPort();
  await using client = sockpipe(comingBackTo(port, "--receive-only"));
  for (const text of ["one\n", "two\n", "three\n"]) {
    await client.said(/cannot connect to .*connection refused/);
    using raw = await listenAgain(port);
    using conn = await accept(raw);
    await send(conn, text);
    await client.stdout.match(new RegExp(`${text}$`));
  }
  client.kill("SIGTERM");
  assertEquals(await client.code(), 143);
  assertEquals(client.stdout.text(), "one\ntwo\nthree\n");
});

Deno.test("--reconnect --forward is a tunnel that is there again for the next client", async () => {
  using service = rawListener();
  using relay = rawListener();
  const forward = ["--forward", `${service.port}`, "--connections", "3"];
  await using client = sockpipe(comingBackTo(relay.port, ...forward));
  for (const text of ["one", "two", "three"]) {
    using outside = await accept(relay);
    using inside = await accept(service);
    await send(outside, text);
    assertEquals(await receiveText(inside, text.length), text);
    await send(inside, text.toUpperCase());
    assertEquals(await receiveText(outside, text.length), text.toUpperCase());
  }
  assertEquals(await client.code(), 0);
});

Deno.test("--reconnect pauses as --retry-delay says when a session moves nothing", async () => {
  using raw = rawListener();
  const options = ["--receive-only", "-v", "--retry-delay", "50ms"];
  const pauses = ["--retry-max-delay", "60s"];
  const args = ["--connect", `${raw.port}`, "--reconnect"];
  await using client = sockpipe([...args, ...options, ...pauses]);
  for (let i = 0; i < 3; i++) (await accept(raw)).close();
  await client.said(/(connecting to \S+ again in (\d+ms)[^]*){3}/);
  const delays = [...client.stderr.text().matchAll(/again in (\d+)ms/g)]
    .map(([, ms]) => Number(ms));
  // Doubled each time, of which up to a half is taken off.
  assertEquals(delays.map((ms) => ms >= 50), [true, true, true]);
  assertEquals(delays.map((ms) => ms <= 200), [true, true, true]);
});

Deno.test("--reconnect goes on after a session that broke, and says so at the end", async () => {
  using folder = new Folder();
  const path = `${folder.path}/file`;
  await Deno.writeTextFile(path, "the whole of it");
  await using peer = await resettingPeer({ sends: 0 });
  const { port } = peer;
  const args = comingBackTo(port, "--serve", path, "--connections", "2");
  await using client = sockpipe(args);
  await peer.stdout.match(/ready/);
  peer.kill("SIGKILL");
  await client.said(/connection reset/);
  using raw = await listenAgain(port);
  using second = await accept(raw);
  assertEquals(await receiveText(second), "the whole of it");
  await second.closeWrite();
  assertEquals(await client.code(), 1);
  assertMatch(client.stderr.text(), /1 of 2 connections failed\n$/);
});

Deno.test("--reconnect ends with 3 when no attempt is left", async () => {
  using raw = rawListener();
  const { port } = raw;
  const args = ["--connect", `${port}`, "--reconnect", "--receive-only"];
  const retry = ["--retries", "1", "--retry-delay", "10ms"];
  await using client = sockpipe([...args, ...retry]);
  using conn = await accept(raw);
  raw.close();
  conn.close();
  assertEquals(await client.code(), 3);
});

testWith(
  ["cat"],
  "--reconnect --exec starts a process for each session",
  async () => {
    const { server, at } = await listener(["--keep-open", "--message", "hi"]);
    await using _ = server;
    const end = ["--exec", "cat >&2", "--connections", "2"];
    await using client = sockpipe(comingBackTo(at.port, ...end));
    assertEquals(await client.code(), 0);
    assertEquals(client.stderr.text().match(/hi/g)?.length, 2);
  },
);

Deno.test("--reconnect --dump numbers the connections of the record", async () => {
  using folder = new Folder();
  const record = `${folder.path}/record`;
  using raw = rawListener();
  const args = ["--dump", record, "--receive-only", "--connections", "2"];
  await using client = sockpipe(comingBackTo(raw.port, ...args));
  for (const text of ["one", "two"]) {
    using conn = await accept(raw);
    await send(conn, text);
  }
  assertEquals(await client.code(), 0);
  const text = await Deno.readTextFile(record);
  const connected = text.matchAll(/^= (#\d) .* connected to /gm).toArray();
  assertEquals(connected.map(([, number]) => number), ["#1", "#2"]);
  assertMatch(text, /^< #2 .*\n.*two/m);
});
