/** Traffic that is recorded, mutated and forged. */

import { assert, assertEquals } from "@std/assert";
import { concat } from "../../helpers/bytes.ts";
import { DamagedError, SockpipeError } from "../../../lib/base/errors.ts";
import { crc32 } from "../../../lib/reliable/crc32.ts";
import { PrefaceReader, sealPreface } from "../../../lib/reliable/preface.ts";
import { HEADER_BYTES } from "../../../lib/reliable/wire.ts";
import type { Session } from "../../../lib/reliable/session.ts";
import { drawBytes, seeded } from "../../helpers/seeded.ts";
import type { SideName } from "../../helpers/simulation/plan.ts";
import { SOAK } from "../../helpers/conditions.ts";
import { frameStarts } from "../../helpers/frames.ts";
import { EFFORT, otherOf, SIDES } from "../../helpers/session_plans.ts";
import { deliverAll, Pair, receive } from "../../helpers/session_pair.ts";

/** The bytes of a real session, of each direction, after the prefaces. */
function recordTraffic(): Record<SideName, Uint8Array> {
  const pair = new Pair({ digest: true });
  const random = seeded(1);
  const sent: Record<SideName, Uint8Array[]> = { connect: [], listen: [] };
  for (let round = 0; round < 6; round++) {
    for (const name of SIDES) {
      pair[name].outgoing.accept(drawBytes(1 + round * 20, random));
      if (round === 5) pair[name].outgoing.end();
      sent[name].push(pair.move(name, round * 200));
      deliverAll(pair[otherOf(name)], round * 200);
    }
  }
  for (const name of [...SIDES, ...SIDES]) sent[name].push(pair.move(name));
  assert(pair.connect.isClosed && pair.listen.isClosed);
  return { connect: concat(sent.connect), listen: concat(sent.listen) };
}

/** One thing that can go wrong with bytes on their way. */
function mutate(bytes: Uint8Array, random: () => number): Uint8Array {
  const at = Math.floor(random() * bytes.length);
  const length = 1 + Math.floor(random() * 40);
  const before = bytes.subarray(0, at);
  const after = bytes.subarray(at);
  const changed = bytes.slice();
  changed[at] = (changed[at] ?? 0) ^ (1 + Math.floor(random() * 255));
  const mutants = [
    () => changed,
    () => concat([before, bytes.subarray(at + length)]),
    () => concat([before, drawBytes(length, random), after]),
    () => concat([before, bytes.subarray(at, at + length), after]),
  ];
  return mutants[Math.floor(random() * mutants.length)]?.() ?? bytes;
}

/** Changes one header, and makes its checksum match again. */
function forge(bytes: Uint8Array, random: () => number): Uint8Array {
  const starts = [...frameStarts(bytes)];
  const at = starts[Math.floor(random() * starts.length)] ?? 0;
  const changed = bytes.slice();
  changed[at + Math.floor(random() * 16)] = random() * 256;
  const sum = crc32(changed.subarray(at, at + 16));
  new DataView(changed.buffer).setUint32(at + 16, sum);
  return changed;
}

/** A side that has sent all it has, to which the recorded traffic makes sense. */
function replayTarget(): Session {
  const { listen } = new Pair({ digest: true });
  const random = seeded(1);
  for (let round = 0; round < 6; round++) {
    drawBytes(1 + round * 20, random);
    listen.outgoing.accept(drawBytes(1 + round * 20, random));
  }
  listen.outgoing.end();
  while (listen.nextToSend(0));
  return listen;
}

/** Feeds it in random portions, and returns what came out. */
function feed(
  session: Session,
  bytes: Uint8Array,
  random: () => number,
): { stdout: Uint8Array; error: unknown } {
  const stdout: Uint8Array[] = [];
  let error: unknown;
  try {
    // A real peer says goodbye, its last frame, only after an answer.
    const last = Math.max(0, bytes.length - HEADER_BYTES);
    for (let taken = 0; taken < bytes.length;) {
      const most = taken < last ? last - taken : HEADER_BYTES;
      const n = Math.min(1 + Math.floor(random() * 300), most);
      receive(session, bytes.subarray(taken, taken + n));
      taken += n;
      stdout.push(deliverAll(session));
      while (session.nextToSend(0));
    }
  } catch (thrown) {
    error = thrown;
  }
  stdout.push(deliverAll(session));
  return { stdout: concat(stdout), error };
}

Deno.test("Session takes recorded traffic, and nothing else: mutated and forged traffic is damage", () => {
  const traffic = recordTraffic().connect;
  const truth = feed(replayTarget(), traffic, seeded(0));
  assertEquals([truth.stdout.length, truth.error], [306, undefined]);
  const last = SOAK ? 500_000 : 3000;
  let damage = 0;
  for (let seed = 1; seed <= last; seed++) {
    const random = seeded(seed);
    const forged = random() < 0.5;
    const bytes = forged ? forge(traffic, random) : mutate(traffic, random);
    const session = replayTarget();
    const { stdout, error } = feed(session, bytes, random);
    assertEquals(stdout, truth.stdout.subarray(0, stdout.length));
    if (error !== undefined && !(error instanceof DamagedError)) {
      // A forged frame may be an ABORT; what is done is only disconnected.
      assert(forged || session.isDelivered, `${error}`);
      assert(error instanceof SockpipeError, `${error}`);
    }
    if (session.isDelivered) assertEquals(stdout.length, truth.stdout.length);
    if (error !== undefined) damage++;
  }
  assert(damage > 50, `${damage} were found to be damaged`);
});

Deno.test("Session takes a mutated preface for damage, a stranger's or its peer's", () => {
  const outcomes: Record<string, number> = {};
  for (let seed = 1; seed <= 3000 * EFFORT; seed++) {
    const random = seeded(seed);
    const { connect, listen } = new Pair();
    connect.lost(0);
    const session = random() < 0.5 ? connect : listen;
    const other = session === connect ? listen : connect;
    const bytes = mutate(other.preface(), random);
    if (random() < 0.5 && bytes.length >= 4) sealPreface(bytes);
    const outcome = meet(session, bytes);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }
  assertEquals(Object.keys(outcomes).sort(), [
    "damage",
    "refused",
    "taken",
    "waits",
  ]);
});

/** What a side does with a preface. @throws What it must not throw. */
function meet(session: Session, bytes: Uint8Array): string {
  const reader = new PrefaceReader();
  try {
    for (let at = 0; at < bytes.length;) {
      const room = reader.room();
      const part = bytes.subarray(at, at + room.length);
      room.set(part);
      at += part.length;
      const preface = reader.filled(part.length);
      if (preface === undefined) continue;
      if (session.handshake.refusal(preface) !== undefined) return "refused";
      session.attach(preface, 0);
      return "taken";
    }
    return "waits";
  } catch (error) {
    if (error instanceof SockpipeError) return "damage";
    throw error;
  }
}
