/** stdin for all clients of `--keep-open`, some of them slow. */

import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { MiB, randomBytes, sha256 } from "../../helpers/bytes.ts";
import { until } from "../../helpers/deadlines.ts";
import { resettingPeer } from "../../helpers/peers.ts";
import { run } from "../../helpers/process.ts";
import { listener } from "../../helpers/program.ts";
import { dial, receive, receiveText } from "../../helpers/tcp.ts";
import { dialAll, RESETTING, seen } from "../../helpers/clients.ts";

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
  using slow = await dial(at.port);
  using conns = await dialAll(at.port, 3);
  await seen(server, [slow, ...conns]);
  const data = randomBytes(24 * MiB, 6);
  const hash = await sha256(data);
  const received = conns.map((conn) => receive(conn).then(sha256));
  await server.feed(data);
  await server.endStdin();
  assertEquals(new Set(await Promise.all(received)), new Set([hash]));
  await server.said(/its queue was full for 2s \(--slow-client disconnect/);
});
