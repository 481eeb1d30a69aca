/** Others than the peer of the session: strangers, and peers that break the rules. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { crc32 } from "../../../lib/reliable/crc32.ts";
import {
  encodePreface,
  FLAG,
  type Preface,
  PREFACE_BYTES,
  PrefaceReader,
  PROTOCOL_VERSION,
  ROLE,
} from "../../../lib/reliable/preface.ts";
import {
  encodeControl,
  encodeSummary,
  FRAME,
  HEADER_BYTES,
  writeHeader,
} from "../../../lib/reliable/wire.ts";
import { ABORT_CODE } from "../../../lib/reliable/abort_codes.ts";
import { MiB, randomBytes } from "../../helpers/bytes.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { accept, dial, rawListener, receive, send } from "../../helpers/tcp.ts";
import { begun, HI } from "../../helpers/reliable_pair.ts";
import { dataFrame } from "../../helpers/frames.ts";

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

Deno.test("a server that says something else: 6 and the sentence that helps", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`, "--reliable"]);
  using conn = await accept(raw);
  await receive(conn, 56);
  await send(conn, "220 mail.example.org\r\n");
  conn.closeWrite();
  assertEquals(await client.code(), 6);
  assertMatch(client.stderr.text(), /with --reliable, too/);
});

Deno.test("a server that ends without a byte is tried again, and 6 after the last attempt", async () => {
  using raw = rawListener();
  const args = ["--retries", "2", "--retry-delay", "10ms", "--reliable"];
  await using client = sockpipe(["--connect", `${raw.port}`, ...args]);
  for (let attempt = 1; attempt <= 3; attempt++) {
    using conn = await accept(raw);
    await receive(conn, 56);
    conn.closeWrite();
    while (await conn.read(new Uint8Array(100)) !== null);
  }
  assertEquals(await client.code(), 6);
  const said = client.stderr.text();
  assertEquals(
    said.match(/it closed the connection; next attempt/g)?.length,
    2,
  );
  assertMatch(said, /it closed the connection; .* with --reliable, too/);
});

Deno.test("a tunnel whose other end comes up later carries the session", async () => {
  using tunnel = rawListener();
  const options = ["--retry-delay", "10ms", "--message", "through"];
  await using client = sockpipe([
    ...["--connect", `${tunnel.port}`, "--reliable"],
    ...options,
  ]);
  (await accept(tunnel)).close();
  const { server, at } = await listener(["--reliable", "--receive-only"]);
  await using _server = server;
  using outside = await accept(tunnel);
  using inside = await dial(at.port);
  await Promise.all([
    outside.readable.pipeTo(inside.writable).catch(() => {}),
    inside.readable.pipeTo(outside.writable).catch(() => {}),
  ]);
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals(server.stdout.text(), "through");
});

Deno.test("no limit is outlived because the other end accepts and stays silent", async () => {
  for (const begins of [true, false]) {
    using raw = rawListener();
    const limit = begins ? "--resume-timeout" : "--retry-timeout";
    await using client = sockpipe([
      ...["--connect", `${raw.port}`, "--reliable", limit, "500ms"],
      ...["--retry-delay", "10ms", "--send-only"],
    ], { stdin: "piped" });
    using first = await accept(raw);
    if (begins) await answerPreface(first);
    const since = performance.now();
    if (begins) first.close();
    const mute = accept(raw).catch(() => undefined);
    assertEquals(await client.code(), 5);
    assert(performance.now() - since < 5000, "far less than for a preface");
    assertMatch(client.stderr.text(), new RegExp(limit));
    raw.close();
    (await mute)?.close();
  }
});

/** Answers a connecting side's first preface, as its peer does. */
async function answerPreface(conn: Deno.Conn): Promise<void> {
  const reader = new PrefaceReader();
  reader.room().set(await receive(conn, PREFACE_BYTES));
  const preface = reader.filled(PREFACE_BYTES);
  assert(preface !== undefined);
  await send(conn, encodePreface({ ...preface, role: ROLE.listen }));
}

// A peer that breaks the rules, over a real connection.

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
      payload: encodeSummary({ checksum: crc32(HI), digest: undefined }),
    }),
    dataFrame(HI, 2, crc32(HI)),
  ],
  "the same data again": [dataFrame(HI, 0)],
  "a hole": [dataFrame(HI, 5, crc32(HI))],
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
      await send(conn, dataFrame(HI, 0));
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
  await send(conn, dataFrame(HI, 0));
  await server.stdout.atLeast(2);
  const cases: readonly [Partial<Preface>, number][] = [
    [{}, ABORT_CODE.session],
    [{ id: new Uint8Array(16).fill(6) }, ABORT_CODE.busy],
    [
      { id: new Uint8Array(16).fill(6), flags: FLAG.resume },
      ABORT_CODE.session,
    ],
    [{ flags: FLAG.resume, received: 1 }, ABORT_CODE.protocol],
    [{ flags: FLAG.token }, ABORT_CODE.options],
    [{ version: 2 }, ABORT_CODE.version],
  ];
  for (const [change, reason] of cases) {
    const intruder = await beginAt(at.port, change);
    using _intruder = intruder.conn;
    assertEquals(intruder.answer?.flags, FLAG.refused);
    assertEquals(intruder.answer?.checksum, reason);
  }
  await send(conn, dataFrame(HI, 2, crc32(HI)));
  await server.stdout.atLeast(4);
  assertEquals(server.stdout.text(), "hihi");
});
