/** How a run with `--reliable` ends, and which limits hold. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { FRAME } from "../../../lib/reliable/wire.ts";
import { MiB, randomBytes } from "../../helpers/bytes.ts";
import { until } from "../../helpers/deadlines.ts";
import { type Running, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { closedPort } from "../../helpers/tcp.ts";
import { FailingLine, NONE } from "../../helpers/proxy.ts";
import { A, begun, codes, pair, RETRY } from "../../helpers/reliable_pair.ts";

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
