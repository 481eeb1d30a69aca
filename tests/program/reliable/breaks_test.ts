/** Connections of `--reliable` that break, at every frame. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { FRAME } from "../../../lib/reliable/wire.ts";
import { MiB } from "../../helpers/bytes.ts";
import { say, SOAK } from "../../helpers/conditions.ts";
import { until, within } from "../../helpers/deadlines.ts";
import { Folder } from "../../helpers/folder.ts";
import { type Running, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { accept, dial, rawListener, receive } from "../../helpers/tcp.ts";
import { FailingLine, type Fate, NONE } from "../../helpers/proxy.ts";
import { seeded } from "../../helpers/seeded.ts";
import {
  A,
  B,
  codes,
  HI,
  once,
  pair,
  RETRY,
} from "../../helpers/reliable_pair.ts";

// Lines that fail, and are dialled again.

/** What a connection of a stream meets on a very bad day. */
function chaos(seed: number, meanBytes: number): (connection: number) => Fate {
  const random = seeded(seed);
  const fate = (): Fate => {
    const kinds = ["reset", "reset", "end", "end", "stall"] as const;
    const kind = random() < 0.01
      ? "silence"
      : kinds[Math.floor(random() * kinds.length)] ?? "reset";
    // Some in the prefaces or in the first frames.
    const after = Math.floor(
      random() < 0.1 ? random() * 300 : random() * 2 * meanBytes,
    );
    return kind === "stall"
      ? { kind, after, ms: 20, then: fate() }
      : { kind, after };
  };
  return fate;
}

/** Files of random bytes, both ways at once through a line; their hashes. */
async function exchangeFiles(
  bytes: number,
  fateOf: (connection: number) => Fate,
  deadlineMs: number,
): Promise<{ incidents: number; connections: number; seconds: number }> {
  using folder = new Folder();
  const hashed = (args: string) =>
    `head -c ${bytes} /dev/urandom >"$1"; expected=$(sha256sum <"$1"); echo "$expected" >&2
    sockpipe ${args} --reliable --heartbeat 1s <"$1" | sha256sum; exit "\${PIPESTATUS[0]}"`;
  await using server = shell(hashed("--listen 0"), [`${folder.path}/a`]);
  const at = await server.listening();
  await using line = new FailingLine(at.port, fateOf);
  const startedAt = performance.now();
  await using client = shell(
    hashed(`--connect ${line.port} ${RETRY.join(" ")}`),
    [`${folder.path}/b`],
  );
  const ended = await Promise.all([
    server.code(deadlineMs),
    client.code(deadlineMs),
  ]);
  const seconds = (performance.now() - startedAt) / 1000;
  assertEquals(ended, [0, 0]);
  const sent = (side: Running) =>
    side.stderr.text().match(/^[0-9a-f]{64}/m)?.[0];
  assertEquals(client.stdout.text().slice(0, 64), sent(server));
  assertEquals(server.stdout.text().slice(0, 64), sent(client));
  const { incidents, connections } = line;
  return { incidents, connections, seconds };
}

Deno.test("a hundred breaks within 64 MiB each way leave no trace in the streams", async () => {
  const size = SOAK ? 1024 * MiB : 64 * MiB;
  const mean = SOAK ? 4 * MiB : 1.5 * MiB;
  const result = await exchangeFiles(
    size,
    chaos(5, mean),
    SOAK ? 900_000 : 120_000,
  );
  if (SOAK) say(`${JSON.stringify(result)} for 1 GiB each way`);
  assert(result.incidents >= 100, `${result.incidents} incidents`);
});

Deno.test({
  name: "a thousand resumes cost what their round trips cost",
  ignore: !SOAK,
  fn: async () => {
    const size = 256 * MiB;
    const calm = await exchangeFiles(size, () => NONE, 120_000);
    const after = Math.floor(2 * size / 1000);
    const cut = await exchangeFiles(
      size,
      () => ({ kind: "reset", after }),
      300_000,
    );
    say(
      `256 MiB each way: ${calm.seconds.toFixed(1)} s in one connection, ` +
        `${cut.seconds.toFixed(1)} s in ${cut.connections}`,
    );
    assert(cut.connections > 900);
    const each = (cut.seconds - calm.seconds) / cut.connections;
    assert(each < 0.1, `${each} s for each resume`);
  },
});

