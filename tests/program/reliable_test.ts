/**
 * `--reliable` with real processes over lines that fail: everything ends with equal
 * streams, or with the right failure on the right side, and never with a wrong 0.
 *
 * Where the kernel has no netem, as on the development machine, the test with loss
 * and delay says so and is skipped.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  checksum,
  encodeControl,
  encodePreface,
  encodeSummary,
  FLAG,
  FRAME,
  HEADER_BYTES,
  type Preface,
  PREFACE_BYTES,
  PrefaceReader,
  PROTOCOL_VERSION,
  ROLE,
  writeHeader,
} from "../../framing.ts";
import { REASON } from "../../lib/reliable/abort_codes.ts";
import { randomBytes, sha256 } from "../helpers/bytes.ts";
import { say, SOAK } from "../helpers/conditions.ts";
import { until, within } from "../helpers/deadlines.ts";
import { Folder } from "../helpers/folder.ts";
import { type Running, shell, type StartOptions } from "../helpers/process.ts";
import { listener, sockpipe } from "../helpers/program.ts";
import {
  accept,
  closedPort,
  dial,
  rawListener,
  receive,
  send,
} from "../helpers/tcp.ts";
import { FailingLine, type Fate } from "../helpers/proxy.ts";
import { seeded } from "../helpers/session_link.ts";

const MiB = 1 << 20;
const NONE: Fate = { kind: "none" };
/** Short, so that tests need not wait long. */
const RETRY = ["--retry-delay", "50ms"];

/** Both sides of a session, with a line between them. */
interface Pair extends AsyncDisposable {
  readonly listen: Running;
  readonly connect: Running;
  readonly line: FailingLine;
  /** The port of the listening side itself. */
  readonly target: number;
}

interface PairOptions {
  /** For both sides. */
  readonly args?: readonly string[];
  readonly listen?: StartOptions & { args?: readonly string[] };
  readonly connect?: StartOptions & { args?: readonly string[] };
  readonly fateOf?: (connection: number) => Fate;
}

async function pair(options: PairOptions = {}): Promise<Pair> {
  const { args = [], fateOf = () => NONE } = options;
  const both = ["--reliable", ...args];
  const { server, at } = await listener(
    [...both, ...options.listen?.args ?? []],
    options.listen,
  );
  const line = new FailingLine(at.port, fateOf);
  const client = sockpipe(
    [
      "--connect",
      `${line.port}`,
      ...RETRY,
      ...both,
      ...options.connect?.args ?? [],
    ],
    options.connect,
  );
  return {
    listen: server,
    connect: client,
    line,
    target: at.port,
    async [Symbol.asyncDispose]() {
      await using _line = line;
      await using _server = server;
      await using _client = client;
    },
  };
}

/** The exit codes of both sides, the listening one first. */
function codes({ listen, connect }: Pair, ms?: number): Promise<number[]> {
  return Promise.all([listen.code(ms), connect.code(ms)]);
}

/** Only the first connection meets this. */
function once(fate: Fate): (connection: number) => Fate {
  return (connection) => connection === 0 ? fate : NONE;
}

/** A link between a session that has begun and one where a stall is over. */
function begun(side: Running): Promise<unknown> {
  return side.said(/session with \S+ begun/);
}

const HI = new TextEncoder().encode("hi");
const A = randomBytes(3 * MiB + 1, 1);
const B = randomBytes(2 * MiB + 7, 2);

for (
  const [name, args] of [
    ["as it is", []],
    ["with the smallest window", ["--window", "1"]],
    ["with SHA-256", ["--digest", "sha256", "-v"]],
  ] as const
) {
  Deno.test(`both streams arrive whole ${name}`, async () => {
    const small = name.includes("smallest");
    const [a, b] = small ? [A.subarray(0, 300), B.subarray(0, 250)] : [A, B];
    await using both = await pair({
      args,
      listen: { stdin: a },
      connect: { stdin: b },
    });
    assertEquals(await codes(both), [0, 0]);
    assertEquals(both.listen.stdout.bytes(), b);
    assertEquals(both.connect.stdout.bytes(), a);
    if (args[0] !== "--digest") return;
    const text = both.connect.stderr.text();
    assert(
      text.includes(`sent: ${await sha256(b)}, received: ${await sha256(a)}`),
    );
  });
}

