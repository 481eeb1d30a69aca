/** `--dump`: a record of both directions. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { openDump } from "../../../lib/pipe/dump.ts";
import { RecordError } from "../../../lib/base/errors.ts";
import { randomBytes } from "../../helpers/bytes.ts";
import { Folder, namedPipe } from "../../helpers/folder.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { accept, rawListener, receive, send } from "../../helpers/tcp.ts";

/** The bytes of one direction, taken out of the record again. */
function bytesIn(record: string, mark: ">" | "<"): Uint8Array {
  const lines = record.split("\n").filter((line) =>
    line.startsWith(mark) && line.endsWith("|")
  );
  return Uint8Array.from(
    lines.flatMap((line) => line.slice(12, 61).trim().split(/ +/)),
    (hex) => Number.parseInt(hex, 16),
  );
}

Deno.test("--dump records both directions in order, with time and offset", async () => {
  using folder = new Folder();
  const path = `${folder.path}/dump`;
  using raw = rawListener();
  await using client = sockpipe(
    ["--connect", `${raw.port}`, "--dump", path],
    { stdin: "piped" },
  );
  using conn = await accept(raw);
  for (let i = 0; i < 3; i++) {
    await client.feed(`question ${i}`);
    await receive(conn, 10);
    await send(conn, `answer ${i}`);
    await client.stdout.atLeast(8 * (i + 1));
  }
  conn.close();
  await client.endStdin();
  assertEquals(await client.code(), 0);
  const record = await Deno.readTextFile(path);
  const shape = record.replaceAll(/\d{4}-\S+Z/g, "TIME").replaceAll(
    /^(.) [0-9a-f]{8} .*\|(.*)\|$/gm,
    "$1 $2",
  );
  assertEquals(
    shape.split("\n").filter((line) => !line.includes("ended")).join("\n"),
    [0, 1, 2].map((i) =>
      `> TIME sent 10 bytes from byte ${10 * i}\n> question ${i}\n` +
      `< TIME received 8 bytes from byte ${8 * i}\n< answer ${i}\n`
    ).join(""),
  );
  assertMatch(record, /^< \S+Z ended after 24 bytes$/m);
  assertMatch(record, /^> \S+Z ended after 30 bytes$/m);
  const { mode } = await Deno.stat(path);
  assertEquals((mode ?? 0) & 0o777, 0o600);
});

Deno.test("--dump has every byte of both directions at once, in little memory", async () => {
  using folder = new Folder();
  const path = `${folder.path}/dump`;
  const [out, back] = [randomBytes(500_000, 1), randomBytes(400_000, 2)];
  const { server, at } = await listener(["--dump", path], { stdin: back });
  await using _server = server;
  await using client = sockpipe(["--connect", `${at.port}`], { stdin: out });
  assertEquals([await client.code(), await server.code()], [0, 0]);
  const record = await Deno.readTextFile(path);
  assert(equal(bytesIn(record, "<"), out), "what was received");
  assert(equal(bytesIn(record, ">"), back), "what was sent");
  assert(equal(server.stdout.bytes(), out), "the data itself");
});

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

Deno.test("--dump to a named pipe that nobody reads is exit 8, and no wait", async () => {
  using folder = new Folder();
  const path = await namedPipe(folder);
  await using server = sockpipe(["--listen", "0", "--dump", path]);
  assertEquals(await server.code(), 8);
  assertMatch(server.stderr.text(), /nobody reads this named pipe\n/);
});

Deno.test("--dump that cannot be opened is exit 8, before any socket", async () => {
  await using server = sockpipe(["--listen", "0", "--dump", "/no/such/file"]);
  const { code, stderr } = await server.result();
  assertEquals(code, 8);
  assertEquals(
    stderr,
    'sockpipe: cannot write to --dump "/no/such/file": no such file or directory\n',
  );
});

Deno.test("--dump that cannot be written fails the read or write, exit 8", async () => {
  using full = openDump("/dev/full");
  const sunk: number[] = [];
  const end = full.record({
    source: { read: () => Promise.resolve(new Uint8Array(3)) },
    sink: {
      write: (bytes) => Promise.resolve(void sunk.push(bytes.length)),
      end: () => Promise.resolve(),
    },
    close() {},
    abort() {},
    [Symbol.dispose]() {},
  }, "peer");
  for (
    const attempt of [
      () => end.source.read(),
      () => end.sink.write(new Uint8Array(5)),
      () => end.sink.end(),
    ]
  ) {
    const error = await assertRejects(
      attempt,
      RecordError,
      'Cannot write to --dump "/dev/full": no space left on device',
    );
    assertEquals(error.exitCode, 8);
  }
  assertEquals(sunk, []);
});
