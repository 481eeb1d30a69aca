/** `--json`: every event, as its schema says. */

import { assert, assertEquals, assertFalse, assertMatch } from "@std/assert";
import { certificates, keyOptions } from "../../helpers/certificates.ts";
import { randomBytes } from "../../helpers/bytes.ts";
import { say, testWith } from "../../helpers/conditions.ts";
import { Folder, writtenTo } from "../../helpers/folder.ts";
import { resettingPeer } from "../../helpers/peers.ts";
import { type Running, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import {
  accept,
  closedPort,
  dial,
  rawListener,
  receive,
  send,
} from "../../helpers/tcp.ts";
import { FailingLine, type Fate, NONE } from "../../helpers/proxy.ts";
import {
  eventsOf,
  type Json,
  SCHEMA,
  violations,
} from "../../helpers/events.ts";

function names(events: readonly Json[]): unknown[] {
  return events.map(({ event }) => event);
}

async function addressOf(server: Running): Promise<string> {
  const [, address = ""] = await server.said(
    /"event":"listening".*"address":"([^"]+)"/,
  );
  return address;
}

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
  const ends = await Promise.all([eventsOf(server), eventsOf(client)]);
  assertEquals(ends.map(({ code }) => code), [0, 0]);
  for (const { all } of ends) assert(names(all).includes("session"));
  const last = ends[1].all.at(-1) ?? {};
  assertEquals([last.sent, last.confirmed, last.breaks], [5, 5, 0]);
});

/** Waits for an event, named by a pattern. */
async function saysEvent(server: Running, name: string): Promise<void> {
  await server.said(new RegExp(`"event":"${name}".*\n`));
}

