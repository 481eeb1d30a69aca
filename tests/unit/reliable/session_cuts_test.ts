/** Sessions in the simulated world: cut, or with a side that dies, at every byte. */

import { assert, assertEquals } from "@std/assert";
import { TimeLimitError } from "../../../lib/base/errors.ts";
import { HEADER_BYTES } from "../../../lib/reliable/wire.ts";
import type { Cut, Plan, SideName } from "../../helpers/simulation/plan.ts";
import { SOAK } from "../../helpers/conditions.ts";
import {
  assertAllDone,
  assertHonest,
  check,
  holding,
  SHAPES,
  side,
  SIDES,
} from "../../helpers/session_plans.ts";

const CUTS: readonly Cut[] = [
  { flush: false, silent: false },
  { flush: true, silent: false },
  { flush: false, silent: true },
];

/** How a byte is cut: in all ways in `task soak`, else in one of them. */
function cutsAt(at: number): readonly Cut[] {
  return SOAK ? CUTS : CUTS.slice(at % CUTS.length).slice(0, 1);
}

/** Every byte of every direction of a plan, as it goes without incidents. */
function* everyByte(
  plan: Plan,
): Generator<{ to: SideName; at: number }> {
  const { passed } = check(plan, assertAllDone);
  for (const to of SIDES) {
    for (let at = 0; at <= passed[to]; at++) yield { to, at };
  }
}

for (const [shape, sides] of Object.entries(SHAPES)) {
  Deno.test(`Session of ${shape} survives a cut at every byte`, () => {
    for (let seed = 1; seed <= (SOAK ? 4 : 1); seed++) {
      for (const place of everyByte({ seed, ...sides })) {
        for (const cut of cutsAt(place.at)) {
          const incidents = [{ ...place, ...cut }];
          check({ seed, ...sides, incidents }, assertAllDone);
        }
      }
    }
  });

  Deno.test(`Session of ${shape} tells the truth when a side dies at any byte`, () => {
    let died = 0;
    let ended = 0;
    for (const place of everyByte({ seed: 1, ...sides })) {
      for (const kill of SIDES) {
        const flush = place.at % 2 === 0;
        const incidents = [{ ...place, kill, flush, silent: false }];
        const outcome = check({ seed: 1, ...sides, incidents }, assertHonest);
        outcome[kill].exit === undefined ? died++ : ended++;
      }
    }
    // A side may have ended while its goodbye is still under way.
    const unconfirmed = 2 * (HEADER_BYTES + 1);
    assert(died > 200 && ended <= unconfirmed, `${died} died, ${ended} ended`);
  });
}

/** Sessions of which an earlier run has left something, right or wrong. */
const HELD_SHAPES: Record<string, Omit<Plan, "seed">> = {
  "of which a part is held": holding(60, 40),
  "of which all is held": holding(60, 60),
  "of which something else is held": holding(60, 40, 0),
  "of which more is held than there is": holding(60, 80, 60),
  "of which all is held by a receiver that only receives": {
    connect: side(50, { receiveOnly: false }),
    listen: side(0, { receiveOnly: true, held: side(50).stdin }),
    resumesFiles: true,
    digest: true,
  },
};

for (const [shape, plan] of Object.entries(HELD_SHAPES)) {
  Deno.test(`Session ${shape} survives a cut at every byte`, () => {
    for (const place of everyByte({ ...plan, seed: 1 })) {
      for (const cut of cutsAt(place.at)) {
        const incidents = [{ ...place, ...cut }];
        check({ ...plan, seed: place.at, incidents }, assertAllDone);
      }
    }
  });
}

Deno.test("Session ends with 5 when the outage is longer than the resume timeout", () => {
  const outage = { flush: false, silent: false, outageMs: 70_000 };
  const outcome = check({
    seed: 1,
    connect: side(500),
    listen: side(500),
    incidents: [{ to: "listen", at: 300, ...outage }],
  }, assertHonest);
  assertEquals([outcome.connect.exit, outcome.listen.exit], [5, 5]);
  const { error } = outcome.listen;
  assert(error instanceof TimeLimitError);
  assertEquals(
    error.message.replaceAll(/\d+ /g, "N "),
    "Cannot resume the session: no connection for 1m (--resume-timeout); " +
      "N of N bytes sent are confirmed, N bytes received",
  );
});
