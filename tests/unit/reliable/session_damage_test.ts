/** Traffic that is recorded, mutated and forged. */

import { assert, assertEquals } from "@std/assert";
import { SockpipeError } from "../../../lib/base/errors.ts";
import { PrefaceReader, sealPreface } from "../../../lib/reliable/preface.ts";
import type { Session } from "../../../lib/reliable/session.ts";
import { SOAK } from "../../helpers/conditions.ts";
import { mutate } from "../../helpers/mutations.ts";
import { playDamaged, truth } from "../../helpers/session_damage.ts";
import { seeded } from "../../helpers/seeded.ts";
import { Pair } from "../../helpers/session_pair.ts";
import { EFFORT } from "../../helpers/session_plans.ts";

Deno.test("Session takes recorded traffic, and nothing else: mutated and forged traffic is damage", () => {
  assertEquals([truth.stdout.length, truth.error], [306, undefined]);
  const last = SOAK ? 500_000 : 3000;
  let damage = 0;
  for (let seed = 1; seed <= last; seed++) {
    if (playDamaged(seed) !== "taken") damage++;
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
