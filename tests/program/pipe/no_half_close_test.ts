/** `--no-half-close`: the sending side stays open until the peer has ended. */

import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { resettingPeer } from "../../helpers/peers.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import {
  accept,
  dial,
  rawListener,
  receive,
  receiveText,
  send,
} from "../../helpers/tcp.ts";

Deno.test("--no-half-close ends the sending side only after the peer's", async () => {
  using raw = rawListener();
  await using client = sockpipe(
    ["--connect", `${raw.port}`, "--no-half-close", "-v"],
    { stdin: "question" },
  );
  using conn = await accept(raw);
  assertEquals(await receiveText(conn, 8), "question");
  // It has seen the end of stdin, and an end of ours would come before this.
  await client.said(/everything from here is sent/);
  let ended = false;
  const end = receive(conn).then((rest) => {
    ended = true;
    return rest.length;
  });
  await send(conn, "answer");
  await client.stdout.match(/answer/);
  assert(!ended);
  await conn.closeWrite();
  assertEquals(await end, 0);
  assertEquals(await client.code(), 0);
});

Deno.test("--no-half-close with --keep-open holds for each client", async () => {
  const options = ["--keep-open", "--connections", "2", "--no-half-close"];
  const { server, at } = await listener([...options, "--message", "hello"]);
  await using _ = server;
  for (let i = 0; i < 2; i++) {
    using conn = await dial(at.port);
    assertEquals(await receiveText(conn, 5), "hello");
    await send(conn, "thanks");
    await server.stdout.match(new RegExp(`(thanks){${i + 1}}`));
    await conn.closeWrite();
    assertEquals((await receive(conn)).length, 0);
  }
  assertEquals(await server.code(), 0);
});

Deno.test("a connection that is cut after our half-close says what may help", async () => {
  for (const more of [[], ["--no-half-close"]]) {
    await using peer = await resettingPeer({ sends: 10 });
    const args = ["--connect", `${peer.port}`, "-v", ...more];
    await using client = sockpipe(args, { stdin: "question" });
    await client.said(/everything from here is sent/);
    await peer.stdout.match(/ready/);
    peer.kill("SIGKILL");
    assertEquals(await client.code(), 1);
    const hint = /\(some servers .*: try --no-half-close\); sent 8 bytes/;
    const said = client.stderr.text();
    if (more.length === 0) assertMatch(said, hint);
    else assertNotMatch(said, hint);
  }
});