for (const from of ["connect", "listen"] as const) {
  for (const type of ["end", "confirm", "goodbye"] as const) {
    Deno.test(`the ${type} of the ${from}ing side lost, by reset, end or silence, changes nothing`, async () => {
      const kinds = ["reset", "end", "silence"] as const;
      await Promise.all(kinds.map((kind) => loseFrame(kind, from, type)));
    });
  }
}

async function loseFrame(
  kind: Fate["kind"],
  from: "connect" | "listen",
  type: "end" | "confirm" | "goodbye",
): Promise<void> {
  await using both = await pair({
    args: ["--heartbeat", "600ms", "--resume-timeout", "1500ms"],
    listen: { stdin: "a" },
    connect: { stdin: "b" },
    fateOf: once({ kind, from, before: FRAME[type] }),
  });
  assertEquals(await codes(both), [0, 0], kind);
  assertEquals(both.listen.stdout.text(), "b");
  assertEquals(both.connect.stdout.text(), "a");
  assertEquals(both.line.incidents, 1);
}

Deno.test("a damaged byte ends both sides with 6, and only what came before it is written", async () => {
  for (const from of ["connect", "listen"] as const) {
    await using both = await pair({
      args: ["--heartbeat", "5s"],
      listen: { stdin: A },
      connect: { stdin: B },
      fateOf: once({ kind: "corrupt", from, after: MiB }),
    });
    assertEquals(await codes(both), [6, 6]);
    for (
      const [name, whole] of [["listen", B], ["connect", A]] as const
    ) {
      const got = both[name].stdout.bytes();
      // The undamaged direction may have come to its end before.
      if (name !== from) assert(got.length < whole.length);
      assertEquals(got, whole.slice(0, got.length));
    }
    assertMatch(both.listen.stderr.text(), /damaged|checksum/);
  }
});

// A link of its own.

const NETNS = await canMakeNetns();

if (!NETNS) {
  say(
    "skipped, as no network namespace can be made here: a link that goes down for 5 s",
  );
}

Deno.test({
  name: "a link that goes down for 5 s is survived",
  ignore: !NETNS,
  fn: async () => {
    const name = `sp${Deno.pid}`;
    await using _netns = await netns(name);
    const inside = ["ip", "netns", "exec", name];
    await using server = sockpipe(
      ["--listen", "10.231.77.2:0", "--reliable", "--heartbeat", "1500ms"],
      { under: inside, stdin: "piped" },
    );
    const at = await server.listening();
    await using client = sockpipe(
      [
        "--connect",
        at.address,
        "--reliable",
        "--heartbeat",
        "1500ms",
        "--retry-delay",
        "200ms",
        "--connect-timeout",
        "1s",
      ],
      { stdin: "piped" },
    );
    await client.feed(A.subarray(0, MiB));
    await server.stdout.atLeast(MiB);
    await command(`ip link set ${name} down`);
    const downAt = performance.now();
    const writing = Promise.all([
      client.feed(A.subarray(MiB)).then(() => client.endStdin()),
      server.feed(B).then(() => server.endStdin()),
    ]);
    await until(() => performance.now() - downAt > 5000 || undefined, "5 s");
    await command(`ip link set ${name} up`);
    await within(writing, "both to take everything");
    assertEquals([await server.code(), await client.code()], [0, 0]);
    assertEquals(server.stdout.bytes(), A);
    assertEquals(client.stdout.bytes(), B);
    assertMatch(client.stderr.text(), /broke/);
  },
});

const KILLS = await canKillSockets();

if (!KILLS) say("skipped, as ss cannot kill sockets here: ss -K");

