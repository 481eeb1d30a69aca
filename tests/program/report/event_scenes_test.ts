/** `--json`: a scene for each event, and each event as the schema has it. */

import { assert, assertEquals } from "@std/assert";
import { certificates, keyOptions } from "../../helpers/certificates.ts";
import { randomBytes } from "../../helpers/bytes.ts";
import { say, testWith } from "../../helpers/conditions.ts";
import { Folder, writtenTo } from "../../helpers/folder.ts";
import { resettingPeer } from "../../helpers/peers.ts";
import { type Running, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { accept, dial, rawListener, receive, send } from "../../helpers/tcp.ts";
import { FailingLine, type Fate, NONE } from "../../helpers/proxy.ts";
import {
  addressOf,
  eventsOf,
  type Json,
  names,
  SCHEMA,
} from "../../helpers/events.ts";

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
    events: ["kept", "unfinished", "checking", "continuing", "saved"],
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
        const sides = [await eventsOf(server), await eventsOf(client)];
        return sides.flatMap(({ all }) => all);
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
    title: "TLS: a pin, and a client that speaks something else",
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
      using plain = await dial(port);
      await send(plain, "GET / HTTP/1.0\r\n\r\n");
      await saysEvent(server, "handshake-failed");
      server.kill("SIGINT");
      return (await eventsOf(server)).all;
    },
  },
  {
    title: "TLS: a peer that nobody verifies",
    events: ["insecure", "secured", "connected", "closed"],
    needs: ["openssl"],
    play: async () => {
      const { code, all } = await dialWithTls("--tls-insecure");
      // A runtime that cannot do without verifying refuses the option.
      return code === 2 ? undefined : all;
    },
  },
  {
    title: "TLS: a peer that does not pass",
    events: ["connecting", "error", "closed"],
    needs: ["openssl"],
    play: async () => {
      const { code, all } = await dialWithTls();
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

/** Has a client that trusts no authority of ours dial a listener with TLS. */
async function dialWithTls(...words: readonly string[]) {
  using folder = await certificates();
  const { server, at } = await listener(keyOptions(folder));
  await using _server = server;
  await using client = sockpipe(
    ["--connect", at.address, "--json", "--tls", ...words],
  );
  return await eventsOf(client);
}
