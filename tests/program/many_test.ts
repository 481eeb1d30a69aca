/** A listener for many: fan-in, fan-out, broker, limits, and how it ends. */

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { delay } from "@std/async/delay";
import { Buffer } from "node:buffer";
import { parseCommandLine } from "../../lib/cli/parse.ts";
import { UsageError } from "../../lib/base/errors.ts";
import { randomBytes, sha256 } from "../helpers/bytes.ts";
import { SOAK, testWith } from "../helpers/conditions.ts";
import { until } from "../helpers/deadlines.ts";
import { Folder } from "../helpers/folder.ts";
import { resettingPeer } from "../helpers/peers.ts";
import { run, type Running, shell } from "../helpers/process.ts";
import { listener, sockpipe } from "../helpers/program.ts";
import { dial, receive, receiveText, send } from "../helpers/tcp.ts";

const MiB = 1 << 20;

/** Connects several clients. */
async function dialAll(port: number, count: number): Promise<Conns> {
  const conns = new Conns();
  for (let i = 0; i < count; i++) conns.push(await dial(port));
  return conns;
}

/** Connections that are closed together. */
class Conns extends Array<Deno.TcpConn> implements Disposable {
  [Symbol.dispose](): void {
    for (const conn of this) conn[Symbol.dispose]();
  }
}

Deno.test("two clients at once, interleaved, and a third after the first has left", async () => {
  const { server, at } = await listener(["--keep-open", "--receive-only"]);
  await using _ = server;
  using first = await dial(at.port);
  using second = await dial(at.port);
  const steps: [Deno.Conn, string][] = [
    [first, "1a\n"],
    [second, "2a\n"],
    [first, "1b\n"],
    [second, "2b\n"],
  ];
  for (const [conn, text] of steps) {
    await send(conn, text);
    await server.stdout.match(new RegExp(`${text}$`));
  }
  first.close();
  using third = await dial(at.port);
  await send(third, "3a\n");
  await server.stdout.match(/3a\n$/);
  assertEquals(server.stdout.text(), "1a\n2a\n1b\n2b\n3a\n");
});

Deno.test("--connections ends after so many, with the end of stdout", async () => {
  await using server = shell(
    'sockpipe --listen 0 --keep-open --connections 3 | { wc -c; echo "reader ended" >&2; }; echo "${PIPESTATUS[*]}"',
  );
  const at = await server.listening();
  for (let i = 0; i < 3; i++) {
    await using client = sockpipe(["--connect", at.address], {
      stdin: randomBytes(100_000),
    });
    assertEquals(await client.code(), 0);
  }
  assertEquals((await server.result()).stdout, "300000\n0 0\n");
});

Deno.test("--lines never tears a line, and completes the last one of a client", async () => {
  const { server, at } = await listener([
    "--keep-open",
    "--lines",
    "--connections=2",
    "--receive-only",
  ]);
  await using _ = server;
  using first = await dial(at.port);
  using second = await dial(at.port);
  await send(first, "a whole line\nthe first half, ");
  await server.stdout.match(/^a whole line\n$/);
  await send(second, "a line in between\nunfinished");
  await server.stdout.match(/in between\n$/);
  await send(first, "the second half\n");
  await server.stdout.match(/second half\n$/);
  second.closeWrite();
  first.closeWrite();
  assertEquals(await server.result(), {
    code: 0,
    stdout:
      "a whole line\na line in between\nthe first half, the second half\nunfinished\n",
    stderr: server.stderr.text(),
  });
});

testWith(
  ["python3"],
  "--lines completes the last line of a client that leaves with a reset, too",
  async () => {
    const { server, at } = await listener([
      "--keep-open",
      "--lines",
      "--receive-only",
    ]);
    await using _ = server;
    await using leaver = run([
      "python3",
      "-c",
      RESETTING.replace(
        "sys.stdin.read()",
        's.sendall(b"a line\\nun"); sys.stdin.read()',
      ),
      `${at.port}`,
    ], { stdin: "piped" });
    await server.stdout.match(/^a line\n$/);
    await leaver.endStdin();
    await server.stdout.match(/^a line\nun\n$/);
    await server.said(/127\.0\.0\.1:\d+: cannot receive from/);
  },
);

