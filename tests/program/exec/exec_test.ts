/** `--exec`: a process for each connection. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { randomBytes, sha256 } from "../../helpers/bytes.ts";
import { SOAK, testWith } from "../../helpers/conditions.ts";
import { until } from "../../helpers/deadlines.ts";
import { Folder } from "../../helpers/folder.ts";
import { run, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import {
  accept,
  dial,
  rawListener,
  receive,
  receiveText,
  send,
} from "../../helpers/tcp.ts";
import { exchange } from "../../helpers/echo.ts";
import { answerOf, childrenOf, groupEnd } from "../../helpers/exec.ts";

Deno.test("--exec: its environment tells about the connection", async () => {
  const { server, at } = await listener([
    "--keep-open",
    "--connections=2",
    "--exec",
    "env | grep ^SOCKPIPE_[PL] | sort",
  ]);
  await using _ = server;
  using conn = await dial(at.port);
  const { localAddr } = conn;
  assertEquals(
    await receiveText(conn),
    `SOCKPIPE_LOCAL_ADDRESS=127.0.0.1
SOCKPIPE_LOCAL_PORT=${at.port}
SOCKPIPE_PEER_ADDRESS=127.0.0.1
SOCKPIPE_PEER_PORT=${localAddr.port}
SOCKPIPE_PROTOCOL=tcp
`,
  );
});

Deno.test("50 clients at once, each with a cat of its own; no process is left", async () => {
  const { server, at } = await listener(["--keep-open", "--exec", "cat"]);
  await using _ = server;
  await Promise.all(Array.from({ length: 50 }, async (_, i) => {
    const data = randomBytes(SOAK ? 1_000_000 : 200_000, i + 1);
    const received = await exchange(at.port, data);
    assertEquals(await sha256(received), await sha256(data));
  }));
  await until(
    async () => (await childrenOf(server)).length === 0 || undefined,
    "the end of all processes, zombies too",
  );
});

Deno.test("--exec: an answer that is made after the end of the question arrives", async () => {
  const { server, at } = await listener(["--exec", "sort"]);
  await using _ = server;
  await using client = sockpipe(["--connect", at.address], {
    stdin: "b\nc\na\n",
  });
  assertEquals((await client.result()).stdout, "a\nb\nc\n");
  assertEquals(await server.code(), 0);
});

Deno.test("--exec: the end of the process ends the connection, though the client does not", async () => {
  const { server, at } = await listener(["--exec", "head -n 1"]);
  await using _ = server;
  using conn = await dial(at.port);
  await send(conn, "first\nsecond\n");
  assertEquals(await receiveText(conn), "first\n");
  assertEquals(await server.code(), 0);
});

Deno.test("--exec: a command that fails is exit 8, and said for each of many", async () => {
  const one = await listener(["--exec", "cat; exit 3"]);
  await using single = one.server;
  assertEquals(
    await exchange(one.at.port, new TextEncoder().encode("all of it")),
    new TextEncoder().encode("all of it"),
  );
  const { code, stderr } = await single.result();
  assertEquals(code, 8);
  assertMatch(stderr, /the command "cat; exit 3" ended with exit code 3\n$/);

  const keepOpen = await listener([
    "-k",
    "--connections=2",
    "--exec",
    "read n; exit $n",
  ]);
  await using server = keepOpen.server;
  for (const status of ["0\n", "4\n"]) {
    await exchange(keepOpen.at.port, new TextEncoder().encode(status));
  }
  const result = await server.result();
  assertEquals(result.code, 1);
  assertMatch(result.stderr, /127\.0\.0\.1:\d+: the command .* exit code 4/);
});

Deno.test("--exec: stderr of the process is ours", async () => {
  const { server, at } = await listener(["--exec", "echo talk >&2; echo data"]);
  await using _ = server;
  using conn = await dial(at.port);
  assertEquals(await receiveText(conn), "data\n");
  await server.said(/^talk$/m);
});

Deno.test("--exec: a program runs without a shell in between, a command line with one", async () => {
  using folder = new Folder();
  const parent = `${folder.path}/parent`;
  await Deno.writeTextFile(parent, '#!/bin/sh\nps -o args= -p "$PPID"\n', {
    mode: 0o755,
  });
  const direct = await answerOf(parent);
  assertMatch(direct.answer, /--exec/);
  const byShell = await answerOf(`${parent}; true`);
  assertMatch(byShell.answer, /^\/bin\/sh -c .*parent; true\n$/);
});

Deno.test("--exec: what only the shell knows how to start, or to refuse, is left to it", async () => {
  using folder = new Folder();
  const script = `${folder.path}/script`;
  // Without #! the system cannot start it.
  await Deno.writeTextFile(script, 'echo "from $0"\n', { mode: 0o755 });
  const { answer, code } = await answerOf(script);
  assertEquals([answer, code], [`from ${script}\n`, 0]);
  await using server = shell(
    `export PATH=$PATH:$'/\\xff'; exec sockpipe --listen 0 --exec cat`,
  );
  const data = randomBytes(100);
  assertEquals(await exchange((await server.listening()).port, data), data);
  const missing = await answerOf("no-such-program -x");
  assertEquals(missing.code, 8);
  assertMatch(missing.stderr, /no-such-program: not found/);
  assertMatch(missing.stderr, /ended with exit code 127\n$/);
});

Deno.test("--exec: the process has its three descriptors, our environment, and signals as they are by default", async () => {
  await using here = run(["ls", "/proc/self/fd"]);
  const descriptors = await answerOf("ls /proc/self/fd");
  assertEquals(descriptors.answer, (await here.result()).stdout);

  // One that is not UTF-8, and one that is sockpipe's own.
  await using server = shell(
    `export ODD=$'a\\xff' SOCKPIPE_PEER_PORT=old
     exec sockpipe --listen 0 --exec 'printenv ODD SOCKPIPE_PEER_PORT'`,
  );
  const at = await server.listening();
  using conn = await dial(at.port);
  const port = new TextEncoder().encode(`${conn.localAddr.port}`);
  assertEquals([...await receive(conn)], [0x61, 0xff, 0xa, ...port, 0xa]);

  const pipeline = await answerOf("yes | head -n 1");
  assertEquals(pipeline.answer, "y\n");
  // yes would complain if it were not ended by SIGPIPE.
  assertEquals(pipeline.stderr.split("\n").length, 2);
  const killed = await answerOf("kill -KILL $$");
  assertMatch(killed.stderr, /ended with SIGKILL\n$/);
});

Deno.test("--exec: reads of any size, in both directions", async () => {
  for (const size of [1, 100, 1 << 20]) {
    const { server, at } = await listener([
      "--exec",
      "cat",
      `--data-size=${size}`,
    ]);
    await using _ = server;
    const data = randomBytes(size === 1 ? 5000 : 3_000_000, size);
    assertEquals(
      await sha256(await exchange(at.port, data)),
      await sha256(data),
    );
    assertEquals(await server.code(), 0);
  }
});

testWith(
  ["python3"],
  "--exec: a client that is gone ends its process, with all it has started",
  async () => {
    const { server, at } = await listener([
      "--keep-open",
      "--exec",
      "echo ready; sleep 1000 | sleep 1000",
    ]);
    await using _ = server;
    await using peer = run([
      "python3",
      "-c",
      `import socket, struct, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.recv(100)
print("ready", flush=True)
sys.stdin.read()
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()`,
      `${at.port}`,
    ], { stdin: "piped" });
    await peer.stdout.match(/ready/);
    const [group] = await childrenOf(server);
    assert(group);
    await peer.endStdin();
    await groupEnd(group.trim());
  },
);

Deno.test("--exec: a signal that ends the server ends the processes", async () => {
  const { server, at } = await listener([
    "--keep-open",
    "--grace=200ms",
    "--exec",
    "trap '' TERM; echo ready; while :; do sleep 1; done",
  ]);
  await using _ = server;
  using conn = await dial(at.port);
  await receive(conn, 6);
  const [group] = await childrenOf(server);
  assert(group);
  server.kill("SIGTERM");
  await server.said(/stopping/);
  server.kill("SIGTERM");
  assertEquals(await server.code(), 143);
  await groupEnd(group.trim());
});

Deno.test("--exec: connections that are cut off while their processes start end the run", async () => {
  const { server, at } = await listener([
    "--keep-open",
    "--grace=0",
    "--exec=cat",
  ]);
  await using _ = server;
  const conns: Deno.TcpConn[] = [];
  try {
    for (let i = 0; i < 30; i++) conns.push(await dial(at.port));
    server.kill("SIGTERM");
    assertEquals(await server.code(), 143);
    for (const conn of conns) {
      const seen = await receive(conn).then(() => "an end", () => "a reset");
      assertEquals(seen, "a reset");
    }
  } finally {
    for (const conn of conns) conn.close();
  }
});

Deno.test("--exec with --connect: the process is joined with the server that was called", async () => {
  using raw = rawListener();
  await using client = sockpipe([
    "--connect",
    `${raw.port}`,
    "--exec",
    "wc -c",
  ]);
  using conn = await accept(raw);
  await send(conn, randomBytes(12345));
  conn.closeWrite();
  assertEquals(Number(await receiveText(conn)), 12345);
  assertEquals(await client.code(), 0);
});
