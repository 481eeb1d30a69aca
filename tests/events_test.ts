/** What is said about a run: events as JSON, the summary, and SIGUSR1. */

import { assert, assertEquals, assertFalse, assertMatch } from "@std/assert";
import { Reporter } from "../report.ts";
import { signalsOf } from "../signals.ts";
import {
  accept,
  closedPort,
  Folder,
  listener,
  randomBytes,
  rawListener,
  receive,
  type Running,
  send,
  shell,
  sockpipe,
} from "./helpers.ts";

/** The parts of JSON Schema that docs/events.schema.json uses. */
interface Schema {
  readonly $ref?: string;
  readonly $defs?: Record<string, Schema>;
  readonly oneOf?: readonly Schema[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly type?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly properties?: Record<string, Schema>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
}

const SCHEMA: Schema = JSON.parse(
  await Deno.readTextFile(
    new URL("../docs/events.schema.json", import.meta.url),
  ),
);

/** Everything in which the value breaks the schema. */
function violations(value: unknown, schema: Schema, at = "event"): string[] {
  if (schema.$ref !== undefined) {
    const target = SCHEMA.$defs?.[schema.$ref.replace("#/$defs/", "")];
    assert(target, `${schema.$ref} is not in the schema`);
    return violations(value, target, at);
  }
  const found: string[] = [];
  const expect = (holds: boolean, what: string) => {
    if (!holds) found.push(`${at}: ${JSON.stringify(value)} is not ${what}`);
  };
  if (schema.oneOf !== undefined) {
    const matching = schema.oneOf
      .filter((one) => violations(value, one, at).length === 0);
    expect(matching.length === 1, "exactly one of the alternatives");
  }
  if (schema.const !== undefined) expect(value === schema.const, "the const");
  if (schema.enum) expect(schema.enum.includes(value), "in the enum");
  if (schema.type === "integer") expect(Number.isInteger(value), "an integer");
  else if (schema.type) {
    const type: string = typeof value;
    expect(type === schema.type, schema.type);
  }
  if (schema.minimum !== undefined) {
    expect(Number(value) >= schema.minimum, `${schema.minimum} or more`);
  }
  if (schema.maximum !== undefined) {
    expect(Number(value) <= schema.maximum, `${schema.maximum} or less`);
  }
  if (schema.pattern !== undefined) {
    expect(new RegExp(schema.pattern).test(String(value)), schema.pattern);
  }
  if (schema.properties !== undefined && typeof value === "object") {
    const members: Record<string, unknown> = { ...value };
    for (const name of schema.required ?? []) {
      expect(name in members, `with ${name}`);
    }
    for (const [name, member] of Object.entries(members)) {
      const inner = schema.properties[name];
      if (inner) found.push(...violations(member, inner, `${at}.${name}`));
      else expect(schema.additionalProperties !== false, `without ${name}`);
    }
  }
  return found;
}

type Json = Record<string, unknown>;

/** Waits for the end of a run with --json; nothing but valid events is there. */
async function eventsOf(run: Running): Promise<{ code: number; all: Json[] }> {
  const { code, stderr } = await run.result();
  const all = stderr.trimEnd().split("\n").map((line): Json =>
    JSON.parse(line)
  );
  for (const event of all) assertEquals(violations(event, SCHEMA), []);
  const last = all.at(-1);
  assertEquals([last?.event, last?.exitCode], ["closed", code]);
  return { code, all };
}

function names(events: readonly Json[]): unknown[] {
  return events.map(({ event }) => event);
}

async function addressOf(server: Running): Promise<string> {
  const [, address = ""] = await server.said(
    /"event":"listening".*"address":"([^"]+)"/,
  );
  return address;
}