/** The runs in which events happen, and all that happen in each of them. */
const SCENES: readonly {
  readonly title: string;
  readonly events: readonly string[];
  readonly needs?: readonly string[];
  /** Gives `undefined` where this runtime cannot play it. */
  readonly play: () => Promise<readonly Json[] | undefined>;
}[] = [
  {
    title: "a transfer with --progress",
    events: ["connecting", "connected", "stdin-ended", "closed"],
    play: async () => {
      using raw = rawListener();
      const args = ["--connect", `${raw.port}`, "--json", "--progress"];
      await using client = sockpipe(args, { stdin: "data" });
      using conn = await accept(raw);
      await receive(conn);
      await saysEvent(client, "stdin-ended");
      conn.close();
      return (await eventsOf(client)).all;
    },
  },
  {
    title: "a peer that ends first",
    events: ["listening", "connected", "peer-ended", "progress", "closed"],
    play: async () => {
      const args = ["--listen", "0", "--json", "--progress", "--size", "9"];
      await using server = sockpipe(args, { stdin: "piped" });
      const conn = await dial(Number((await addressOf(server)).split(":")[1]));
      using _conn = conn;
      await send(conn, "data");
      conn.closeWrite();
      await saysEvent(server, "peer-ended");
      await saysEvent(server, "progress");
      await server.endStdin();
      return (await eventsOf(server)).all;
    },
  },
  {
    title: "many clients, each with another end",
    events: ["full", "left", "failed", "stopping", "cut-off", "closed"],
    play: async () => {
      const args = "--max-connections 1 --grace 100ms --message hello --json";
      await using server = sockpipe(
        ["--listen", "0", "--keep-open", ...args.split(" ")],
      );
      const port = Number((await addressOf(server)).split(":")[1]);
      using first = await dial(port);
      await saysEvent(server, "full");
      await receive(first);
      first.close();
      await saysEvent(server, "left");
      return await withTwoMore(server, port);
    },
  },
  {
    title: "somebody who may not come",
    events: ["listening", "refused", "closed"],
    play: async () => {
      const args = ["--listen", "0", "--json", "--deny", "127.0.0.0/8"];
      await using server = sockpipe(args);
      using _conn = await dial(Number((await addressOf(server)).split(":")[1]));
      await saysEvent(server, "refused");
      server.kill("SIGTERM");
      return (await eventsOf(server)).all;
    },
  },
  {
    title: "no descriptors left",
    events: ["no-descriptors", "closed"],
    play: async () => {
      await using server = shell(
        "ulimit -n 64; exec sockpipe --listen 0 --keep-open --receive-only --json",
      );
      const port = Number((await addressOf(server)).split(":")[1]);
      using conns = new DisposableStack();
      for (let i = 0; i < 80; i++) conns.use(await dial(port));
      await saysEvent(server, "no-descriptors");
      server.kill("SIGTERM");
      return (await eventsOf(server)).all;
    },
  },
  {
    title: "a client that comes back",
    events: ["connected", "left", "reconnecting", "closed"],
    play: async () => {
      await using server = sockpipe(
        "--listen 0 --json --keep-open --message hello".split(" "),
      );
      const args = "--receive-only --reconnect --connections 2 --json";
      const address = await addressOf(server);
      await using client = sockpipe(
        ["--connect", address, ...args.split(" ")],
      );
      return (await eventsOf(client)).all;
    },
  },
  {
    title: "a file that a first run has left, and a second one completes",
    events: ["kept", "checking", "continuing", "saved"],
    play: async () => {
      using folder = new Folder();
      const flags = ["--json", "--reliable", "--resume"];
      const into = ["--output", `${folder.path}/file`, "--receive-only"];
      const receive = async (data: Uint8Array, how: "cut" | "whole") => {
        await using server = sockpipe(["--listen", "0", ...flags, ...into]);
        await using client = sockpipe(
          ["--connect", await addressOf(server), ...flags],
          { stdin: how === "whole" ? data : "piped" },
        );
        if (how === "cut") {
          await client.feed(data);
          await server.said(/"event":"session"/);
          await writtenTo(`${folder.path}/file.part`, data.length);
          client.kill("SIGTERM");
        }
        return (await eventsOf(server)).all;
      };
      const data = randomBytes(200_000);
      const first = await receive(data.subarray(0, 100_000), "cut");
      return [...first, ...await receive(data, "whole")];
    },
  },
  {
    title: "a session that is interrupted, and verified",
    events: ["session", "interrupted", "retrying", "verified", "closed"],
    play: async () => {
      const flags = ["--json", "--reliable", "--digest=sha256"];
      await using server = sockpipe(["--listen", "0", ...flags]);
      const address = await addressOf(server);
      const fates: readonly Fate[] = [{ kind: "reset", after: 100_000 }];
      await using line = new FailingLine(
        Number(address.split(":")[1]),
        (connection) => fates[connection] ?? NONE,
      );
      await using client = sockpipe(
        ["--connect", `${line.port}`, "--retry-delay=20ms", ...flags],
        { stdin: randomBytes(300_000) },
      );
      const [client_, server_] = await Promise.all(
        [client, server].map(eventsOf),
      );
      assertEquals([client_?.code, server_?.code], [0, 0]);
      assertEquals(client_?.all.at(-1)?.breaks, 1);
      await line[Symbol.asyncDispose]();
      await using late = sockpipe(
        [...`--connect ${line.port} --retries=1 --retry-delay=20ms`.split(" ")]
          .concat(flags),
      );
      return [...client_?.all ?? [], ...(await eventsOf(late)).all];
    },
  },
  {
    title: "TLS: a pin, and a stranger that speaks something else",
    events: ["pin", "listening", "handshake-failed", "closed"],
    needs: ["openssl"],
    play: async () => {
      using folder = await certificates();
      await using server = sockpipe(
        [
          ...["--listen", "0", "--json"],
          ...keyOptions(folder),
        ],
      );
      const port = Number((await addressOf(server)).split(":")[1]);
      using stranger = await dial(port);
      await send(stranger, "GET / HTTP/1.0\r\n\r\n");
      await saysEvent(server, "handshake-failed");
      server.kill("SIGINT");
      return (await eventsOf(server)).all;
    },
  },
  {
    title: "TLS: a peer that nobody verifies",
    events: ["insecure", "connected", "closed"],
    needs: ["openssl"],
    play: async () => {
      using folder = await certificates();
      const { server, at } = await listener(
        keyOptions(folder),
      );
      await using _server = server;
      await using client = sockpipe(
        ["--connect", at.address, "--json", "--tls", "--tls-insecure"],
      );
      const { code, all } = await eventsOf(client);
      // A runtime that cannot do without verifying refuses the option.
      return code === 2 ? undefined : all;
    },
  },
  {
    title: "TLS: a peer that does not pass",
    events: ["connecting", "error", "closed"],
    needs: ["openssl"],
    play: async () => {
      using folder = await certificates();
      const { server, at } = await listener(
        keyOptions(folder),
      );
      await using _server = server;
      await using client = sockpipe(
        ["--connect", at.address, "--json", "--tls"],
      );
      const { code, all } = await eventsOf(client);
      assertEquals([code, all.at(-1)?.reason], [7, "refused"]);
      return all;
    },
  },
];

/** One client that is reset, and one that is there when the listener is stopped. */
async function withTwoMore(server: Running, port: number): Promise<Json[]> {
  await using broken = await resettingPeer({ sends: 100_000, dialing: port });
  await broken.stdout.match(/ready/);
  broken.kill("SIGKILL");
  await saysEvent(server, "failed");
  using _staying = await dial(port);
  await server.said(/("event":"connected".*\n[^]*){3}/);
  server.kill("SIGTERM");
  const { code, all } = await eventsOf(server);
  assertEquals(code, 143);
  const last = all.at(-1);
  assertEquals([last?.clients, last?.connected], [3, 0]);
  return all;
}

for (const { title, events, needs = [], play } of SCENES) {
  testWith(needs, `--json, every event is valid: ${title}`, async () => {
    const played = await play();
    if (played === undefined) return say(`skipped on this runtime: ${title}`);
    const found = names(played);
    for (const event of events) assert(found.includes(event), event);
  });
}

Deno.test("there is a scene for each event of the schema", () => {
  const described = SCHEMA.oneOf?.map((one) => one.properties?.event?.const);
  const played = new Set<unknown>(SCENES.flatMap(({ events }) => events));
  assertEquals([...played].toSorted(), described?.toSorted());
});