Deno.test("--lines ends a client whose line has no end, and no other", async () => {
  const { server, at } = await listener([
    "--keep-open",
    "--lines",
    "--connections=2",
    "--receive-only",
  ]);
  await using _ = server;
  using bad = await dial(at.port);
  using good = await dial(at.port);
  await send(good, "good ");
  await send(bad, new Uint8Array(2 * MiB)).catch(() => {});
  await server.said(/127\.0\.0\.1:\d+: it sent a line longer than 1M/);
  await send(good, "line\n");
  good.closeWrite();
  const { code, stdout, stderr } = await server.result();
  assertEquals([code, stdout], [1, "good line\n"]);
  assertMatch(stderr, /1 of 2 connections failed/);
});

Deno.test("stdin is read only while somebody is there, and all of it goes to all who are", async () => {
  const { server, at } = await listener(["--keep-open"], { stdin: "piped" });
  await using _ = server;
  const data = randomBytes(4 * MiB, 3);
  let taken = 0;
  const fed = (async () => {
    for (; taken < data.length; taken += 65536) {
      await server.feed(data.subarray(taken, taken + 65536));
    }
  })();
  // Before anybody comes, as a busy test may hear of that later than the server.
  let before = -1;
  await until(async () => {
    if (taken === before) return true;
    before = taken;
    await delay(100);
  }, "stdin to be left alone");
  assert(taken < data.length, "stdin was read while nobody was there");
  using warmUp = await dial(at.port);
  assertEquals(await receive(warmUp, data.length), data);
  await fed;
  using conns = await dialAll(at.port, 3);
  // A client gets what comes after it has come, so make sure that all have.
  await seen(server, conns);
  await server.feed("for all");
  await server.endStdin();
  for (const conn of [warmUp, ...conns]) {
    assertEquals(await receiveText(conn), "for all");
    conn.closeWrite();
  }
});

/** Waits until the server has taken what each of these clients says. */
async function seen(server: Running, conns: readonly Deno.Conn[]) {
  for (const [i, conn] of conns.entries()) {
    await send(conn, `client ${i} is here\n`);
    await server.stdout.match(new RegExp(`client ${i} is here\n`));
  }
}

Deno.test("what was read from stdin when the last client left waits for the next", async () => {
  const { server, at } = await listener([
    "--keep-open",
    "--connections=2",
    "-v",
  ], {
    stdin: "piped",
  });
  await using _ = server;
  await using peer = run(["python3", "-c", RESETTING, `${at.port}`], {
    stdin: "piped",
  });
  await server.said(/connected to/);
  await peer.endStdin();
  await server.said(/: cannot receive from/);
  await server.feed("not lost");
  await server.endStdin();
  using next = await dial(at.port);
  assertEquals(await receiveText(next), "not lost");
});

/** Connects, and leaves with a reset when its stdin ends. */
const RESETTING = `import socket, struct, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sys.stdin.read()
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()`;

testWith(
  ["python3"],
  "clients that leave with a reset before they are accepted end no listener",
  async () => {
    for (const keepOpen of [[], ["--keep-open", "--connections=1"]]) {
      const { server, at } = await listener([...keepOpen, "--receive-only"]);
      await using _ = server;
      server.kill("SIGSTOP");
      const thrice = `for i in range(3):\n${RESETTING.replaceAll(/^/gm, " ")}`;
      await using peer = run(["python3", "-c", thrice, `${at.port}`]);
      assertEquals(await peer.code(), 0);
      server.kill("SIGCONT");
      await using client = sockpipe(["--connect", at.address], { stdin: "in" });
      assertEquals(await client.code(), 0);
      const { code, stdout } = await server.result();
      assertEquals([code, stdout], [0, "in"], server.stderr.text());
    }
  },
);

Deno.test("a client killed in mid-broadcast costs 50 others nothing", async () => {
  const { server, at } = await listener(["--keep-open"], { stdin: "piped" });
  await using _ = server;
  await using victim = await resettingPeer({ sends: 1, dialing: at.port });
  using conns = await dialAll(at.port, 50);
  await seen(server, conns);
  const data = randomBytes(2 * MiB, 5);
  const hash = await sha256(data);
  const received = conns.map((conn) => receive(conn).then(sha256));
  const half = data.length / 2;
  await server.feed(data.subarray(0, half));
  await victim.stdout.match(/ready/);
  victim.kill("SIGKILL");
  await server.said(/127\.0\.0\.1:\d+: cannot (receive from|send to)/);
  await server.feed(data.subarray(half));
  await server.endStdin();
  assertEquals(new Set(await Promise.all(received)), new Set([hash]));
});

