/** Peers and readers that do not read, and time limits. */

import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { MiB, randomBytes, sha256 } from "../../helpers/bytes.ts";
import { until } from "../../helpers/deadlines.ts";
import { shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import {
  accept,
  rawListener,
  receive,
  receiveText,
  send,
} from "../../helpers/tcp.ts";

Deno.test("a reader of stdout that never reads and goes away ends a stuck run with 141", async () => {
  using raw = rawListener();
  await using client = shell(
    `exec 3<&0
    sockpipe --connect "$1" < <(sleep 1h 2>/dev/null) | { read -r _ <&3; :; }
    echo "\${PIPESTATUS[*]}"`,
    [raw.port],
    { stdin: "piped" },
  );
  using conn = await accept(raw);
  let sent = 0; // KiB
  const closed = (async () => {
    for (;; sent += 16) await send(conn, randomBytes(16 * 1024));
  })().catch(() => {});
  // More than the pipe holds: stdout is being written, and nobody reads it. Of
  // more, sockets that are not busy need not take anything.
  await until(
    () => sent > 80 || undefined,
    () => `stdout to be stuck, ${sent} KiB sent; ${client.stderr.text()}`,
  );
  await client.feed("go\n");
  assertEquals((await client.result()).stdout, "141 0\n");
  await closed;
});

Deno.test("a stalled stdout does not stop sending", async () => {
  using raw = rawListener();
  const ours = randomBytes(16 * MiB, 6);
  const theirs = randomBytes(32 * MiB, 7);
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: "piped",
    heldStdout: true,
  });
  using conn = await accept(raw);
  const sending = send(conn, theirs).then(() => conn.closeWrite());
  await delay(300);
  const feeding = client.feed(ours).then(() => client.endStdin());
  assertEquals(await sha256(await receive(conn)), await sha256(ours));
  await feeding;
  client.stdout.release();
  await sending;
  assertEquals(await client.code(), 0);
  assertEquals(await sha256(client.stdout.bytes()), await sha256(theirs));
});

Deno.test("a peer that does not read does not stop receiving, and stdin is read only so far", async () => {
  using raw = rawListener();
  const ours = randomBytes(64 * MiB, 8);
  const theirs = randomBytes(16 * MiB, 9);
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: "piped",
  });
  using conn = await accept(raw);
  let taken = 0;
  const feeding = (async () => {
    for (; taken < ours.length; taken += 65536) {
      await client.feed(ours.subarray(taken, taken + 65536));
    }
    await client.endStdin();
  })();
  await send(conn, theirs);
  conn.closeWrite();
  await client.stdout.ended;
  assertEquals(await sha256(client.stdout.bytes()), await sha256(theirs));
  let before = -1;
  await until(async () => {
    if (taken === before) return true;
    before = taken;
    await delay(300);
  }, "stdin to be left alone");
  // What the socket buffers of both ends and the pipe hold, and no more.
  assert(taken < 32 * MiB, `${taken} bytes of stdin taken`);
  assertEquals(await sha256(await receive(conn)), await sha256(ours));
  await feeding;
  assertEquals(await client.code(), 0);
});

Deno.test("a listener with a stalled stdout makes the sender wait, and loses nothing", async () => {
  const { server, at } = await listener([], { heldStdout: true });
  await using _server = server;
  const data = randomBytes(32 * MiB, 10);
  await using client = sockpipe(["--connect", at.address], { stdin: data });
  let running = true;
  const ended = client.code().finally(() => running = false);
  await delay(500);
  assert(running, "the sender ended before anything was read");
  server.stdout.release();
  assertEquals([await ended, await server.code()], [0, 0]);
  assertEquals(await sha256(server.stdout.bytes()), await sha256(data));
});

Deno.test("the first byte arrives at once: two lines one second apart arrive one second apart", async () => {
  const { server, at } = await listener([], { stdin: "piped" });
  await using _server = server;
  await using client = sockpipe(["--connect", at.address], { stdin: "piped" });
  const ways = [[client, server], [server, client]] as const;
  await Promise.all(ways.map(async ([from, to]) => {
    await from.feed("tick\n");
    await to.stdout.atLeast(5);
    await delay(1000);
    await from.feed("tock\n");
    await to.stdout.atLeast(10);
    const [first = 0, second = 0] = to.stdout.times;
    const apart = second - first;
    assert(apart > 700 && apart < 1400, `${apart} ms apart`);
  }));
  await client.endStdin();
  await server.endStdin();
  assertEquals([await client.code(), await server.code()], [0, 0]);
});

Deno.test("traffic either way keeps --idle-timeout from ending the run", async () => {
  const limit = ["--idle-timeout", "2s"];
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`, ...limit], {
    stdin: "piped",
  });
  using conn = await accept(raw);
  for (let i = 0; i < 6; i++) {
    await delay(500);
    await send(conn, "in ");
  }
  for (let i = 0; i < 6; i++) {
    await delay(500);
    await client.feed("out ");
  }
  assertEquals(await receiveText(conn, 24), "out ".repeat(6));
  const lastByte = performance.now();
  assertEquals(await client.code(), 5);
  assert(performance.now() - lastByte > 1500);
  assertEquals(client.stdout.text(), "in ".repeat(6));
});
