/** Sessions in the simulated world: whatever comes by chance. */

import { assert, assertEquals } from "@std/assert";
import { drawBytes, seeded } from "../../helpers/seeded.ts";
import type {
  Incident,
  Plan,
  SidePlan,
} from "../../helpers/simulation/plan.ts";
import {
  assertAllDone,
  assertHonest,
  check,
  EFFORT,
  SHAPES,
  side,
  SIDES,
} from "../../helpers/session_plans.ts";

function randomSide(random: () => number): SidePlan {
  const window = 1 + Math.floor(random() * 2 ** (random() * 12));
  const length = Math.floor(random() * 2 ** (random() * 11)) - 1;
  return side(Math.max(0, Math.min(length, 30 * window)), {
    window,
    dataSize: 1 + Math.floor(random() * 2 ** (random() * 11)),
  });
}

function randomIncident(random: () => number): Incident {
  return {
    to: random() < 0.5 ? "connect" : "listen",
    at: Math.floor(random() * 2 ** (random() * 11)),
    flush: random() < 0.5,
    silent: random() < 0.2,
    outageMs: random() < 0.2 ? random() * 30_000 : 0,
  };
}

function randomPlan(seed: number): Plan {
  const random = seeded(seed);
  return {
    seed,
    connect: randomSide(random),
    listen: randomSide(random),
    digest: random() < 0.3,
    ...(random() < 0.3 ? { token: drawBytes(20, random) } : {}),
    // Incidents may follow each other for longer than a minute.
    resumeTimeoutMs: 3_600_000,
    intruders: random() < 0.2 ? 20 : 0,
    incidents: Array.from(
      { length: Math.floor(random() * 12) },
      () => randomIncident(random),
    ),
  };
}

Deno.test("Session ends with equal streams whatever cuts, delays and intruders come", () => {
  let connections = 0;
  for (let seed = 1; seed <= 400 * EFFORT; seed++) {
    connections += check(randomPlan(seed), assertAllDone).connections;
  }
  // Otherwise the incidents do not happen, and nothing was tested.
  assert(connections > 1000 * EFFORT, `${connections} connections`);
});

Deno.test("Session never ends with a wrong 0 when sides die and disks are full", () => {
  const exits = new Set<number | undefined>();
  for (let seed = 1; seed <= 400 * EFFORT; seed++) {
    const random = seeded(-seed);
    const plan = randomPlan(seed);
    const kill = random() < 0.5 ? "connect" : "listen";
    const fatal = { ...randomIncident(random), kill } as const;
    const fails = random() < 0.3;
    const outcome = check({
      ...plan,
      incidents: [...plan.incidents ?? [], ...fails ? [] : [fatal]],
      connect: fails
        ? { ...plan.connect, stdoutFailsAt: random() * 100 }
        : plan.connect,
    }, assertHonest);
    exits.add(outcome.connect.exit).add(outcome.listen.exit);
  }
  assertEquals(exits, new Set([undefined, 0, 1, 5, 8]));
});

Deno.test("Session lets one direction go on while the other one's stdout stalls", () => {
  for (const stalled of SIDES) {
    const plan = {
      seed: 3,
      connect: side(50_000, { window: 500 }),
      listen: side(50_000, { window: 700 }),
    };
    const stalls = { ...plan[stalled], stalls: true };
    check({ ...plan, [stalled]: stalls }, assertAllDone);
  }
});

Deno.test("Session needs no waiting where nothing breaks", () => {
  for (const sides of Object.values(SHAPES)) {
    const outcome = check({ seed: 5, ...sides }, assertAllDone);
    assertEquals([outcome.connections, outcome.elapsedMs], [1, 0]);
  }
});