Deno.test("a client that never reads is disconnected, and the others get everything", async () => {
  const { server, at } = await listener(["--keep-open", "--queue", "64k"], {
    stdin: "piped",
  });
  await using _ = server;
  using deaf = await dial(at.port);
  using conns = await dialAll(at.port, 3);
  await seen(server, [deaf, ...conns]);
  const data = randomBytes(24 * MiB, 6);
  const hash = await sha256(data);
  const received = conns.map((conn) => receive(conn).then(sha256));
  await server.feed(data);
  await server.endStdin();
  assertEquals(new Set(await Promise.all(received)), new Set([hash]));
  await server.said(/its queue was full for 2s \(--slow-client disconnect/);
});

Deno.test("--slow-client wait waits for a client, and nobody loses a byte", async () => {
  const { server, at } = await listener(
    ["--keep-open", "--queue=64k", "--slow-client=wait", "--connections=3"],
    { stdin: "piped" },
  );
  await using _ = server;
  using slow = await dial(at.port);
  using conns = await dialAll(at.port, 2);
  await seen(server, [slow, ...conns]);
  const data = randomBytes(24 * MiB, 7);
  const hash = await sha256(data);
  const received = conns.map((conn) => receive(conn).then(sha256));
  const fed = server.feed(data).then(() => server.endStdin());
  // What fits nowhere shows that the slow one is waited for.
  assertEquals(
    await Promise.race([
      fed.then(() => "fed"),
      new Promise((resolve) => setTimeout(resolve, 2500, "waits")),
    ]),
    "waits",
  );
  assertEquals(await receive(slow).then(sha256), hash);
  assertEquals(new Set(await Promise.all(received)), new Set([hash]));
  for (const conn of [slow, ...conns]) conn.closeWrite();
  assertEquals(await server.code(), 0);
});

Deno.test("--message and --serve give each client the whole, and their answers come out", async () => {
  using folder = new Folder();
  const data = randomBytes(3 * MiB, 8);
  await Deno.writeFile(`${folder.path}/file`, data);
  const served = await listener(
    ["--keep-open", "--connections=3", "--serve", `${folder.path}/file`],
  );
  await using server = served.server;
  using conns = await dialAll(served.at.port, 3);
  for (const conn of conns) {
    assertEquals(await receive(conn), data);
    await send(conn, "thanks\n");
    conn.closeWrite();
  }
  const { code, stdout } = await server.result();
  assertEquals([code, stdout], [0, "thanks\n".repeat(3)]);

  const greeting = await listener(
    ["--keep-open", "--connections=2", "--message", "bonjour"],
  );
  await using greeter = greeting.server;
  for (let i = 0; i < 2; i++) {
    using conn = await dial(greeting.at.port);
    assertEquals(await receiveText(conn), "bonjour");
  }
  assertEquals(await greeter.code(), 0);
});

Deno.test("--serve also works for one, in both modes; a file that is not there is exit 8 before anything", async () => {
  using folder = new Folder();
  const path = `${folder.path}/file`;
  await using absent = sockpipe(["--listen", "0", "--serve", path]);
  const { code, stderr } = await absent.result();
  assertEquals(code, 8);
  assertEquals(
    stderr,
    `sockpipe: cannot read "${path}": no such file or directory\n`,
  );
  await Deno.writeTextFile(path, "from a file");
  const { server, at } = await listener(["--serve", path], { stdin: "piped" });
  await using _ = server;
  await using client = sockpipe(["--connect", at.address, "--serve", path]);
  assertEquals((await client.result()).stdout, "from a file");
  assertEquals((await server.result()).stdout, "from a file");
});

Deno.test("--max-connections lets the next one wait, and says so", async () => {
  const { server, at } = await listener([
    "-v",
    "--keep-open",
    "--max-connections=2",
    "--receive-only",
  ]);
  await using _ = server;
  using first = await dial(at.port);
  using second = await dial(at.port);
  await server.said(/2 connections at once \(--max-connections\): the next/);
  using third = await dial(at.port);
  await send(third, "third\n");
  await send(second, "second\n");
  await server.stdout.match(/second\n/);
  assertEquals(server.stdout.text(), "second\n");
  first.close();
  await server.stdout.match(/^second\nthird\n$/);
});

Deno.test("--broker gives what one sends to all others, and not back", async () => {
  const { server, at } = await listener(["--broker"], {
    stdin: "not for them",
  });
  await using _ = server;
  using conns = await dialAll(at.port, 3);
  const [a, b, c] = conns;
  assert(a && b && c);
  await here(conns);
  await send(a, "from a");
  assertEquals(await receiveText(b, 6), "from a");
  assertEquals(await receiveText(c, 6), "from a");
  await send(b, "from b");
  // Had a heard itself, that would come first.
  assertEquals(await receiveText(a, 6), "from b");
  assertEquals(await receiveText(c, 6), "from b");
  a.closeWrite();
  assertEquals(await receiveText(a), "");
  await send(c, "from c");
  assertEquals(await receiveText(b, 6), "from c");
  assertEquals(server.stdout.text(), "");
});

/**
 * Waits until all clients of a broker are there: those who came before the last
 * one are when they hear it.
 */
async function here(conns: readonly Deno.Conn[]): Promise<void> {
  const last = conns.at(-1);
  assert(last);
  await send(last, "+\n");
  for (const conn of conns.slice(0, -1)) await receive(conn, 2);
}

/** How long a line of one of many clients is, in bytes. */
const LINE_BYTES = 1000;
const PADDING = new Uint8Array(LINE_BYTES).fill("x".charCodeAt(0));
/** Enough for the number of a client, and of its line. */
const NUMBERS_BYTES = 12;

/** Line after line of one client, each with its own numbers. */
function numberedLines(client: number, count: number): Uint8Array<ArrayBuffer> {
  const lines = new Uint8Array(count * LINE_BYTES);
  for (let line = 0; line < count; line++) {
    const bytes = lines.subarray(line * LINE_BYTES, (line + 1) * LINE_BYTES);
    bytes.set(PADDING);
    new TextEncoder().encodeInto(`${client} ${line} `, bytes);
    bytes[LINE_BYTES - 1] = "\n".charCodeAt(0);
  }
  return lines;
}

/**
 * Reads what others have sent by {@linkcode numberedLines}, until all of it has come.
 *
 * @returns How many lines came of each.
 * @throws When a line is torn, damaged, or not the next one of its client.
 */
async function readNumberedLines(
  conn: Deno.Conn,
  total: number,
): Promise<Map<number, number>> {
  const counts = new Map<number, number>();
  const buffer = new Uint8Array(64 * LINE_BYTES);
  let filled = 0;
  for (let left = total; left > 0;) {
    const count = await conn.read(buffer.subarray(filled));
    assert(count !== null, `${left} lines are missing`);
    filled += count;
    let at = 0;
    for (; at + LINE_BYTES <= filled; at += LINE_BYTES, left--) {
      const line = buffer.subarray(at, at + LINE_BYTES);
      const text = new TextDecoder().decode(line.subarray(0, NUMBERS_BYTES));
      const client = Number(/^\d+/.exec(text)?.[0]);
      const number = counts.get(client) ?? 0;
      counts.set(client, number + 1);
      const head = `${client} ${number} `;
      assert(text.startsWith(head), `${text} is not ${head}`);
      const isWhole = Buffer.compare(
        line.subarray(head.length, -1),
        PADDING.subarray(head.length, -1),
      ) === 0;
      assert(isWhole && line.at(-1) === 0xa, `line ${head}is damaged`);
    }
    buffer.copyWithin(0, at, filled);
    filled -= at;
  }
  return counts;
}

const BROKER_LINES = SOAK ? 1000 : 10;

Deno.test(`100 clients of a broker get ${BROKER_LINES} kB from each of the 99 others, in whole lines`, async () => {
  const count = 100;
  const { server, at: { port } } = await listener([
    "--broker",
    "--lines",
    // They are all read here, so each may be slow.
    "--slow-client=wait",
  ]);
  await using _ = server;
  using conns = await dialAll(port, count);
  await here(conns);
  const received = conns.map((conn) =>
    readNumberedLines(conn, (count - 1) * BROKER_LINES)
  );
  const sent = conns.map(async (conn, i) => {
    const lines = numberedLines(i, BROKER_LINES);
    // In parts that end within lines, which would be torn if they could be.
    for (let at = 0; at < lines.length; at += 3333) {
      await send(conn, lines.subarray(at, at + 3333));
    }
  });
  await Promise.all([...sent, ...received]);
  for (const [i, counts] of (await Promise.all(received)).entries()) {
    const others = [...Array(count).keys()].filter((j) => j !== i);
    assertEquals(
      [...counts].sort(([a], [b]) => a - b),
      others.map((j) => [j, BROKER_LINES]),
      `client ${i}`,
    );
  }
});

testWith(
  ["nc.openbsd", "ncat", "socat"],
  "nc, ncat and socat over IPv4 and IPv6 hear each other through a broker, not themselves",
  async () => {
    await using server = sockpipe([
      "--listen=:0",
      "--broker",
      "--lines",
      "--max-connections=3",
    ]);
    const { port } = await server.listening();
    const commands = [
      `nc.openbsd 127.0.0.1 ${port}`,
      `ncat ::1 ${port}`,
      `socat -t30 - TCP:localhost:${port}`,
    ];
    await using clients = new AsyncDisposableStack();
    const there: Running[] = [];
    for (const command of commands) {
      const client = clients.use(shell(command, [], { stdin: "piped" }));
      there.push(client);
      // It is there when those before it have heard it.
      await client.feed(`${there.length} is there\n`);
      for (const other of there.slice(0, -1)) {
        await other.stdout.match(new RegExp(`${there.length} is there\n`));
      }
    }
    for (const [i, client] of there.entries()) {
      await client.feed(`hello from ${i + 1}\n`);
      for (const other of there) {
        if (other === client) continue;
        await other.stdout.match(new RegExp(`hello from ${i + 1}\n`));
      }
    }
    assertEquals(there.map(({ stdout }) => stdout.text()), [
      "2 is there\n3 is there\nhello from 2\nhello from 3\n",
      "3 is there\nhello from 1\nhello from 3\n",
      "hello from 1\nhello from 2\n",
    ]);
  },
);

testWith(
  ["ncat"],
  "--max-connections counts those who stand: a client that is killed makes room",
  async () => {
    const { server, at } = await listener([
      "-v",
      "--broker",
      "--max-connections=2",
    ]);
    await using _ = server;
    const client = () =>
      run(["ncat", "127.0.0.1", `${at.port}`], { stdin: "piped" });
    await using first = client();
    await using second = client();
    await server.said(/2 connections at once \(--max-connections\)/);
    await using third = client();
    await third.feed("from the third\n");
    second.kill("SIGKILL");
    await first.stdout.match(/^from the third\n$/);
    assertEquals(third.stdout.text(), "");
  },
);

testWith(
  ["nc.openbsd", "ncat", "socat"],
  "nc, ncat and socat are clients of one listener",
  async () => {
    const { server, at } = await listener([
      "--keep-open",
      "--lines",
      "--connections=3",
      "--message=welcome\n",
    ]);
    await using _ = server;
    const clients = [
      `nc.openbsd -N 127.0.0.1 ${at.port}`,
      `ncat 127.0.0.1 ${at.port}`,
      `socat -t30 - TCP:127.0.0.1:${at.port}`,
    ];
    for (const command of clients) {
      await using client = shell(`echo "from ${command}" | ${command}`);
      assertEquals((await client.result()).stdout, "welcome\n");
    }
    const { code, stdout } = await server.result();
    assertEquals(code, 0);
    assertEquals(
      stdout,
      clients.map((command) => `from ${command}\n`).join(""),
    );
  },
);

Deno.test("the reader of stdout going away ends it with 141, silently", async () => {
  await using server = shell(
    "sockpipe --listen 0 --keep-open --receive-only | head -c 3; echo ${PIPESTATUS[0]}",
  );
  const at = await server.listening();
  using first = await dial(at.port);
  await send(first, "one");
  await server.stdout.match(/one/);
  using second = await dial(at.port);
  const flood = async () => {
    for (;;) await send(second, new Uint8Array(65536));
  };
  await flood().catch(() => {});
  const { stdout, stderr } = await server.result();
  assertEquals(stdout, "one141\n");
  assertEquals(stderr, `sockpipe: listening on ${at.address}\n`);
});

Deno.test("a full disk ends it with 8", async () => {
  const { server, at } = await listener(["--keep-open", "--receive-only"], {
    redirect: ">/dev/full",
  });
  await using _ = server;
  using conn = await dial(at.port);
  await send(conn, "too much");
  const { code, stderr } = await server.result();
  assertEquals(code, 8);
  assertMatch(stderr, /cannot write to stdout: no space left on device/);
});

Deno.test("--accept-timeout counts while nobody is there", async () => {
  const { server, at } = await listener([
    "--keep-open",
    "--accept-timeout=4s",
    "--receive-only",
  ]);
  await using _ = server;
  {
    using conn = await dial(at.port);
    await new Promise((resolve) => setTimeout(resolve, 4500));
    await send(conn, "still here");
    await server.stdout.match(/still here/);
  }
  const { code, stderr } = await server.result();
  assertEquals(code, 5);
  assertMatch(stderr, /nobody came to ".*" within 4s \(--accept-timeout\)/);
});

Deno.test("a mute client is disconnected by --idle-timeout, and no other", async () => {
  const { server, at } = await listener([
    "--keep-open",
    "--idle-timeout=3s",
    "--receive-only",
  ]);
  await using _ = server;
  using mute = await dial(at.port);
  using lively = await dial(at.port);
  let isMute = true;
  const talk = (async () => {
    while (isMute) {
      await send(lively, ".");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  await receive(mute).catch(() => {});
  isMute = false;
  await talk;
  await send(lively, "alive");
  await server.stdout.match(/alive/);
  await server.said(/no byte either way for 3s/);
});

Deno.test("SIGTERM stops accepting, lets a client finish, and ends with 143", async () => {
  const { server, at } = await listener(
    ["--keep-open", "--grace", "1m", "--receive-only"],
  );
  await using _ = server;
  using conn = await dial(at.port);
  await send(conn, "begun, ");
  await server.stdout.match(/begun/);
  server.kill("SIGTERM");
  await server.said(/stopping: 1 connection may finish within 1m/);
  const refused = await until(async () => {
    try {
      (await dial(at.port)).close();
    } catch (error) {
      return error instanceof Deno.errors.ConnectionRefused || undefined;
    }
  }, "a refusal");
  assert(refused);
  await send(conn, "finished");
  conn.closeWrite();
  assertEquals((await receive(conn)).length, 0);
  const { code, stdout } = await server.result();
  assertEquals([code, stdout], [143, "begun, finished"]);
});

Deno.test("what stdin brings after a signal goes to nobody, and the exit code is the signal's", async () => {
  const { server, at } = await listener(["--keep-open", "--grace=1s"], {
    stdin: "piped",
  });
  await using _ = server;
  using conn = await dial(at.port);
  await seen(server, [conn]);
  await server.feed("in time");
  assertEquals(await receiveText(conn, 7), "in time");
  server.kill("SIGTERM");
  await server.said(/stopping/);
  await server.feed("too late");
  assertEquals(await receiveText(conn), "");
  assertEquals(await server.code(), 143);
});

Deno.test("SIGINT: what is queued is still sent, and the clients get their end", async () => {
  const { server, at } = await listener(["--keep-open", "--grace=1m"], {
    stdin: "piped",
  });
  await using _ = server;
  using conn = await dial(at.port);
  await seen(server, [conn]);
  const data = randomBytes(MiB, 9);
  await server.feed(data);
  // The queue holds what the sockets do not; then comes the signal.
  await receive(conn, 1);
  server.kill("SIGINT");
  await server.said(/stopping/);
  const rest = await receive(conn);
  assertEquals(rest, data.subarray(1, 1 + rest.length));
  conn.closeWrite();
  assertEquals(await server.code(), 130);
});

Deno.test("a client that does not finish is cut off with a reset after --grace", async () => {
  const { server, at } = await listener([
    "--keep-open",
    "--grace=300ms",
    "--receive-only",
  ]);
  await using _ = server;
  using conn = await dial(at.port);
  await send(conn, "for ever");
  await server.stdout.match(/for ever/);
  server.kill("SIGINT");
  const { code, stderr } = await server.result();
  assertEquals(code, 130);
  assertMatch(stderr, /1 connection had not finished/);
});

Deno.test("a second signal ends it at once", async () => {
  const { server, at } = await listener([
    "--keep-open",
    "--grace=1h",
    "--receive-only",
  ]);
  await using _ = server;
  using conn = await dial(at.port);
  await send(conn, "for ever");
  await server.stdout.match(/for ever/);
  server.kill("SIGINT");
  await server.said(/stopping/);
  server.kill("SIGTERM");
  assertEquals(await server.code(), 143);
});

Deno.test("out of file descriptors: said once, and everybody is served in the end", async () => {
  const count = 120;
  await using server = shell(
    `ulimit -n 64; exec sockpipe --listen 0 --keep-open --lines --receive-only --connections ${count}`,
  );
  const at = await server.listening();
  using conns = await dialAll(at.port, count);
  for (const [i, conn] of conns.entries()) await send(conn, `${i}\n`);
  await server.said(/out of file descriptors: new connections wait/);
  for (const conn of conns) conn.closeWrite();
  const { code, stdout, stderr } = await server.result();
  assertEquals(code, 0);
  const expected = [...Array(count).keys()].map(String);
  const got = stdout.split("\n").slice(0, -1);
  assertEquals(new Set(got), new Set(expected));
  assertEquals(got.length, count);
  assertEquals(stderr.match(/out of file/g)?.length, 1);
});

Deno.test("many mute connections and garbage stall nobody", async () => {
  const { server, at } = await listener([
    "--keep-open",
    "--lines",
    "--receive-only",
  ]);
  await using _ = server;
  using mute = await dialAll(at.port, SOAK ? 5000 : 300);
  for (const conn of mute.slice(0, 20)) await send(conn, randomBytes(1000, 11));
  await using client = sockpipe(["--connect", at.address], {
    stdin: "through all of it\n",
  });
  assertEquals(await client.code(), 0);
  await server.stdout.match(/(^|\n)through all of it\n/);
});

const CHURN = SOAK ? 20_000 : 1500;
const WARM_UP = SOAK ? 60_000 : 500;

Deno.test(`${CHURN} short connections leave no descriptor and no memory behind`, async () => {
  const { server, at } = await listener(["--keep-open", "--message", "hello"]);
  await using _ = server;
  const once = async () => {
    using conn = await dial(at.port);
    await send(conn, "x");
    conn.closeWrite();
    assertEquals(await receiveText(conn), "hello");
  };
  const many = async (count: number) => {
    let left = count;
    await Promise.all(Array.from({ length: 8 }, async () => {
      while (left-- > 0) await once();
    }));
  };
  const fresh = await descriptorsOf(server.pid);
  // Until the memory that a busy server needs anyway has been taken: V8's heap
  // grows for some 60,000 connections.
  await many(WARM_UP);
  const before = await measured(server, fresh);
  await many(CHURN);
  const after = await measured(server, fresh);
  assertEquals(after.descriptors, before.descriptors);
  const grown = after.rss - before.rss;
  assert(grown < 32 * MiB, `grown by ${grown} bytes`);
});

/** The descriptors and the memory of a server, once nobody is connected to it. */
async function measured(server: Running, fresh: number) {
  const descriptors = await until(async () => {
    const count = await descriptorsOf(server.pid);
    // The runtime may have opened one or two for itself meanwhile.
    return count <= fresh + 2 ? count : undefined;
  }, "the end of all connections");
  const status = await Deno.readTextFile(`/proc/${server.pid}/status`);
  const rss = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
  return { descriptors, rss };
}

async function descriptorsOf(pid: number): Promise<number> {
  return (await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`))).length;
}

Deno.test("what makes no sense together is a usage error that names the fix", async () => {
  const cases: [string[], RegExp][] = [
    [
      ["--listen=0", "--max-connections=3"],
      /--max-connections belongs to --keep-open/,
    ],
    [["--listen=0", "--lines"], /--lines belongs to --keep-open/],
    [["--connect=1", "--keep-open"], /--keep-open belongs to --listen/],
    [["--connect=1", "--allow=::1"], /--allow belongs to --listen/],
    [["--listen=0", "-k", "--forward=1", "--exec=cat"], /exclude each other/],
    [["--listen=0", "-k", "--serve=x", "--message=y"], /exclude each other/],
    [["--listen=0", "--broker", "--receive-only"], /exclude each other/],
    [
      ["--listen=0", "-k", "--slow-client=drop"],
      /it can be wait or disconnect/,
    ],
    [["--listen=0", "-k", "--connections=0"], /out of range/],
    [["--listen=0", "--forward=0"], /port 0/],
    [["--listen=unix:/tmp/x", "--deny=::1"], /IP addresses/],
  ];
  for (const [args, pattern] of cases) {
    const { message } = assertThrows(() => parseCommandLine(args), UsageError);
    assertMatch(message, pattern, args.join(" "));
  }
  // That such an error of the parser is all that happens; starts are dear.
  for (const [args, pattern] of cases.slice(0, 2)) {
    await using program = sockpipe(args);
    const { code, stderr } = await program.result();
    assertEquals(code, 2, args.join(" "));
    assertMatch(stderr, pattern);
  }
});
