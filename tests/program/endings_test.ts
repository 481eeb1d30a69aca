/** How a connection ends, and the losses that others have and this must not. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { randomBytes, sha256 } from "../helpers/bytes.ts";
import { testWith } from "../helpers/conditions.ts";
import { until, within } from "../helpers/deadlines.ts";
import { Folder } from "../helpers/folder.ts";
import { resettingPeer } from "../helpers/peers.ts";
import { shell } from "../helpers/process.ts";
import { listener, sockpipe } from "../helpers/program.ts";
import {
  accept,
  dial,
  rawListener,
  receive,
  receiveText,
  send,
} from "../helpers/tcp.ts";

const MiB = 1 << 20;

Deno.test("the end of stdin closes only the sending side: an answer made after it arrives", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: "three\nlines\nhere\n",
  });
  using conn = await accept(raw);
  const lines = (await receiveText(conn)).split("\n").length - 1;
  await send(conn, `${lines} lines\n`);
  conn.closeWrite();
  assertEquals(await client.result(), {
    code: 0,
    stdout: "3 lines\n",
    stderr: "",
  });
});

Deno.test("a listener's answer made after the end of the question arrives", async () => {
  using folder = new Folder();
  await using server = shell(
    // The answer is made by a command that waits for the end of the question.
    'mkfifo "$1"; wc -c <"$1" | sockpipe --listen 0 >"$1"',
    [`${folder.path}/fifo`],
  );
  const at = await server.listening();
  await using client = sockpipe(["--connect", at.address], {
    stdin: randomBytes(MiB),
  });
  const result = await client.result();
  assertEquals([result.code, result.stdout], [0, `${MiB}\n`]);
  assertEquals(await server.code(), 0);
});

Deno.test("an answer that comes two seconds after the end of stdin is received", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: "a question",
  });
  using conn = await accept(raw);
  assertEquals(await receiveText(conn), "a question");
  await delay(2000);
  await send(conn, "a slow answer");
  conn.closeWrite();
  const { code, stdout } = await client.result();
  assertEquals([code, stdout], [0, "a slow answer"]);
});

Deno.test("the peer's end closes stdout at once, while stdin is still sent", async () => {
  using raw = rawListener();
  await using client = shell(
    'sockpipe --connect "$1" | { cat; echo "reader ended" >&2; }',
    [raw.port],
    { stdin: "piped" },
  );
  using conn = await accept(raw);
  await send(conn, "all there is");
  conn.closeWrite();
  await client.said(/reader ended/);
  assertEquals(client.stdout.text(), "all there is");
  await client.feed("still sending");
  assertEquals(await receiveText(conn, 13), "still sending");
  await client.endStdin();
  assertEquals((await receive(conn)).length, 0);
  assertEquals(await client.code(), 0);
});

Deno.test("tar behind a listener finishes while the listener's stdin is still open", async () => {
  using folder = new Folder();
  await Deno.writeFile(`${folder.path}/file`, randomBytes(3 * MiB));
  await using server = shell(
    'sockpipe --listen 0 | { tar x -C "$1" --transform s/file/copy/; echo "tar ended" >&2; }',
    [folder.path],
    { stdin: "piped" },
  );
  const at = await server.listening();
  await using client = shell(
    'tar c -C "$1" file | sockpipe --connect "$2"; echo "${PIPESTATUS[*]}"',
    [folder.path, at.address],
  );
  await server.said(/tar ended/);
  assertEquals(
    await sha256(await Deno.readFile(`${folder.path}/copy`)),
    await sha256(randomBytes(3 * MiB)),
  );
  await server.endStdin();
  assertEquals(await server.code(), 0);
  assertEquals((await client.result()).stdout, "0 0\n");
});

Deno.test("all 64 MiB arrive at a peer that ended its own side at once", async () => {
  using raw = rawListener();
  const data = randomBytes(64 * MiB, 2);
  await using client = sockpipe(["--connect", `${raw.port}`], { stdin: data });
  using conn = await accept(raw);
  conn.closeWrite();
  const received = await receive(conn);
  assertEquals(await client.code(), 0);
  assertEquals(await sha256(received), await sha256(data));
});

Deno.test("all 64 MiB arrive from a client at a listener whose stdin is at its end", async () => {
  const { server, at } = await listener();
  await using _server = server;
  const data = randomBytes(64 * MiB, 3);
  await using client = sockpipe(["--connect", at.address], { stdin: data });
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals(await sha256(server.stdout.bytes()), await sha256(data));
});

for (const sendOnly of [true, false]) {
  const mode = sendOnly ? " with --send-only" : "";
  Deno.test(`what the peer sends unasked never cuts off what we send${mode}`, async () => {
    using raw = rawListener();
    const ours = randomBytes(4 * MiB, 4);
    const theirs = randomBytes(4 * MiB, 5);
    await using client = sockpipe(
      ["--connect", `${raw.port}`, ...(sendOnly ? ["--send-only"] : [])],
      { stdin: ours },
    );
    using conn = await accept(raw);
    const [received] = await Promise.all([
      receive(conn),
      send(conn, theirs).then(() => conn.closeWrite()),
    ]);
    assertEquals(await client.code(), 0);
    assertEquals(await sha256(received), await sha256(ours));
    assertEquals(client.stdout.length, sendOnly ? 0 : theirs.length);
  });
}

Deno.test("--send-only waits for the peer's end, and drains what comes after our own", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`, "--send-only"], {
    stdin: "one way",
  });
  using conn = await accept(raw);
  assertEquals(await receiveText(conn), "one way");
  await send(conn, randomBytes(8 * MiB));
  conn.closeWrite();
  assertEquals(await client.result(), { code: 0, stdout: "", stderr: "" });
});

Deno.test("--receive-only keeps its sending side open until the peer has ended, and leaves stdin alone", async () => {
  using raw = rawListener();
  await using client = shell(
    'sockpipe --connect "$1" --receive-only; echo " $?"; cat',
    [raw.port],
    { stdin: "for the next command" },
  );
  using conn = await accept(raw);
  await send(conn, "data");
  let ended = false;
  const end = receive(conn).then((bytes) => {
    ended = true;
    return bytes.length;
  });
  await client.stdout.atLeast(4);
  await delay(300);
  assert(!ended);
  conn.closeWrite();
  assertEquals(await end, 0);
  const { stdout } = await client.result();
  assertEquals(stdout, "data 0\nfor the next command");
});

Deno.test("what arrived before a reset is written to a slow stdout, all of it", async () => {
  // Less than the first window of a connection, so that it arrives at once.
  await using peer = await resettingPeer({ sends: 50_000 });
  await using client = shell(
    `head -c 65536 /dev/zero # a full pipe takes nothing more
    sockpipe --connect "$1" --data-size 1000`,
    [peer.port],
    { stdin: "a question", heldStdout: true },
  );
  await peer.stdout.match(/ready/);
  peer.kill("SIGKILL");
  await peer.code();
  client.stdout.release();
  assertEquals(await client.code(), 1);
  assertEquals(client.stdout.length, 65536 + 50_000);
});

Deno.test("the receiver of a sockpipe that was killed while sending exits 1", async () => {
  const { server, at } = await listener();
  await using _server = server;
  await using client = sockpipe(["--connect", at.address], { stdin: "piped" });
  await client.feed(randomBytes(MiB));
  await server.stdout.atLeast(MiB);
  // The protection is for transfers, not for what is over in a moment.
  await delay(300);
  client.kill("SIGKILL");
  assertEquals(await server.code(), 1);
  assertMatch(server.stderr.text(), /reset.*\b1048576 bytes/);
});

Deno.test("the sender to a sockpipe that was killed while receiving exits 1", async () => {
  const { server, at } = await listener();
  await using _server = server;
  await using client = sockpipe(["--connect", at.address], {
    stdin: new Uint8Array(64 * MiB),
  });
  await server.stdout.atLeast(MiB);
  server.kill("SIGKILL");
  assertEquals(await client.code(), 1);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`the peer of a sockpipe that ${signal} ended in a transfer sees a reset, not an end`, async () => {
    const { server, at } = await listener();
    await using _server = server;
    await using client = sockpipe(["--connect", at.address], {
      stdin: "piped",
    });
    await client.feed("a part");
    await server.stdout.atLeast(6);
    client.kill(signal);
    await client.code();
    assertEquals(await server.code(), 1);
    assertMatch(server.stderr.text(), /reset/);
  });
}

Deno.test("`| head -c 10` with stdin open closes the connection at once", async () => {
  using raw = rawListener();
  await using client = shell(
    'sockpipe --connect "$1" | head -c 10; echo " ${PIPESTATUS[*]}"',
    [raw.port],
    { stdin: "piped" },
  );
  using conn = await accept(raw);
  await send(conn, "0123456789");
  await client.stdout.atLeast(10);
  // The next byte finds nobody to take it, and that ends everything.
  const closed = (async () => {
    for (;;) {
      await send(conn, "more");
      await delay(20);
    }
  })().catch(() => {});
  assertEquals((await client.result()).stdout, "0123456789 141 0\n");
  await closed;
});

Deno.test("a reader of stdout that never reads and goes away ends a stuck run with 141", async () => {
  using raw = rawListener();
  await using client = shell(
    `exec 3<&0
    sockpipe --connect "$1" < <(sleep 1h 2>/dev/null) | read -r _ <&3
    echo "\${PIPESTATUS[*]}"`,
    [raw.port],
    { stdin: "piped" },
  );
  using conn = await accept(raw);
  let sent = 0;
  const closed = (async () => {
    for (;; sent++) await send(conn, randomBytes(65536));
  })().catch(() => {});
  // More than the pipe holds: stdout is being written, and nobody reads it. Of
  // more, sockets that are not busy need not take anything.
  await until(() => sent >= 2 || undefined, "stdout to be stuck");
  await client.feed("go\n");
  assertEquals((await client.result()).stdout, "141 0\n");
  await closed;
});

Deno.test("the listener stops listening as soon as its peer has come: a second one is refused", async () => {
  const { server, at } = await listener([], { stdin: "piped" });
  await using _server = server;
  using conn = await dial(at.port);
  await send(conn, "first");
  await server.stdout.atLeast(5);
  const second = await Deno.connect({ port: at.port }).then(
    (conn) => conn.close(),
    (error) => error,
  );
  assert(second instanceof Deno.errors.ConnectionRefused, `${second}`);
  await server.endStdin();
  conn.closeWrite();
  assertEquals([await server.code(), await receiveText(conn)], [0, ""]);
  assertEquals(server.stdout.text(), "first");
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

testWith(
  ["script", "/proc"],
  "a session on a terminal ends when the peer ends",
  async () => {
    using raw = rawListener();
    await using terminal = shell(
      'script -qec "sockpipe --connect $1" /dev/null',
      [raw.port],
      { stdin: "piped" },
    );
    using conn = await accept(raw);
    await terminal.feed("typed\n");
    assertEquals(await receiveText(conn, 6), "typed\n");
    await send(conn, "said\n");
    conn.closeWrite();
    assertEquals(await terminal.code(), 0);
    assertMatch(terminal.stdout.text(), /said\r\n$/);
    assertEquals((await receive(conn)).length, 0);
  },
);

testWith(
  ["script", "/proc"],
  "a session on a terminal goes on for the answer after Ctrl-D",
  async () => {
    using raw = rawListener();
    await using terminal = shell(
      'script -qec "sockpipe --connect $1" /dev/null',
      [raw.port],
      { stdin: "piped" },
    );
    using conn = await accept(raw);
    await terminal.feed("typed\n");
    assertEquals(await receiveText(conn, 6), "typed\n");
    await terminal.feed("\x04");
    assertEquals((await receive(conn)).length, 0);
    await send(conn, "answer\n");
    conn.closeWrite();
    assertEquals(await terminal.code(), 0);
    assertMatch(terminal.stdout.text(), /answer\r\n/);
  },
);

testWith(
  ["script", "/proc"],
  "Ctrl-C on a terminal ends the session with 130",
  async () => {
    using raw = rawListener();
    await using terminal = shell(
      'script -qec "sockpipe --connect $1" /dev/null',
      [raw.port],
      { stdin: "piped" },
    );
    using conn = await accept(raw);
    await terminal.feed("typed\n");
    await receive(conn, 6);
    await terminal.feed("\x03");
    assertEquals(await terminal.code(), 130);
    await receive(conn).catch(() => {});
  },
);

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

Deno.test("--message arrives as UTF-8, ends the sending side, and leaves stdin alone", async () => {
  using raw = rawListener();
  await using client = shell(
    'sockpipe --connect "$1" --message "bonjour à toi ☎"; echo " $?"; cat',
    [raw.port],
    { stdin: "for the next command" },
  );
  using conn = await accept(raw);
  assertEquals(await receiveText(conn), "bonjour à toi ☎");
  await send(conn, "salut");
  conn.closeWrite();
  assertEquals(
    (await client.result()).stdout,
    "salut 0\nfor the next command",
  );
});

for (const text of ["0123", "1e3", "true", "  ", "-x", "--", "a=b", "a\nb\n"]) {
  Deno.test(`--message takes ${JSON.stringify(text)} as it stands`, async () => {
    using raw = rawListener();
    await using client = sockpipe(
      ["--connect", `${raw.port}`, `--message=${text}`],
    );
    using conn = await accept(raw);
    assertEquals(await receiveText(conn), text);
    conn.closeWrite();
    assertEquals(await client.code(), 0);
  });
}

Deno.test("--message larger than DATA_SIZE arrives whole", async () => {
  const { server, at } = await listener(["--data-size", "7"]);
  await using _server = server;
  const text = "un message plus long que DATA_SIZE: é è à ".repeat(100);
  await using client = sockpipe(
    ["--connect", at.address, "--data-size", "7", "--message", text],
  );
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals(server.stdout.text(), text);
});

for (const size of ["1", "16M"]) {
  Deno.test(`--data-size ${size} moves everything both ways`, async () => {
    const args = ["--data-size", size];
    const { server, at } = await listener(args, {
      stdin: randomBytes(20_000, 11),
    });
    await using _server = server;
    await using client = sockpipe(["--connect", at.address, ...args], {
      stdin: randomBytes(20_000, 12),
    });
    assertEquals([await client.code(), await server.code()], [0, 0]);
    assertEquals(client.stdout.bytes(), randomBytes(20_000, 11));
    assertEquals(server.stdout.bytes(), randomBytes(20_000, 12));
  });
}

Deno.test("-v says each step and whom it waits for, and stdout is exactly the data", async () => {
  const { server, at } = await listener(["-v"], { stdin: "piped" });
  await using _server = server;
  await using client = sockpipe(["--connect", at.address, "-v"], {
    stdin: "data\n",
  });
  await client.said(/waiting for the peer/);
  await server.said(/waiting for .*stdin/);
  await server.endStdin();
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals([client.stdout.text(), server.stdout.text()], ["", "data\n"]);
  const address = at.address.replaceAll(".", "\\.");
  assertMatch(
    client.stderr.text(),
    RegExp(`connecting to ${address}\n.*connected to ${address}`, "s"),
  );
  assertMatch(client.stderr.text(), /sent 5 bytes.*received 0 bytes/);
  assertMatch(server.stderr.text(), /sent 0 bytes, received 5 bytes/);
});

Deno.test("-q says nothing at all when all is well, also while it retries", async () => {
  using folder = new Folder();
  const path = `${folder.path}/socket`;
  await using client = sockpipe(
    ["--connect", `unix:${path}`, "-q", "--retry-delay", "50ms"],
    { stdin: "quiet" },
  );
  await delay(300);
  await using server = sockpipe(["--listen", `unix:${path}`, "--quiet"]);
  assertEquals(await client.result(), { code: 0, stdout: "", stderr: "" });
  assertEquals(await server.result(), { code: 0, stdout: "quiet", stderr: "" });
});

Deno.test("-q still says why it failed", async () => {
  using raw = rawListener();
  await using server = sockpipe(["--listen", `${raw.port}`, "-q"]);
  const { code, stderr } = await server.result();
  assertEquals(code, 4);
  assertMatch(stderr, /^sockpipe: [^\n]*in use[^\n]*\n$/);
});

Deno.test("a peer that ends both ways in one go ends the run at once", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: "question",
  });
  const conn = await accept(raw);
  assertEquals(await receiveText(conn), "question");
  await send(conn, "answer");
  conn.close();
  assertEquals(await within(client.result(), "the end"), {
    code: 0,
    stdout: "answer",
    stderr: "",
  });
});
