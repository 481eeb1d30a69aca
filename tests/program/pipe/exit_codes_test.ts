/** Exit codes of a run that has had its peer: 0, 1, 8 and 141. */

import { assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { engineTest, testWith } from "../../helpers/conditions.ts";
import { resettingPeer } from "../../helpers/peers.ts";
import { shell } from "../../helpers/process.ts";
import { listener, reachedBy, sockpipe } from "../../helpers/program.ts";
import {
  accept,
  rawListener,
  receive,
  receiveText,
  send,
} from "../../helpers/tcp.ts";
import { assertFails } from "../../helpers/failures.ts";

Deno.test("exit 0 on both sides when both streams arrived and ended", async () => {
  const { server, at } = await listener([], { stdin: "from the listener\n" });
  await using _server = server;
  await using client = sockpipe(["--connect", at.address], {
    stdin: "from the connector\n",
  });
  assertEquals(await client.result(), {
    code: 0,
    stdout: "from the listener\n",
    stderr: "",
  });
  const result = await server.result();
  assertEquals([result.code, result.stdout], [0, "from the connector\n"]);
});

Deno.test("exit 0 when nothing was sent either way", async () => {
  const { server, at } = await listener();
  await using _server = server;
  await using client = sockpipe(["--connect", at.address]);
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals([client.stdout.length, server.stdout.length], [0, 0]);
});

Deno.test("exit 0 for --probe, which says who is there, sends nothing and leaves stdin alone", async () => {
  using raw = rawListener();
  await using probe = shell(
    'sockpipe --connect "$1" --probe; echo "$?"; cat',
    [raw.port],
    { stdin: "for the next command\n" },
  );
  using conn = await accept(raw);
  assertEquals((await receive(conn)).length, 0);
  const result = await probe.result();
  assertEquals(result.stdout, "0\nfor the next command\n");
  assertMatch(result.stderr, RegExp(`^sockpipe: .*127.0.0.1:${raw.port}.*\n$`));
});

Deno.test("exit 1 when the peer resets the connection, with the bytes that were sent and received", async () => {
  await using peer = await resettingPeer({ sends: 1 << 20 });
  await using client = sockpipe(["--connect", `${peer.port}`], {
    stdin: "piped",
  });
  await client.stdout.atLeast(1 << 20);
  await client.feed("a question");
  await peer.stdout.match(/ready/);
  peer.kill("SIGKILL");
  await assertFails(client, 1, /reset.*\b10 bytes\b.*\b1048576 bytes\b/);
  assertEquals(client.stdout.length, 1 << 20);
});

Deno.test("exit 1 of a listener whose client resets the connection", async () => {
  const { server, at } = await listener([], { stdin: "a greeting" });
  await using _server = server;
  await using peer = await resettingPeer({ sends: 5, dialing: at.port });
  await server.stdout.atLeast(5);
  await peer.stdout.match(/ready/);
  peer.kill("SIGKILL");
  await assertFails(server, 1, /reset.*\b10 bytes\b.*\b5 bytes\b/);
});

Deno.test("exit 1 when the peer closes after taking only a part", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: new Uint8Array(64 << 20),
  });
  const conn = await accept(raw);
  await receive(conn, 1 << 20);
  conn.close();
  await assertFails(client, 1, /sent \d+ bytes|\d+ bytes sent/);
});

Deno.test("exit 1 when the peer is gone and more comes from stdin later", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: "piped",
  });
  const conn = await accept(raw);
  await client.feed("first");
  assertEquals(await receiveText(conn, 5), "first");
  conn.close();
  await client.stdout.ended;
  // The first write after the close is answered with a reset, the next one fails.
  const feeding = (async () => {
    for (;;) {
      await client.feed("more");
      await delay(50);
    }
  })().catch(() => {});
  await assertFails(client, 1, /./);
  await feeding;
});

Deno.test("exit 1 when the peer is gone and the very last bytes come from stdin", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: "piped",
  });
  const conn = await accept(raw);
  await client.feed("first");
  assertEquals(await receiveText(conn, 5), "first");
  conn.close();
  await client.stdout.ended;
  await client.feed("last");
  await client.endStdin();
  await assertFails(client, 1, /\b9 bytes\b/);
});

Deno.test("exit 1 when the peer resets after our end, with our last bytes unread", async () => {
  await using peer = await resettingPeer({ sends: 0 });
  await using client = sockpipe(["--connect", `${peer.port}`, "-v"], {
    stdin: "a question",
  });
  await peer.stdout.match(/ready/);
  await client.said(/waiting for the peer/);
  peer.kill("SIGKILL");
  await assertFails(client, 1, /reset/);
});

testWith(
  ["/dev/full"],
  "exit 8 when stdout cannot be written, at once",
  async () => {
    using raw = rawListener();
    await using client = sockpipe(["--connect", `${raw.port}`], {
      stdin: "piped",
      redirect: ">/dev/full",
    });
    using conn = await accept(raw);
    await send(conn, "no room for this");
    await assertFails(client, 8, /stdout.*no space left/i);
  },
);

testWith(
  ["/dev/full"],
  "exit 8 of a listener whose stdout cannot be written",
  async () => {
    const { server, at } = await listener([], { redirect: ">/dev/full" });
    await using _server = server;
    await using client = sockpipe(["--connect", at.address], { stdin: "data" });
    await assertFails(server, 8, /stdout.*no space left/i);
    await client.code();
  },
);

Deno.test("exit 8 when stdin cannot be read", async () => {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    redirect: "</",
  });
  await assertFails(client, 8, /stdin.*directory/i);
});

Deno.test("exit 141 without a word when the reader of stdout has gone", async () => {
  const { line: pipeline, conn } = await reachedBy(
    'sockpipe --connect "$1" | head -c 10; echo " ${PIPESTATUS[*]}"',
  );
  await using _line = pipeline;
  using _conn = conn;
  const sending = (async () => {
    for (;;) await send(conn, "0123456789");
  })().catch(() => "closed");
  assertEquals(await pipeline.result(), {
    code: 0,
    stdout: "0123456789 141 0\n",
    stderr: "",
  });
  assertEquals(await sending, "closed");
});

for (const peerLeaves of [true, false]) {
  const outcome = peerLeaves
    ? "0 when the peer ends, too"
    : "141 when it stays";
  engineTest(
    `a reader that leaves with all that has come is exit ${outcome}`,
    async () => {
      using raw = rawListener();
      await using pipeline = shell(
        `sockpipe --connect "$1" < /dev/null | { head -c 5; exec >&-; echo left >&2; }
      echo " \${PIPESTATUS[*]}"`,
        [raw.port],
      );
      using conn = await accept(raw);
      await send(conn, "whole");
      await pipeline.said(/left/);
      if (peerLeaves) await conn.closeWrite();
      assertEquals(
        (await pipeline.result()).stdout,
        `whole ${peerLeaves ? 0 : 141} 0\n`,
      );
    },
  );
}
