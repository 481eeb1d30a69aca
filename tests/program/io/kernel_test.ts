/** What only the system knows of stdin, stdout and the connection. */

import { assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { MiB, randomBytes } from "../../helpers/bytes.ts";
import { engineTest, testWith } from "../../helpers/conditions.ts";
import { Folder } from "../../helpers/folder.ts";
import { resettingPeer } from "../../helpers/peers.ts";
import { shell } from "../../helpers/process.ts";
import { listener, reachedBy, sockpipe } from "../../helpers/program.ts";
import { accept, rawListener, receive, send } from "../../helpers/tcp.ts";

/** Starts a command with a standard descriptor that does not block. */
function unblocked(stream: "STDIN" | "STDOUT"): string {
  return `perl -MFcntl -e 'fcntl(${stream}, F_SETFL,
    fcntl(${stream}, F_GETFL, 0) | O_NONBLOCK); exec @ARGV'`;
}

for (const options of ["", "--reliable"]) {
  Deno.test(`a stdin that does not block is waited for ${options}`, async () => {
    const { server, at } = await listener(
      ["--receive-only", ...options.split(" ").filter(Boolean)],
    );
    await using _server = server;
    await using client = shell(
      `${unblocked("STDIN")} sockpipe --connect "$1" ${options}
      echo "exit $?"; perl -MFcntl -e 'print fcntl(STDIN, F_GETFL, 0) & O_NONBLOCK'`,
      [at.address],
      { stdin: "piped" },
    );
    await delay(300);
    await client.feed("late");
    await server.stdout.atLeast(4);
    await client.endStdin();
    const { stdout } = await client.result();
    assertEquals([await server.code(), stdout], [0, "exit 0\n2048"]);
  });

  engineTest(
    `a stdout that does not block gets all, however slow its reader ${options}`,
    async () => {
      const data = randomBytes(3 * MiB);
      const args = options.split(" ").filter(Boolean);
      const { server, at } = await listener(args, { stdin: data });
      await using _server = server;
      await using client = shell(
        `${unblocked("STDOUT")} sockpipe --connect "$1" ${options}`,
        [at.address],
        { heldStdout: true },
      );
      await delay(300);
      client.stdout.release();
      assertEquals([await client.code(), await server.code()], [0, 0]);
      assertEquals(client.stdout.bytes(), data);
    },
  );
}

engineTest(
  "a reader of stdout that leaves is noticed at once, while the peer is silent",
  async () => {
    const { line: pipeline, conn } = await reachedBy(
      'sockpipe --connect "$1" | head -c 4; echo " ${PIPESTATUS[*]}"',
    );
    await using _line = pipeline;
    using _conn = conn;
    await send(conn, "four");
    assertEquals((await pipeline.result()).stdout, "four 141 0\n");
  },
);

Deno.test("a reset is noticed at once, while stdin is silent and after the peer's end", async () => {
  for (const sends of [0, 5]) {
    await using peer = await resettingPeer({ sends });
    await using client = sockpipe(["--connect", `${peer.port}`], {
      stdin: "piped",
    });
    await client.stdout.atLeast(sends);
    await client.feed("a question");
    await peer.stdout.match(/ready/);
    peer.kill("SIGKILL");
    assertEquals(await client.code(), 1);
  }
});

Deno.test("success is what the peer has acknowledged, also when it ended first", async () => {
  using raw = rawListener();
  const data = randomBytes(MiB / 4);
  await using client = sockpipe(["--connect", `${raw.port}`, "-v"], {
    stdin: data,
  });
  const conn = await accept(raw);
  conn.closeWrite();
  // All of it is in the system's hands, and most of that in ours.
  await client.said(/the end of stdin|both|everything/);
  await delay(200);
  conn.close();
  assertEquals(await client.code(), 1);
  assertMatch(client.stderr.text(), /sent 262144 bytes/);
});

Deno.test("a peer that takes its time is waited for, and then all is well", async () => {
  using raw = rawListener();
  const data = randomBytes(MiB);
  await using client = sockpipe(["--connect", `${raw.port}`], { stdin: data });
  using conn = await accept(raw);
  conn.closeWrite();
  await delay(300);
  assertEquals(await receive(conn), data);
  assertEquals(await client.code(), 0);
});

testWith(
  ["script"],
  "a background job of a terminal receives, and is not stopped",
  async () => {
    using folder = new Folder();
    using raw = rawListener();
    await using terminal = shell(
      `script -qec "bash --norc --noprofile -ic 'sockpipe -q --connect $1 >$2/out & wait; echo ended \\$?'" /dev/null`,
      [raw.port, folder.path],
      { stdin: "piped" },
    );
    using conn = await accept(raw);
    await send(conn, "received");
    conn.closeWrite();
    await terminal.stdout.match(/ended 0/);
    assertEquals(await Deno.readTextFile(`${folder.path}/out`), "received");
  },
  { needsEngine: true },
);