Deno.test("a message, one way, on a unix socket; and two sides that say nothing", async () => {
  using folder = new Folder();
  const path = `unix:${folder.path}/socket`;
  await using server = sockpipe([
    "--listen",
    path,
    "--reliable",
    "--receive-only",
  ]);
  await server.listening();
  const args = ["--connect", path, "--reliable", "--send-only"];
  await using client = sockpipe([...args, "--message", "hello"]);
  assertEquals(await client.result(), { code: 0, stdout: "", stderr: "" });
  assertEquals([await server.code(), server.stdout.text()], [0, "hello"]);
  await using silent = await pair();
  assertEquals(await codes(silent), [0, 0]);
});

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

Deno.test("a connection that is silently dead is found by heartbeat", async () => {
  await using both = await pair({
    args: ["--heartbeat", "500ms"],
    listen: { stdin: A },
    connect: { stdin: B },
    fateOf: once({ kind: "silence", after: MiB }),
  });
  assertEquals(await codes(both), [0, 0]);
  assertEquals(both.connect.stdout.bytes(), A);
  assertEquals(both.listen.stdout.bytes(), B);
  assert(both.line.connections > 1);
});

Deno.test("an idle session is kept alive by heartbeats", async () => {
  await using both = await pair({
    args: ["--heartbeat", "1s", "-v"],
    connect: { stdin: "piped" },
  });
  await begun(both.connect);
  const startedAt = performance.now();
  await until(() => performance.now() - startedAt > 2250 || undefined, "time");
  await both.connect.feed("late");
  await both.connect.endStdin();
  assertEquals(await codes(both), [0, 0]);
  assertEquals(both.listen.stdout.text(), "late");
  assertEquals(both.line.connections, 1);
});

for (const stopped of ["listen", "connect"] as const) {
  Deno.test(`SIGSTOP of the ${stopped}ing side for longer than the heartbeat is survived`, async () => {
    await using both = await pair({
      args: ["--heartbeat", "500ms", "-v"],
      listen: { stdin: "piped" },
      connect: { stdin: "piped" },
    });
    const other = stopped === "listen" ? both.connect : both.listen;
    await begun(both.connect);
    await both.connect.feed(B.subarray(0, MiB));
    await both.listen.stdout.atLeast(MiB);
    both[stopped].kill("SIGSTOP");
    const writing = Promise.all([
      both.connect.feed(B.subarray(MiB)).then(() => both.connect.endStdin()),
      both.listen.feed(A).then(() => both.listen.endStdin()),
    ]);
    await other.said(/broke/);
    both[stopped].kill("SIGCONT");
    await writing;
    assertEquals(await codes(both), [0, 0]);
    assertEquals(both.listen.stdout.bytes(), B);
    assertEquals(both.connect.stdout.bytes(), A);
  });
}

// One side dies or gives up.

for (const killed of ["listen", "connect"] as const) {
  Deno.test(`SIGKILL of the ${killed}ing side in any phase: the other one ends with a failure`, async () => {
    const phases = [
      "idle",
      "bulk",
      "unconfirmed",
      "one way done",
      "cut off",
    ] as const;
    await Promise.all(phases.map((phase) => killIn(phase, killed)));
  });
}

async function killIn(
  phase: "idle" | "bulk" | "unconfirmed" | "one way done" | "cut off",
  killed: "listen" | "connect",
): Promise<void> {
  const heldStdout = phase === "unconfirmed";
  const isBulk = phase === "bulk" || heldStdout;
  await using both = await pair({
    args: ["--resume-timeout", "500ms", "-v"],
    listen: { stdin: "piped", heldStdout },
    connect: { stdin: "piped", heldStdout },
  });
  const sides = [both.listen, both.connect];
  const other = killed === "listen" ? both.connect : both.listen;
  await begun(both.connect);
  if (isBulk) await Promise.all(sides.map((side) => side.feed(B)));
  // All is sent, and nothing of it read from stdout but what a pipe holds.
  if (heldStdout) await Promise.all(sides.map((side) => side.endStdin()));
  if (phase === "one way done") {
    await both[killed].feed("all");
    await both[killed].endStdin();
    await other.stdout.ended;
  }
  if (phase === "cut off") {
    await both.line[Symbol.asyncDispose]();
    await other.said(/broke/);
  }
  both[killed].kill("SIGKILL");
  await other.said(
    /--resume-timeout\); \d+ of \d+ bytes? sent are confirmed/,
  );
  for (const side of sides) side.stdout.release();
  assertEquals(await other.code(), 5, phase);
}

