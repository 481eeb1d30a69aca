/** `--forward`: connections joined with other ones. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { MiB, randomBytes, sha256 } from "../../helpers/bytes.ts";
import { SOAK, testWith } from "../../helpers/conditions.ts";
import { until } from "../../helpers/deadlines.ts";
import { Folder } from "../../helpers/folder.ts";
import { run, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import {
  accept,
  closedPort,
  dial,
  rawListener,
  receive,
  receiveText,
  send,
} from "../../helpers/tcp.ts";
import { Echo, exchange } from "../../helpers/echo.ts";

Deno.test("--forward joins each connection with a new one, and passes half-closes on", async () => {
  using raw = rawListener();
  const { server, at } = await listener([
    "--keep-open",
    "--connections=2",
    `--forward=${raw.port}`,
  ]);
  await using _ = server;
  for (let i = 0; i < 2; i++) {
    using near = await dial(at.port);
    using far = await accept(raw);
    await send(near, "question");
    near.closeWrite();
    assertEquals(await receiveText(far), "question");
    await send(far, "answer made after the end of the question");
    far.closeWrite();
    assertEquals(
      await receiveText(near),
      "answer made after the end of the question",
    );
  }
  assertEquals((await server.result()).code, 0);
});

Deno.test("--forward: the target's end comes first, and the client still sends", async () => {
  using raw = rawListener();
  const { server, at } = await listener([`--forward=${raw.port}`]);
  await using _ = server;
  using near = await dial(at.port);
  using far = await accept(raw);
  await send(far, "greeting");
  far.closeWrite();
  assertEquals(await receiveText(near), "greeting");
  await send(near, "still sending");
  near.closeWrite();
  assertEquals(await receiveText(far), "still sending");
  assertEquals(await server.code(), 0);
});

Deno.test("--forward to nowhere fails that connection, with a reset, and no other", async () => {
  const port = closedPort();
  const { server, at } = await listener([
    "--keep-open",
    "--connections=2",
    `--forward=${port}`,
  ]);
  await using _ = server;
  await using client = sockpipe(
    ["--connect", at.address, "--retries", "0"],
    { stdin: "lost" },
  );
  // The reset may come before the client knows that it is connected.
  assert([1, 3].includes(await client.code()));
  await server.said(
    /127\.0\.0\.1:\d+: cannot connect to ".*": connection refused/,
  );
  {
    using raw = Deno.listen({ hostname: "127.0.0.1", port });
    using near = await dial(at.port);
    using far = await accept(raw);
    await send(near, "found");
    near.closeWrite();
    assertEquals(await receiveText(far), "found");
    far.closeWrite();
    await receive(near);
  }
  const { code, stderr } = await server.result();
  assertEquals(code, 1);
  assertMatch(stderr, /1 of 2 connections failed/);
});

Deno.test("--forward for one: a target that is not there is exit 3", async () => {
  const { server, at } = await listener([`--forward=${closedPort()}`]);
  await using _ = server;
  using conn = await dial(at.port);
  await receive(conn).catch(() => {});
  assertEquals(await server.code(), 3);
});

testWith(
  ["python3"],
  "--forward passes a reset on, in both directions",
  async () => {
    const reset = `import socket, struct, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"x")
sys.stdin.read()
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()`;
    using raw = rawListener();
    const { server, at } = await listener(["-k", `--forward=${raw.port}`]);
    await using _ = server;
    await using peer = run(["python3", "-c", reset, `${at.port}`], {
      stdin: "piped",
    });
    using far = await accept(raw);
    await receive(far, 1);
    await peer.endStdin();
    const failure = await receive(far).then(() => "an end", () => "a reset");
    assertEquals(failure, "a reset");
  },
);

Deno.test("two connectors are bridged by two listeners, and two listeners by two connectors", async () => {
  const { server, at } = await listener(["--broker"]);
  await using _ = server;
  await using first = sockpipe(["--connect", at.address], { stdin: "piped" });
  await using second = sockpipe(["--connect", at.address], { stdin: "piped" });
  await first.feed("+");
  // Whether both are there shows when one has heard the other.
  await until(async () => {
    await first.feed("+");
    return second.stdout.length > 0 || undefined;
  }, "what the first says");
  await second.feed("from the second");
  await first.stdout.match(/from the second/);

  using left = rawListener();
  using right = rawListener();
  await using bridge = sockpipe([
    "--connect",
    `${left.port}`,
    "--forward",
    `${right.port}`,
  ]);
  using a = await accept(left);
  using b = await accept(right);
  await send(a, "left to right");
  a.closeWrite();
  assertEquals(await receiveText(b), "left to right");
  await send(b, "right to left");
  b.closeWrite();
  assertEquals(await receiveText(a), "right to left");
  assertEquals(await bridge.code(), 0);
});

Deno.test("--forward between TCP and a unix socket", async () => {
  using folder = new Folder();
  const path = `${folder.path}/socket`;
  await using echo = new Echo();
  await using inner = sockpipe([
    `--listen=unix:${path}`,
    "--keep-open",
    `--forward=${echo.port}`,
  ]);
  await inner.listening();
  const { server, at } = await listener(["-k", `--forward=unix:${path}`]);
  await using _ = server;
  const data = randomBytes(MiB, 21);
  assertEquals(await exchange(at.port, data), data);
});

const FORWARDED = SOAK ? 1000 : 60;

Deno.test(`${FORWARDED} clients at once send 1 MB each through --forward to an echo and back`, async () => {
  await using echo = new Echo();
  const { server, at } = await listener(["-k", `--forward=${echo.port}`]);
  await using _ = server;
  const results = await Promise.all(
    Array.from({ length: FORWARDED }, async (_, i) => {
      const data = randomBytes(1_000_000, i + 1);
      const received = await exchange(at.port, data);
      return await sha256(received) === await sha256(data);
    }),
  );
  assertEquals(results.filter((equal) => equal).length, FORWARDED);
  assertEquals(server.stderr.text().split("\n").length, 2);
});

Deno.test("--forward out of descriptors: nobody is refused, all are served in the end", async () => {
  await using echo = new Echo();
  await using server = shell(
    `ulimit -n 64; exec sockpipe --listen 0 --keep-open --forward ${echo.port}`,
  );
  const at = await server.listening();
  const data = randomBytes(10_000, 22);
  const results = await Promise.all(
    Array.from({ length: 80 }, () => exchange(at.port, data)),
  );
  for (const received of results) assertEquals(received, data);
  await server.said(/out of file descriptors/);
});

Deno.test("a forwarder that is killed resets all it has joined, on both sides", async () => {
  const count = 40;
  using raw = rawListener();
  const { server, at } = await listener(["-k", `--forward=${raw.port}`]);
  await using _ = server;
  const conns: Deno.TcpConn[] = [];
  try {
    for (let i = 0; i < count; i++) {
      conns.push(await dial(at.port), await accept(raw));
    }
    // A connection is guarded when it has lasted a while.
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (const conn of conns) await send(conn, "in the middle");
    server.kill("SIGKILL");
    const seen = await Promise.all(
      conns.map((conn) => receive(conn).then(() => "an end", () => "a reset")),
    );
    assertEquals(new Set(seen), new Set(["a reset"]));
  } finally {
    for (const conn of conns) conn.close();
  }
});

Deno.test("connections that end well are never reset, however long they lasted", async () => {
  using raw = rawListener();
  const { server, at } = await listener(["-k", `--forward=${raw.port}`]);
  await using _ = server;
  const pairs: [Deno.TcpConn, Deno.TcpConn][] = [];
  for (let i = 0; i < 20; i++) {
    pairs.push([await dial(at.port), await accept(raw)]);
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  const data = randomBytes(100_000, 31);
  for (const [near, far] of pairs) {
    using _near = near;
    using _far = far;
    const sent = send(near, data).then(() => near.closeWrite());
    assertEquals(await receive(far), data);
    await sent;
    await send(far, data.subarray(0, 1000));
    far.closeWrite();
    assertEquals(await receive(near), data.slice(0, 1000));
  }
});
