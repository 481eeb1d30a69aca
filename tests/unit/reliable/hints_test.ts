/** The hints that two sessions give each other. */

import { assert, assertEquals } from "@std/assert";
import { NOT_WAITED } from "../../../lib/pipe/traffic.ts";
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

Deno.test("Session tells the peer in the middle, too, at most once a second and again at the end", () => {
  const pair = new Pair();
  let stdin = 0;
  pair.connect.hints.waited = () => ({ ...NOT_WAITED, stdin });
  const toldAt = (now: number) => {
    stdin = now;
    pair.move("connect", now);
    return pair.listen.hints.peerWaited?.stdin;
  };
  assertEquals([999, 1000, 1999, 2000].map(toldAt), [
    undefined,
    1000,
    1000,
    2000,
  ]);
  pair.connect.outgoing.end();
  pair.listen.outgoing.end();
  for (const name of ["listen", "connect", "listen"] as const) {
    pair.move(name, 2001);
  }
  assertEquals(toldAt(2002), 2002);
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