Deno.test("a listener that came back after SIGKILL does not know the session: 6", async () => {
  await using first = await pair({ args: ["-v"], connect: { stdin: "piped" } });
  await begun(first.connect);
  const [, address = ""] = await first.listen.said(/listening on (\S+)/);
  first.listen.kill("SIGKILL");
  await first.listen.code();
  await using second = sockpipe(["--listen", address, "--reliable"]);
  await second.listening();
  assertEquals(await first.connect.code(), 6);
  assertMatch(first.connect.stderr.text(), /does not know it/);
});

Deno.test("a side that is done ends with 0 when the other one is gone before its goodbye", async () => {
  await using both = await pair({
    args: ["--heartbeat", "600ms", "--resume-timeout", "1500ms", "-v"],
    connect: { stdin: "b" },
    // No goodbye of the listening side arrives, on whatever connection.
    fateOf: () => ({ kind: "silence", from: "listen", before: FRAME.goodbye }),
  });
  await both.connect.said(/broke/);
  // It may have had the other's goodbye, and so be gone already.
  await both.listen[Symbol.asyncDispose]();
  assertEquals(await both.connect.code(), 0);
});

Deno.test("SIGINT at the sender, in the midst of bulk both ways: 130 here, 1 there at once", async () => {
  const bulk = new Uint8Array(64 * MiB);
  for (const interrupted of ["connect", "listen"] as const) {
    await using both = await pair({
      args: ["-v"],
      listen: { stdin: "piped" },
      connect: { stdin: "piped" },
    });
    await begun(both.connect);
    for (const side of [both.connect, both.listen]) {
      side.feed(bulk).catch(() => {
        // It ends before it has read everything.
      });
    }
    await both[interrupted].stdout.atLeast(MiB);
    both[interrupted].kill("SIGINT");
    const other = interrupted === "connect" ? both.listen : both.connect;
    assertEquals([await both[interrupted].code(), await other.code(15_000)], [
      130,
      1,
    ]);
    assertMatch(other.stderr.text(), /the peer ended it \("Ended by SIGINT"\)/);
  }
});

Deno.test("a full disk at the receiver: 8 there, 1 at the sender", async () => {
  await using both = await pair({
    listen: { redirect: ">/dev/full" },
    connect: { stdin: A },
  });
  assertEquals(await codes(both), [8, 1]);
  assertMatch(both.connect.stderr.text(), /no space left on device/);
});

Deno.test("the receiver's reader goes away near the end of bulk: 141 there, 1 at the sender", async () => {
  // What is left is more than even a large pipe holds (a megabyte), so it cannot
  // have been written.
  await using server = shell(
    'sockpipe --listen 0 --reliable </dev/null | head -c 5000000; exit "${PIPESTATUS[0]}"',
  );
  const at = await server.listening();
  const args = ["--connect", at.address, "--reliable"];
  await using client = sockpipe(args, { stdin: randomBytes(7_500_000) });
  assertEquals(await Promise.all([server.code(), client.code()]), [141, 1]);
  assertEquals(server.stdout.length, 5_000_000);
});

Deno.test("--idle-timeout counts the streams, not the heartbeats", async () => {
  await using both = await pair({
    args: ["--heartbeat", "300ms"],
    listen: { stdin: "piped", args: ["--idle-timeout", "1500ms"] },
    connect: { stdin: "piped" },
  });
  assertEquals(await codes(both), [5, 1]);
  assertMatch(both.listen.stderr.text(), /--idle-timeout/);
  assertEquals(both.line.connections, 1);
});

