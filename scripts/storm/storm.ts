/**
 * Sessions of `--reliable` in a storm: real processes, a line between them that is
 * cut at random bytes, processes that are stopped and killed at random moments.
 * Everything random comes from a seed, so that a session can be had again, as far
 * as the system's timing lets it.
 */

import type { Transport } from "./plan.ts";
import { playSession, type SessionReport, Shelter } from "./session.ts";

/** The settings of a storm. */
export interface Forecast {
  readonly seed: number;
  /** It goes on until there were so many cuts. */
  readonly cuts: number;
  /** The number of sessions at a time. */
  readonly jobs: number;
  /** The transports of connections; all that there are, when absent. */
  readonly transports?: readonly Transport[] | undefined;
  /** Its abort begins no further session. */
  readonly signal?: AbortSignal;
  /** Called after each session. */
  readonly onSession?: (session: SessionReport, all: StormReport) => void;
}

/** The sum of all sessions. */
export interface StormReport {
  sessions: number;
  cuts: number;
  connections: number;
  stops: number;
  kills: number;
  bytes: number;
  readonly faulty: SessionReport[];
}

/** Raises a storm. Its sessions have the seeds from `seed` on. */
export async function storm(forecast: Forecast): Promise<StormReport> {
  const { seed, cuts, jobs, onSession, signal } = forecast;
  const all: StormReport = {
    sessions: 0,
    cuts: 0,
    connections: 0,
    stops: 0,
    kills: 0,
    bytes: 0,
    faulty: [],
  };
  let next = seed;
  using shelter = await Shelter.make(forecast.transports);
  const work = async () => {
    while (all.cuts < cuts && !signal?.aborted) {
      const session = await playSession(next++, shelter);
      all.sessions++;
      all.cuts += session.cuts;
      all.connections += session.connections;
      all.stops += session.stops;
      all.kills += session.killed ? 1 : 0;
      all.bytes += session.bytes;
      if (session.faults.length > 0) all.faulty.push(session);
      onSession?.(session, all);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return all;
}

/** Plays a single session, that of a seed. */
export async function stormSession(
  seed: number,
  transports?: readonly Transport[],
): Promise<SessionReport> {
  using shelter = await Shelter.make(transports);
  return await playSession(seed, shelter);
}
