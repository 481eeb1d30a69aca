/** `--keep-open`: clients that come and go. */

import { assert, assertEquals } from "@std/assert";
import { MiB, randomBytes } from "../../helpers/bytes.ts";
import { SOAK, testWith } from "../../helpers/conditions.ts";
import { until } from "../../helpers/deadlines.ts";
import { Folder } from "../../helpers/folder.ts";
import { run, type Running, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { dial, receive, receiveText, send } from "../../helpers/tcp.ts";
import { dialAll, RESETTING } from "../../helpers/clients.ts";

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
  const clients = async (count: number) => {
    let left = count;
    await Promise.all(Array.from({ length: 8 }, async () => {
      while (left-- > 0) await once();
    }));
  };
  const fresh = server.descriptors();
  // Until the memory that a busy server needs anyway has been taken: V8's heap
  // grows for some 60,000 connections.
  await clients(WARM_UP);
  const before = await measured(server, fresh);
  await clients(CHURN);
  const after = await measured(server, fresh);
  // One or two may be the runtime's own, whenever it opens them.
  assert(after.descriptors - before.descriptors <= 2);
  const grown = after.rss - before.rss;
  assert(grown < 32 * MiB, `grown by ${grown} bytes`);
});

/** The descriptors and the memory of a server, once nobody is connected to it. */
async function measured(server: Running, fresh: number) {
  const descriptors = await until(() => {
    const count = server.descriptors();
    // The runtime may have opened one or two for itself meanwhile.
    return count <= fresh + 2 ? count : undefined;
  }, "the end of all connections");
  const status = await Deno.readTextFile(`/proc/${server.pid}/status`);
  const rss = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
  return { descriptors, rss };
}
