/** Traffic of `--reliable` that is recorded, mutated, forged, and played to a side. */

import { assert, assertEquals } from "@std/assert";
import { DamagedError, SockpipeError } from "../../lib/base/errors.ts";
import type { Session } from "../../lib/reliable/session.ts";
import { HEADER_BYTES } from "../../lib/reliable/wire.ts";
import { concat } from "./bytes.ts";
import { mutate, reseal } from "./mutations.ts";
import { drawBytes, seeded } from "./seeded.ts";
import type { SideName } from "./simulation/plan.ts";
import { deliverAll, Pair, receive } from "./session_pair.ts";
import { otherOf, SIDES } from "./session_plans.ts";

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

const traffic = recordTraffic().connect;

/** What came out of the traffic as it was recorded. */
export const truth = feed(replayTarget(), traffic, seeded(0));

/** How a session took what it was played: as it came, as damage, as the end. */
export type Taken = "taken" | "damage" | "ended by the peer";

/**
 * Plays what the seed makes of the traffic.
 *
 * @throws {AssertionError} Something came out that was not sent, or an error that
 * must not be.
 */
export function playDamaged(seed: number): Taken {
  const random = seeded(seed);
  const isForged = random() < 0.5;
  const bytes = isForged ? reseal(traffic, random) : mutate(traffic, random);
  const session = replayTarget();
  const { stdout, error } = feed(session, bytes, random);
  assertEquals(stdout, truth.stdout.subarray(0, stdout.length));
  if (session.isDelivered) assertEquals(stdout.length, truth.stdout.length);
  if (error === undefined) return "taken";
  if (error instanceof DamagedError) return "damage";
  // A forged frame may be an ABORT; what is done is only disconnected.
  assert(isForged || session.isDelivered, `${error}`);
  assert(error instanceof SockpipeError, `${error}`);
  return "ended by the peer";
}
