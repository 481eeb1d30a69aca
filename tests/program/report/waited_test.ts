/** What a run has waited for: in the summary, on SIGUSR2, in events, in the meter. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { MiB, randomBytes } from "../../helpers/bytes.ts";
import { until } from "../../helpers/deadlines.ts";
import { addressOf, eventsOf, type Json } from "../../helpers/events.ts";
import type { Running } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { accept, dial, rawListener, receive, send } from "../../helpers/tcp.ts";

/** Asks again and again how far it is, until the answer is the one that is wanted. */
async function asked(process: Running, wanted: RegExp): Promise<void> {
  await until(() => {
    process.kill("SIGUSR2");
    return wanted.test(process.stderr.text()) || undefined;
  }, `${wanted}`);
}

for (const engine of [[], ["--limit-rate", "1G"]]) {
  const by = engine.length === 0 ? "poll(2)" : "the pipe";
  Deno.test(`SIGUSR2 says that stdout is waited for while it is (${by})`, async () => {
    const options = { heldStdout: true };
    const { server, at } = await listener([...engine, "-v"], options);
    await using _ = server;
    const bytes = randomBytes(16 * MiB);
    await using client = sockpipe(["--connect", at.address], { stdin: bytes });
    await asked(server, /\d\d+ % of the time waiting for the reader of stdout/);
    server.stdout.release();
    assertEquals(await client.code(), 0);
    assertEquals(await server.code(), 0);
  });
}

Deno.test("closed has waitedMs for both directions, and what TCP knows", async () => {
  const { server, at } = await listener();
  await using _ = server;
  await using client = sockpipe(["--connect", at.address, "--json"], {
    stdin: "piped",
  });
  await client.said(/connected/);
  const startedAt = performance.now();
  await until(() => performance.now() - startedAt > 300 || undefined, "time");
  await client.endStdin();
  const { all } = await eventsOf(client);
  const closed = all.at(-1) ?? {};
  const { waitedMs } = closed;
  assert(typeof waitedMs === "object" && waitedMs !== null);
  const { stdin } = waitedMs as Record<string, number>;
  assert(stdin !== undefined && stdin >= 290 && stdin < 10_000, `${stdin}`);
  if (Deno.build.os !== "linux") return;
  assertEquals(closed.retransmits, 0);
  assert(Number(closed.roundTripMs) > 0);
});

/** The part of an event that says how long was waited. */
function waitsOf(event: Json | undefined, name: string): Json {
  const waits = event?.[name];
  assert(typeof waits === "object" && waits !== null, JSON.stringify(event));
  return { ...waits };
}

Deno.test("--reliable: both sides name the slow reader of one, on SIGUSR2 and at the end", async () => {
  const both = ["--reliable", "--heartbeat", "600ms"];
  const { server, at } = await listener([...both, "-v"], { heldStdout: true });
  await using _ = server;
  await using client = sockpipe(
    ["--connect", at.address, ...both, "--json"],
    { stdin: randomBytes(16 * MiB) },
  );
  await asked(server, /\d\d+ % of the time waiting for the reader of stdout/);
  await until(() => {
    client.kill("SIGUSR2");
    const lines = client.stderr.text().trimEnd().split("\n");
    const { waitedMs, peerWaitedMs } = JSON.parse(lines.at(-1) ?? "");
    return waitedMs?.sending > 1000 && peerWaitedMs?.stdout > 1000 || undefined;
  }, "the waits of both");
  server.stdout.release();
  const { code, all } = await eventsOf(client);
  assertEquals([code, await server.code()], [0, 0]);
  assert(Number(waitsOf(all.at(-1), "waitedMs").sending) > 1000);
  assert(Number(waitsOf(all.at(-1), "peerWaitedMs").stdout) > 1000);
  assertMatch(
    server.stderr.text(),
    /the peer waiting \d+ % of the time for us/,
  );
});

Deno.test("--reliable: a slow line is what both sides wait for, and a limited rate is one", async () => {
  const { server, at } = await listener(
    ["--reliable", "--limit-rate", "1M", "-v"],
  );
  await using _ = server;
  await using client = sockpipe(
    ["--connect", at.address, "--reliable", "-v"],
    { stdin: randomBytes(2 * MiB) },
  );
  assertEquals([await server.code(), await client.code()], [0, 0]);
  assertMatch(server.stderr.text(), /waiting for the peer to send, the peer/);
  assertMatch(
    client.stderr.text(),
    /waiting for the peer to take it, the peer waiting \d+ % of the time for us to send/,
  );
});

Deno.test("--forward: left says how long target and client were waited for", async () => {
  using target = rawListener();
  const args = ["-l", "0", "-k", `--forward=${target.port}`, "--connections=1"];
  await using server = sockpipe([...args, "--json"]);
  const address = await addressOf(server);
  using near = await dial(Number(address.split(":").at(-1)));
  using far = await accept(target);
  await send(near, randomBytes(3));
  await far.read(new Uint8Array(3));
  const startedAt = performance.now();
  await until(() => performance.now() - startedAt > 300 || undefined, "time");
  await send(far, randomBytes(5));
  far.closeWrite();
  await receive(near);
  near.closeWrite();
  const { all } = await eventsOf(server);
  const left = all.find(({ event }) => event === "left");
  assertEquals([left?.received, left?.sent], [3, 5]);
  assertEquals(left?.localEnd, "target");
  const { stdin, receiving, stdout } = waitsOf(left, "waitedMs");
  assert(Number(stdin) >= 290 && Number(stdin) < 10_000, `${stdin}`);
  assert(Number(receiving) >= 290 && Number(stdout) < 290);
  if (Deno.build.os !== "linux") return;
  assertEquals([left?.retransmits, left?.targetRetransmits], [0, 0]);
});

Deno.test("-k: SIGUSR2 names the target, the command or the clients that are slow", async () => {
  using target = rawListener();
  const cases = [
    [`--forward=${target.port}`, "the target to take it"],
    ["--exec=sleep 20", "the command to read"],
    ["--broker", "clients to send"],
  ] as const;
  for (const [end, slow] of cases) {
    const { server, at } = await listener(["-k", "--grace=0", end, "-v"]);
    await using _ = server;
    using client = await dial(at.port);
    using _far = end.startsWith("--forward") ? await accept(target) : undefined;
    // More than all buffers on the way hold, so that it is never sent whole.
    const bytes = end === "--broker" ? 1 : 64 * MiB;
    const sending = send(client, randomBytes(bytes)).catch(() => {});
    await asked(server, new RegExp(`of the time waiting for ${slow}`));
    server.kill("SIGTERM");
    assertEquals(await server.code(), 143);
    await sending;
  }
});

Deno.test("--progress names what it waits for, but not at the end", async () => {
  const { server, at } = await listener(["--receive-only"]);
  await using _ = server;
  await using client = sockpipe(
    ["--connect", at.address, "--progress", "--json"],
    { stdin: "piped" },
  );
  await client.feed("some");
  await client.said(/"event":"progress".*"slow":"stdin"/);
  await client.endStdin();
  assertEquals(await client.code(), 0);
});