Deno.test("attempts that are used up while resuming: 3, and what was confirmed", async () => {
  await using both = await pair({
    args: ["-v"],
    connect: { stdin: "piped", args: ["--retries", "1"] },
  });
  await begun(both.connect);
  await both.line[Symbol.asyncDispose]();
  assertEquals(await both.connect.code(), 3);
  assertMatch(
    both.connect.stderr.text(),
    /2 attempts\); 0 of 0 bytes sent are confirmed/,
  );
});

/** What the events of a side say of its pauses, in order. */
function pauses(side: Running): number[] {
  return side.stderr.text().split("\n")
    .filter((line) => line.includes('"retrying"'))
    .map((line) => JSON.parse(line).delayMs);
}

Deno.test("a line that comes back late is found again, with the pauses that the retry options say", async () => {
  await using both = await pair({
    listen: { stdin: "from there" },
    connect: {
      stdin: "piped",
      args: ["--json", "--retry-max-delay", "200ms"],
    },
  });
  await both.connect.stdout.atLeast(10);
  await both.line[Symbol.asyncDispose]();
  await until(() => pauses(both.connect).length >= 6 || undefined, "6 pauses");
  await using line = new FailingLine(both.target, () => NONE, both.line.port);
  await both.connect.feed("late");
  await both.connect.endStdin();
  assertEquals(await codes(both), [0, 0]);
  assertEquals(both.listen.stdout.text(), "late");
  assertEquals(line.connections, 1);
  const [first = 0, second = 0, ...others] = pauses(both.connect);
  assert(first === 50 && second >= 50 && second <= 100, `${first}, ${second}`);
  assert(others.every((ms) => ms >= 100 && ms <= 200), `${others}`);
});

Deno.test("--retry-timeout holds while resuming, too: 5, and what was confirmed", async () => {
  await using both = await pair({
    args: ["-v"],
    connect: { stdin: "piped", args: ["--retry-timeout", "300ms"] },
  });
  await begun(both.connect);
  await both.line[Symbol.asyncDispose]();
  assertEquals(await both.connect.code(), 5);
  assertMatch(
    both.connect.stderr.text(),
    /no connection within 300ms \(--retry-timeout\); 0 of 0 bytes sent are confirmed/,
  );
});

Deno.test("a line that takes connections and drops them uses up the attempts: 3", async () => {
  await using both = await pair({
    args: ["-v"],
    connect: { stdin: "piped", args: ["--retries", "2"] },
    fateOf: (connection) =>
      connection === 0 ? NONE : { kind: "reset", after: 0 },
  });
  await begun(both.connect);
  both.line.cut();
  assertEquals(await both.connect.code(), 3);
  assertMatch(both.connect.stderr.text(), /0 of 0 bytes sent are confirmed/);
  assertEquals(both.line.connections, 4);
});

// Strangers.

Deno.test("strangers disturb neither a listener that waits nor a session", async () => {
  const { server, at } = await listener(["--reliable", "-v"], {
    stdin: "piped",
  });
  await using _server = server;
  const strange = async () => {
    await using probe = sockpipe(["--connect", at.address, "--probe"]);
    assertEquals(await probe.code(), 0);
    for (let i = 0; i < 20; i++) (await dial(at.port)).close();
  };
  await strange();
  const mute: Deno.TcpConn[] = [];
  try {
    // More than may be waited for at a time: the oldest have to go.
    for (let i = 0; i < 70; i++) mute.push(await dial(at.port));
    const args = ["--connect", at.address, "--reliable"];
    await using client = sockpipe([...args, "-v"], { stdin: "piped" });
    await begun(client);
    await client.feed("one");
    await server.stdout.atLeast(3);
    await strange();
    for (let i = 0; i < 20; i++) {
      const conn = await dial(at.port);
      mute.push(conn);
      if (i % 2 === 0) await send(conn, "GET / HTTP/1.0\r\n\r\n");
    }
    await using second = sockpipe(args);
    assertEquals(await second.code(), 3);
    assertMatch(second.stderr.text(), /the peer has one with somebody else/);
    await client.feed("two");
    await client.endStdin();
    await server.endStdin();
    assertEquals([await server.code(), await client.code()], [0, 0]);
    assertEquals(server.stdout.text(), "onetwo");
    assert(!server.stderr.text().includes("broke"));
  } finally {
    for (const conn of mute) conn.close();
  }
});

