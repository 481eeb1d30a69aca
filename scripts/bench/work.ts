/**
 * Does the work of a row with one contender, once, and measures it. Everything
 * that is started ends with the run, also when it fails or takes too long.
 */

import { answers, broadcast, handshakes, idle, relay } from "./connections.ts";
import { forget, type Pass, type Place } from "./contest.ts";
import { freePort } from "./jobs.ts";
import { requests } from "./requests.ts";
import { roundTrips, start, stream } from "./streams.ts";
import type { Contender, Sample, Work } from "./row.ts";

/** The files that a run leaves behind. */
const RUN_FILES: readonly string[] = [
  "ram/arrived",
  "done",
  "gate",
  "loop",
  "up",
  "down",
  "trips",
  "requests",
  ...["listen", "connect"].flatMap((side) => [
    `${side}.arrived`,
    `${side}.said`,
    `${side}.usage`,
  ]),
];

/**
 * Does the work.
 *
 * A `verified` run has the same commands. Its data is the pattern, and what
 * arrives is hashed; its numbers mean nothing.
 *
 * @throws {Error} The contender failed, was too slow, or lost something.
 */
export async function perform(
  work: Work,
  contender: Contender,
  pass: Pass,
  place: Place,
): Promise<Sample> {
  await forget(place, RUN_FILES);
  const run = {
    contender,
    pass,
    place,
    port: freePort(),
    middle: freePort(),
  };
  switch (work.kind) {
    case "stream":
      return await stream(work, run);
    case "trips":
      return await roundTrips(work, run);
    case "start":
      return await start(work, run);
    case "relay":
      return await relay(work, run);
    case "broadcast":
      return await broadcast(work, run);
    case "answers":
      return await answers(work, run);
    case "handshakes":
      return await handshakes(work, run);
    case "requests":
      return await requests(work, run);
    case "idle":
      return await idle(work, run);
  }
}

/** Whether the timed runs of this work show themselves that everything arrives. */
export function verifiesItself(work: Work): boolean {
  return work.kind !== "relay" && work.kind !== "broadcast" &&
    (work.kind !== "stream" || work.ends === "files");
}
