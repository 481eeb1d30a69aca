/** `--json`: every event, as its schema says. */

import { assert, assertEquals, assertFalse, assertMatch } from "@std/assert";
import { randomBytes } from "../../helpers/bytes.ts";
import { Folder } from "../../helpers/folder.ts";
import { type Running, shell } from "../../helpers/process.ts";
import { sockpipe } from "../../helpers/program.ts";
import {
  accept,
  closedPort,
  dial,
  rawListener,
  receive,
  send,
} from "../../helpers/tcp.ts";
import {
  addressOf,
  eventsOf,
  type Json,
  names,
  SCHEMA,
  violations,
} from "../../helpers/events.ts";

Deno.test("the schema has every event of event.ts, and no other", async () => {
  const source = await Deno.readTextFile(
    new URL("../../../lib/report/event.ts", import.meta.url),
  );
  const written = [...source.matchAll(/readonly event: "([^"]+)"/g)]
    .map(([, name]) => name);
  const described = SCHEMA.oneOf?.map((one) => one.properties?.event?.const);
  assertEquals(written.toSorted(), described?.toSorted());
});

Deno.test("the validator of this test refuses what breaks the schema", () => {
  const good = { event: "peer-ended", time: "2026-01-02T03:04:05.678Z" };
  assertEquals(violations(good, SCHEMA), []);
  for (
    const bad of [
      { ...good, event: "unheard-of" },
      { ...good, time: "yesterday" },
      { ...good, more: 1 },
      { event: "peer-ended" },
      { ...good, event: "retrying", address: "a", reason: "b", delayMs: 0.5 },
      { ...good, event: "retrying", address: "a", reason: "b", delayMs: -1 },
    ]
  ) assert(violations(bad, SCHEMA).length > 0, JSON.stringify(bad));
});

Deno.test("--json on both sides: every step is an event, and totals at the end", async () => {
  await using server = sockpipe(["--listen", "0", "--json"], { stdin: "four" });
  const address = await addressOf(server);
  await using client = sockpipe(["--connect", address, "--json"], {
    stdin: randomBytes(100_000),
  });
  const outcomes = await Promise.all([eventsOf(server), eventsOf(client)]);
  for (const [index, { code, all }] of outcomes.entries()) {
    assertEquals(code, 0);
    const last = all.at(-1) ?? {};
    assertEquals(last.reason, "delivered");
    assertFalse("message" in last);
    assertEquals(
      [last.sent, last.received],
      index === 0 ? [4, 100_000] : [100_000, 4],
    );
    assert(Number(last.durationMs) >= Number(last.connectedMs));
    assertEquals(names(all).slice(0, 2), [
      index === 0 ? "listening" : "connecting",
      "connected",
    ]);
  }
});

Deno.test("--json: a failed connection is retrying, error and closed", async () => {
  const port = closedPort();
  await using client = sockpipe(
    `--connect ${port} --retries 1 --retry-delay 10ms --json`.split(" "),
  );
  const { code, all } = await eventsOf(client);
  assertEquals(code, 3);
  assertEquals(names(all), [
    "connecting",
    "retrying",
    "connecting",
    "error",
    "closed",
  ]);
  assertEquals(all.at(-1)?.reason, "connect");
  assertMatch(String(all.at(-1)?.message), /connection refused/);
});

Deno.test("--json: also a usage error is an event", async () => {
  await using wrong = sockpipe(["--json", "--listen", "0", "--no-such-option"]);
  const { code, all } = await eventsOf(wrong);
  assertEquals([code, names(all)], [2, ["error", "closed"]]);
});

for (
  const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const
) {
  Deno.test(`--json: the last event of a run that ${signal} ends has all totals`, async () => {
    using raw = rawListener();
    await using client = sockpipe(
      ["--connect", `${raw.port}`, "--json"],
      { stdin: "piped" },
    );
    using conn = await accept(raw);
    await client.feed("hello");
    await receive(conn, 5);
    await send(conn, "ok");
    await client.stdout.atLeast(2);
    client.kill(signal);
    const ended = await eventsOf(client);
    const last = ended.all.at(-1) ?? {};
    assertEquals(
      [ended.code, last.reason, last.sent, last.received],
      [code, "signal", 5, 2],
    );
    assertFalse(names(ended.all).includes("error"));
  });
}

Deno.test("--json: also a second signal has the last event", async () => {
  const { server, at } = await jsonListener(["--keep-open", "--grace", "1m"]);
  await using _server = server;
  using _conn = await dial(at);
  await server.said(/"connected"/);
  server.kill("SIGINT");
  await server.said(/"stopping"/);
  server.kill("SIGTERM");
  const { code, all } = await eventsOf(server);
  assertEquals([code, all.at(-1)?.reason], [143, "signal"]);
  assertEquals(names(all).filter((name) => name === "closed").length, 1);
});

/** Starts a listener with --json, and tells its port. */
async function jsonListener(
  args: readonly string[],
): Promise<{ server: Running; at: number }> {
  const server = sockpipe(["--listen", "0", "--json", ...args]);
  const [, port] = (await addressOf(server)).split(":");
  return { server, at: Number(port) };
}

Deno.test("--json: a signal before anybody came is closed with zeros", async () => {
  await using server = sockpipe(["--listen", "0", "--json"]);
  await addressOf(server);
  server.kill("SIGTERM");
  const { code, all } = await eventsOf(server);
  assertEquals([code, names(all)], [143, ["listening", "closed"]]);
});

Deno.test("--json: a reader of stdout that went away has its word", async () => {
  using raw = rawListener();
  using folder = new Folder();
  await using pipeline = shell(
    'sockpipe --connect $1 --json 2>"$2" | head -c1; echo ${PIPESTATUS[0]}',
    [raw.port, `${folder.path}/events`],
  );
  using conn = await accept(raw);
  await send(conn, new Uint8Array(300_000).fill(65)).catch(() => {});
  assertEquals((await pipeline.result()).stdout, "A141\n");
  const [last] = (await Deno.readTextFile(`${folder.path}/events`)).trim()
    .split("\n").slice(-1);
  const event: Json = JSON.parse(last ?? "");
  assertEquals([event.exitCode, event.reason], [141, "reader-gone"]);
  assertEquals(violations(event, SCHEMA), []);
});

Deno.test("--json with --reliable: the session is an event, and what is confirmed a total", async () => {
  const flags = ["--json", "--reliable"];
  await using server = sockpipe(["--listen", "0", ...flags]);
  const address = await addressOf(server);
  await using client = sockpipe(["--connect", address, ...flags], {
    stdin: "hello",
  });
  const outcomes = await Promise.all([eventsOf(server), eventsOf(client)]);
  assertEquals(outcomes.map(({ code }) => code), [0, 0]);
  for (const { all } of outcomes) assert(names(all).includes("session"));
  const last = outcomes[1].all.at(-1) ?? {};
  assertEquals([last.sent, last.confirmed, last.breaks], [5, 5, 0]);
});