Deno.test("a listener's one peer that speaks something else: 6 and the sentence that helps", async () => {
  const { server, at } = await listener(["--reliable"]);
  await using _server = server;
  using conn = await dial(at.port);
  await send(conn, "SSH-2.0-OpenSSH_9.2\r\n");
  assertEquals(await server.code(), 6);
  assertMatch(server.stderr.text(), /begins with "SSH-2.*with --reliable, too/);
});

for (const answer of ["220 mail.example.org\r\n", ""]) {
  Deno.test(`a server that ${answer ? "says something else" : "just ends"}: 6 and the sentence that helps`, async () => {
    using raw = rawListener();
    await using client = sockpipe(["--connect", `${raw.port}`, "--reliable"]);
    using conn = await accept(raw);
    await receive(conn, 56);
    await send(conn, answer);
    conn.closeWrite();
    assertEquals(await client.code(), 6);
    assertMatch(client.stderr.text(), /with --reliable, too/);
  });
}

// A peer that breaks the rules, over a real connection.

function dataFrame(offset: number, payload: Uint8Array, previous = 0) {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  bytes.set(payload, HEADER_BYTES);
  writeHeader(bytes, {
    type: FRAME.data,
    length: payload.length,
    checksum: checksum(payload, previous),
    offset,
  });
  return bytes;
}

function hostileHeader(type: number, length: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  writeHeader(bytes, { type, length, checksum: 0, offset: 2 });
  return bytes;
}

/** Each after a frame that is right, "hi". */
const HOSTILE: Record<string, readonly Uint8Array[]> = {
  "an acknowledgement from the future": [
    encodeControl(FRAME.ack, { offset: 1000 }),
  ],
  "data after the end": [
    encodeControl(FRAME.end, {
      offset: 2,
      payload: encodeSummary({ checksum: checksum(HI), digest: undefined }),
    }),
    dataFrame(2, HI, checksum(HI)),
  ],
  "the same data again": [dataFrame(0, HI)],
  "a hole": [dataFrame(5, HI, checksum(HI))],
  "a length that would be 16 MiB": [hostileHeader(FRAME.data, 0xffffff)],
  "a frame that does not exist": [hostileHeader(99, 0)],
  "noise": [randomBytes(100, 3)],
};

/** Begins a session as the connecting side. */
async function beginAt(
  port: number,
  change: Partial<Preface> = {},
): Promise<{ conn: Deno.TcpConn; answer: Preface | undefined }> {
  const conn = await dial(port);
  await send(
    conn,
    encodePreface({
      version: PROTOCOL_VERSION,
      role: ROLE.connect,
      flags: 0,
      id: new Uint8Array(16).fill(5),
      received: 0,
      checksum: 0,
      window: MiB,
      patienceMs: 0,
      additions: new Uint8Array(),
      ...change,
    }),
  );
  const reader = new PrefaceReader();
  const bytes = await receive(conn, PREFACE_BYTES);
  reader.room().set(bytes);
  return { conn, answer: reader.filled(bytes.length) };
}

Deno.test("a peer that breaks the rules: 6, and nothing of it is written", async () => {
  // At once, as each listener gives its peer a second to hear why.
  await Promise.all(
    Object.entries(HOSTILE).map(async ([name, frames]) => {
      const { server, at } = await listener(["--reliable"], { stdin: "piped" });
      await using _server = server;
      const { conn } = await beginAt(at.port);
      using _conn = conn;
      await send(conn, dataFrame(0, HI));
      await server.stdout.atLeast(2);
      for (const frame of frames) await send(conn, frame);
      assertEquals(await server.code(), 6, name);
      assertEquals(server.stdout.text(), "hi", name);
    }),
  );
});

Deno.test("a session's id, known to a stranger, is of little use: replayed or foreign it is refused", async () => {
  const { server, at } = await listener(["--reliable"], { stdin: "piped" });
  await using _server = server;
  const { conn } = await beginAt(at.port);
  using _conn = conn;
  await send(conn, dataFrame(0, HI));
  await server.stdout.atLeast(2);
  const cases: readonly [Partial<Preface>, number][] = [
    [{}, REASON.session],
    [{ id: new Uint8Array(16).fill(6) }, REASON.busy],
    [{ id: new Uint8Array(16).fill(6), flags: FLAG.resume }, REASON.session],
    [{ flags: FLAG.resume, received: 1 }, REASON.protocol],
    [{ flags: FLAG.token }, REASON.options],
    [{ version: 2 }, REASON.version],
  ];
  for (const [change, reason] of cases) {
    const stranger = await beginAt(at.port, change);
    using _stranger = stranger.conn;
    assertEquals(stranger.answer?.flags, FLAG.refused);
    assertEquals(stranger.answer?.checksum, reason);
  }
  await send(conn, dataFrame(2, HI, checksum(HI)));
  await server.stdout.atLeast(4);
  assertEquals(server.stdout.text(), "hihi");
});

// What else there is, together with it.

for (
  const [name, options] of Object.entries<PairOptions>({
    "--limit-rate": { args: ["--limit-rate", "4M"] },
    "--data-size": { args: ["--data-size", "1000"] },
    "--progress": { args: ["--progress"] },
    "--dump": { args: ["--dump", "/dev/null"] },
    "the lane on": { listen: laneMode("on"), connect: laneMode("on") },
    "the lane off": { listen: laneMode("off"), connect: laneMode("off") },
  })
) {
  Deno.test(`${name}: both streams arrive over a line that breaks`, async () => {
    await using both = await pair({
      ...options,
      listen: { ...options.listen, stdin: A },
      connect: { ...options.connect, stdin: B },
      fateOf: (connection) =>
        connection < 2 ? { kind: "reset", after: MiB } : NONE,
    });
    assertEquals(await codes(both), [0, 0]);
    assertEquals(both.listen.stdout.bytes(), B);
    assertEquals(both.connect.stdout.bytes(), A);
    assertEquals(both.line.incidents, 2);
  });
}

function laneMode(mode: "on" | "off"): StartOptions {
  return { under: ["env", `SOCKPIPE_LANE=${mode}`] };
}

for (const sender of ["connect", "listen"] as const) {
  Deno.test(`one way from the ${sender}ing side, over a line that breaks`, async () => {
    const send = { stdin: A, args: ["--send-only"] };
    const receive = { stdin: "lost", args: ["--receive-only"] };
    await using both = await pair({
      listen: sender === "listen" ? send : receive,
      connect: sender === "connect" ? send : receive,
      fateOf: (connection) =>
        connection < 2 ? { kind: "end", after: MiB } : NONE,
    });
    assertEquals(await codes(both), [0, 0]);
    const receiver = sender === "connect" ? both.listen : both.connect;
    assertEquals(receiver.stdout.bytes(), A);
    assertEquals(both[sender].stdout.text(), "");
  });
}

Deno.test("options that differ: 6 on the connecting side, and the listener goes on waiting", async () => {
  const { server, at } = await listener(["--reliable"], { stdin: "null" });
  await using _server = server;
  const args = ["--connect", at.address, "--reliable"];
  await using wrong = sockpipe([...args, "--digest", "sha256"]);
  assertEquals(await wrong.code(), 6);
  assertMatch(wrong.stderr.text(), /options of both sides differ/);
  await using right = sockpipe([...args, "--message", "hello"]);
  assertEquals([await right.code(), await server.code()], [0, 0]);
  assertEquals(server.stdout.text(), "hello");
});

Deno.test("nobody comes: 5; nobody listens: the retry options hold", async () => {
  const { server } = await listener([
    "--reliable",
    "--accept-timeout",
    "200ms",
  ]);
  await using _server = server;
  assertEquals(await server.code(), 5);
  const address = `${closedPort()}`;
  await using client = sockpipe([
    "--connect",
    address,
    "--reliable",
    "--retries",
    "1",
    ...RETRY,
  ]);
  assertEquals(await client.code(), 3);
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
      await client.said(new RegExp(`(broke[^]*){${i + 1}}`));
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
