/** Connections that break, and how the other side learns of it. */

import { assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { MiB, randomBytes } from "../../helpers/bytes.ts";
import { resettingPeer } from "../../helpers/peers.ts";
import { shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";

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
