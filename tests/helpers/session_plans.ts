/** Plans of sessions in the simulated world, and what must hold for all of them. */

import { assertEquals } from "@std/assert";
import { drawBytes, seeded } from "./seeded.ts";
import type { Outcome, Plan, SideName, SidePlan } from "./simulation/plan.ts";
import { play } from "./simulation/world.ts";
import { SOAK } from "./conditions.ts";

/** In `task soak`, forty times as much of everything random is done. */
export const EFFORT = SOAK ? 20 : 0.5;

export const SIDES = ["connect", "listen"] as const;

export function otherOf(name: SideName): SideName {
  return name === "connect" ? "listen" : "connect";
}

/**
 * What must hold however a run ends: stdout has nothing but the beginning of what
 * the other side sent, and 0 is the truth about both streams.
 */
export function assertHonest(plan: Plan, outcome: Outcome): void {
  for (const name of SIDES) {
    const { stdout } = outcome[name];
    const sent = plan[otherOf(name)].stdin;
    assertEquals(stdout, sent.subarray(0, stdout.length));
    if (outcome[name].exit !== 0) continue;
    for (const side of SIDES) {
      const all = plan[otherOf(side)].stdin.length;
      assertEquals(outcome[side].stdout.length, all, `${name} ends with 0`);
    }
  }
}

export function assertAllDone(plan: Plan, outcome: Outcome): void {
  const exits = SIDES.map((name) => outcome[name].exit);
  const errors = SIDES.map((name) => String(outcome[name].error)).join(", ");
  assertEquals(exits, [0, 0], errors);
  assertHonest(plan, outcome);
}

/** Plays it, and says which plan it was when something is wrong. */
export function check(
  plan: Plan,
  assertion: (plan: Plan, outcome: Outcome) => void,
): Outcome {
  try {
    const outcome = play(plan);
    assertion(plan, outcome);
    return outcome;
  } catch (error) {
    const json = JSON.stringify(
      plan,
      (_key, value) => value instanceof Uint8Array ? value.length : value,
    );
    throw new Error(`With ${json}: ${error}`, { cause: error });
  }
}

export function side(
  length: number,
  { window = 1000, dataSize = 100, ...more }: Partial<SidePlan> = {},
): SidePlan {
  const stdin = drawBytes(length, seeded(length));
  return { stdin, window, dataSize, ...more };
}

/** Small sessions of every kind; each is cut at every byte. */
export const SHAPES: Record<string, Omit<Plan, "seed">> = {
  "both ways at once": { connect: side(60), listen: side(45) },
  "with a digest": { connect: side(33), listen: side(7), digest: true },
  "one way from the connecting side": {
    connect: side(70),
    listen: side(0, { receiveOnly: true }),
  },
  "one way from the listening side": {
    connect: side(0, { receiveOnly: true }),
    listen: side(70),
  },
  "with a token": {
    connect: side(9),
    listen: side(6),
    token: drawBytes(16, seeded(9)),
  },
  "two empty streams": { connect: side(0), listen: side(0) },
  "a window of 1 byte": {
    connect: side(5, { window: 1 }),
    listen: side(4, { window: 1 }),
  },
  "windows of 7 and 50 bytes, DATA_SIZE 1": {
    connect: side(5, { window: 7, dataSize: 1 }),
    listen: side(6, { window: 50, dataSize: 1 }),
  },
};

/** @param right How much of what is held, `held` bytes, is right. */
export function holding(length: number, held: number, right = held): Plan {
  const both = side(length);
  const bytes = drawBytes(held, seeded(99));
  bytes.set(both.stdin.subarray(0, Math.min(right, held)));
  return {
    seed: 1,
    connect: { ...both, held: bytes },
    listen: { ...both, held: bytes },
    resumesFiles: true,
    digest: true,
  };
}
