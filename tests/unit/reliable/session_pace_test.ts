/** Unit tests of a session: when it acknowledges, is silent, waits, and sends again. */

import { assert, assertEquals } from "@std/assert";
import { concat } from "../../helpers/bytes.ts";
import { HEADER_BYTES } from "../../../lib/reliable/wire.ts";
import {
  connectSession,
  deliverAll,
  Pair,
  receive,
} from "../../helpers/session_pair.ts";

const HI = new TextEncoder().encode("hi");

Deno.test("Session acknowledges after a quarter of the window, or a while", () => {
  const pair = new Pair({ window: 400_000 });
  pair.connect.outgoing.accept(new Uint8Array(300_000));
  pair.move("connect");
  const quarter = Math.floor(400_024 / 4);
  pair.listen.incoming.delivered(quarter - 1, 50);
  assertEquals(pair.listen.nextToSend(50), undefined);
  assertEquals(pair.listen.wakeAt, 150);
  pair.listen.incoming.delivered(1, 60);
  assertEquals(pair.listen.wakeAt, 60);
  pair.move("listen", 60);
  assertEquals(pair.connect.outgoing.confirmedBytes, quarter);
  pair.listen.incoming.delivered(1, 70);
  assertEquals(pair.listen.nextToSend(169), undefined);
  pair.move("listen", 170);
  assertEquals(pair.connect.outgoing.confirmedBytes, quarter + 1);
});

Deno.test("Session repeats the acknowledgement that was lost with its connection", () => {
  const pair = new Pair();
  pair.connect.outgoing.accept(HI);
  pair.move("connect");
  deliverAll(pair.listen);
  pair.listen.nextToSend(0);
  assertEquals(pair.connect.outgoing.confirmedBytes, 0);
  pair.reconnect();
  pair.move("listen");
  assertEquals(pair.connect.outgoing.confirmedBytes, 2);
});

Deno.test("Session sends a heartbeat in a third of the peer's patience", () => {
  const pair = new Pair();
  assertEquals(pair.connect.wakeAt, 5000);
  assertEquals(pair.connect.nextToSend(4999), undefined);
  assertEquals(pair.move("connect", 5000).length, HEADER_BYTES);
  assertEquals(pair.connect.wakeAt, 10_000);
  assert(!pair.listen.isSilent(19_999));
  assert(pair.listen.isSilent(20_000));
  assert(pair.connect.isSilent(15_000));
});

Deno.test("Session waits for ever when it is told to be patient", () => {
  const pair = new Pair({ patienceMs: 0 });
  assertEquals(pair.connect.wakeAt, Infinity);
  assert(!pair.connect.isSilent(1e12));
});

Deno.test("Session takes nothing from stdin before it has begun or while the window is full", () => {
  const session = connectSession();
  assertEquals([session.outgoing.reserve(), session.outgoing.accept(HI)], [
    undefined,
    0,
  ]);
  const pair = new Pair({ window: 100 });
  assertEquals(pair.connect.outgoing.accept(new Uint8Array(1000)), 100);
  assertEquals(pair.connect.outgoing.reserve(), undefined);
  pair.move("connect");
  assertEquals(pair.connect.outgoing.reserve(), undefined);
  deliverAll(pair.listen);
  pair.move("listen");
  assertEquals(pair.connect.outgoing.reserve()?.length, 100);
});

Deno.test("Session sends again from where the peer is, in the same frames", () => {
  const pair = new Pair();
  pair.connect.outgoing.accept(new Uint8Array(30));
  pair.connect.outgoing.accept(new Uint8Array(40));
  pair.connect.outgoing.accept(new Uint8Array(50));
  const all = pair.connect.nextToSend(0)?.slice() ?? new Uint8Array();
  receive(pair.listen, all.subarray(0, 74));
  pair.reconnect();
  assertEquals(pair.move("connect"), all.subarray(HEADER_BYTES + 30));
  assertEquals(deliverAll(pair.listen), new Uint8Array(120));
});

Deno.test("Session hands out many small frames as one piece, and joins them for stdout", () => {
  const pair = new Pair();
  const lines = ["one\n", "two\n", "three\n"].map((line) =>
    new TextEncoder().encode(line)
  );
  for (const line of lines) pair.connect.outgoing.accept(line);
  const bytes = pair.connect.nextToSend(0);
  assertEquals(bytes?.length, 3 * HEADER_BYTES + 14);
  receive(pair.listen, bytes ?? new Uint8Array());
  assertEquals(pair.listen.incoming.toDeliver(), concat(lines));
});