Deno.test({
  name: "sockets that ss -K kills, on either side, are survived",
  ignore: !KILLS,
  fn: async () => {
    const { server, at } = await listener(["--reliable"], { stdin: "piped" });
    await using _server = server;
    await using client = sockpipe(
      ["--connect", at.address, "--reliable", ...RETRY],
      { stdin: "piped" },
    );
    for (const [i, end] of ["dport", "sport", "dport", "sport"].entries()) {
      const from = i * 500_000;
      await Promise.all([
        client.feed(B.subarray(from, from + 500_000)),
        server.feed(A.subarray(from, from + 500_000)),
      ]);
      await server.stdout.atLeast(from);
      await command(
        `ss -K state established ${end} = :${at.port} >/dev/null 2>&1`,
      );
      await client.stderr.nth(/broke/g, i + 1);
    }
    await client.feed(B.subarray(2_000_000));
    await server.feed(A.subarray(2_000_000));
    await Promise.all([client.endStdin(), server.endStdin()]);
    assertEquals([await server.code(), await client.code()], [0, 0]);
    assertEquals(server.stdout.bytes(), B);
    assertEquals(client.stdout.bytes(), A);
  },
});

async function canKillSockets(): Promise<boolean> {
  if (Deno.build.os !== "linux") return false;
  using raw = rawListener();
  using conn = await dial(raw.port);
  using accepted = await accept(raw);
  await using kill = shell(`ss -K dport = :${raw.port} >/dev/null 2>&1`);
  await kill.code();
  await accepted.write(HI).catch(() => {});
  return await receive(conn, 1).then(() => false, () => true);
}

const NETEM = NETNS && await canNetem();

if (!NETEM) {
  say("skipped, as this kernel has no netem: a link that loses and delays");
}

Deno.test({
  name: "a link that loses 5 % and delays 50 ms carries both streams",
  ignore: !NETEM,
  fn: async () => {
    const name = `sn${Deno.pid}`;
    await using _netns = await netns(name);
    await command(
      `tc qdisc add dev ${name} root netem loss 5% delay 50ms`,
    );
    await using server = sockpipe(
      ["--listen", "10.231.77.2:0", "--reliable"],
      { under: ["ip", "netns", "exec", name], stdin: B.subarray(0, MiB) },
    );
    const at = await server.listening();
    await using client = sockpipe(
      ["--connect", at.address, "--reliable"],
      { stdin: A.subarray(0, MiB) },
    );
    assertEquals([await server.code(60_000), await client.code()], [0, 0]);
    assertEquals(server.stdout.bytes(), A.slice(0, MiB));
    assertEquals(client.stdout.bytes(), B.slice(0, MiB));
  },
});

async function canNetem(): Promise<boolean> {
  await using tried = shell(
    'ip netns add "$1" && ip netns exec "$1" tc qdisc add dev lo root netem loss 5% 2>/dev/null; code=$?; ip netns del "$1"; exit $code',
    [`sptn${Deno.pid}`],
  );
  return await tried.code() === 0;
}

async function command(script: string): Promise<void> {
  await using running = shell(script);
  const { code, stderr } = await running.result();
  assertEquals([code, stderr], [0, ""]);
}

/** A namespace with an end of a link in it, 10.231.77.2; the other end is here. */
async function netns(name: string): Promise<AsyncDisposable> {
  await command(`set -e
    ip netns add ${name}
    ip link add ${name} type veth peer name ${name}p
    ip link set ${name}p netns ${name}
    ip addr add 10.231.77.1/24 dev ${name}
    ip link set ${name} up
    ip netns exec ${name} ip addr add 10.231.77.2/24 dev ${name}p
    ip netns exec ${name} ip link set ${name}p up`);
  return {
    [Symbol.asyncDispose]: () =>
      command(`ip link del ${name}; ip netns del ${name}`),
  };
}

async function canMakeNetns(): Promise<boolean> {
  if (Deno.build.os !== "linux") return false;
  await using tried = shell(
    'ip netns add "$1" && ip link add "$1" type veth peer name "$1p" && ip link del "$1" && ip netns del "$1"',
    [`spt${Deno.pid}`],
  );
  return await tried.code() === 0;
}