Deno.test("the schema has every event of report.ts, and no other", async () => {
  const source = await Deno.readTextFile(
    new URL("../report.ts", import.meta.url),
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
  const ends = await Promise.all([eventsOf(server), eventsOf(client)]);
  for (const [index, { code, all }] of ends.entries()) {
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

Deno.test("--json excludes --quiet and --verbose", async () => {
  for (const other of ["--quiet", "--verbose"]) {
    await using wrong = sockpipe(["--listen", "0", "--json", other]);
    const { code, all } = await eventsOf(wrong);
    assertEquals(code, 2);
    assertMatch(String(all.at(-1)?.message), /exclude each other/);
  }
});

Deno.test("-v ends with a summary of both directions, also when it fails", async () => {
  const { server, at } = await listener(["--verbose"], { stdin: "four" });
  await using _server = server;
  await using client = sockpipe(["--connect", `${at.port}`, "--verbose"], {
    stdin: "seven!!",
  });
  for (
    const [run, sent, received] of [[server, 4, 7], [client, 7, 4]] as const
  ) {
    const { code, stderr } = await run.result();
    assertEquals(code, 0);
    assertMatch(
      stderr,
      new RegExp(
        `both sides ended: sent ${sent} bytes, received ${received} bytes, in \\d[\\d.]*m?s; .* out, .* in\n$`,
      ),
    );
  }
  using raw = rawListener();
  await using idle = sockpipe(
    `--connect ${raw.port} --idle-timeout 100ms -v`.split(" "),
    { stdin: "piped" },
  );
  using _conn = await accept(raw);
  const { code, stderr } = await idle.result();
  assertEquals(code, 5);
  assertMatch(
    stderr,
    /: sent 0 bytes, received 0 bytes, in \d[\d.]*m?s\nsockpipe: no byte .*\n$/,
  );
});

Deno.test("SIGUSR2 asks for the state at any time and ends nothing", async () => {
  const { server, at } = await listener([], {
    stdin: "piped",
  });
  await using _server = server;
  server.kill("SIGUSR2");
  await server.said(/sockpipe: not connected yet, \d\S* after the start\n/);
  await using client = sockpipe(["--connect", `${at.port}`, "--json"], {
    stdin: "piped",
  });
  await client.feed("hello");
  await server.stdout.atLeast(5);
  server.kill("SIGUSR2");
  await server.said(/sockpipe: sent 0 bytes, received 5 bytes, in .*\/s in\n/);
  client.kill("SIGUSR2");
  await client.said(/"event":"progress".*"sent":5,/);
  await Promise.all([server.endStdin(), client.endStdin()]);
  assertEquals(await server.code(), 0);
  assertEquals((await eventsOf(client)).code, 0);
});

Deno.test("Reporter adds what a reliable stream knows", () => {
  let said = "";
  const report = new Reporter("verbose", (text) => said += text);
  report.follow(() => ({
    sent: 2048,
    received: 0,
    connectedMs: 1000,
    confirmed: 2048,
    breaks: 2,
  }));
  report.end(0);
  assertEquals(
    said,
    "sockpipe: both sides ended: sent 2048 bytes, received 0 bytes, in 1s, " +
      "2048 bytes confirmed, 2 broken connections survived; 2.00 KiB/s out\n",
  );
});

Deno.test("signalsOf() names only signals that the system has", () => {
  const windows = signalsOf("windows");
  assertEquals(windows.ends.map(([signal]) => signal), [
    "SIGINT",
    "SIGBREAK",
    "SIGHUP",
  ]);
  assertEquals(windows.status, []);
  assertEquals(signalsOf("linux").status, ["SIGUSR1", "SIGUSR2"]);
  assertEquals(signalsOf("darwin").status, ["SIGUSR1", "SIGUSR2", "SIGINFO"]);
});

Deno.test("--json with --reliable: the session is an event, and what is confirmed a total", async () => {
  const flags = ["--json", "--reliable"];
  await using server = sockpipe(["--listen", "0", ...flags]);
  const address = await addressOf(server);
  await using client = sockpipe(["--connect", address, ...flags], {
    stdin: "hello",
  });
  const ends = await Promise.all([eventsOf(server), eventsOf(client)]);
  assertEquals(ends.map(({ code }) => code), [0, 0]);
  for (const { all } of ends) assert(names(all).includes("session"));
  const last = ends[1].all.at(-1) ?? {};
  assertEquals([last.sent, last.confirmed, last.breaks], [5, 5, 0]);
});
