/** The hints that two sessions give each other. */

import { assert, assertEquals } from "@std/assert";
import { Pair } from "../../helpers/session_pair.ts";

Deno.test("Session tells the peer before the goodbye how long it has waited", () => {
  const pair = new Pair();
  const waited = { stdin: 1, sending: 2, receiving: 3, stdout: 4 };
  pair.connect.hints.waited = () => waited;
  pair.connect.outgoing.end();
  pair.listen.outgoing.end();
  for (const name of ["connect", "listen"] as const) {
    pair.move(name);
  }
  for (const name of ["connect", "listen"] as const) pair.move(name);
  assert(pair.connect.isClosed && pair.listen.isClosed);
  assertEquals(pair.listen.hints.peerWaited, waited);
  assertEquals(pair.connect.hints.peerWaited, undefined);
});

Deno.test("Session tells the peer on each connection how long its stream will be", () => {
  const pair = new Pair();
  pair.listen.hints.size = 7;
  // It may be lost with the connection.
  assert(pair.listen.nextToSend(0) !== undefined);
  pair.reconnect();
  pair.move("listen");
  assertEquals(pair.connect.hints.peerSize, 7);
  assertEquals(pair.move("listen").length, 0);
  assertEquals(pair.listen.hints.peerSize, undefined);
});
