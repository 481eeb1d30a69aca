/** The plan of a session of a storm, all of it out of one seeded generator. */

import { MiB, randomBytes } from "../../tests/helpers/bytes.ts";
import { type Fate, NONE } from "../../tests/helpers/proxy.ts";

/** After more cuts than this, a session may go on in peace. */
const MOST_CUTS = 60;

/** The most connections of a session that fall silent. */
const MOST_SILENCES = 4;

/** The transports of connections; `secret` where the program has secrets. */
export const TRANSPORTS = ["tcp", "unix", "tls", "secret"] as const;
/** The transport of the connections. */
export type Transport = typeof TRANSPORTS[number];

const WINDOWS = [1, 7, 1000, 65_536, MiB, 8 * MiB];
const CUTS = ["reset", "end", "half", "stall", "silence"] as const;
/** The frequency of each of them; silence is slow. */
const WEIGHTS = [8, 6, 3, 2, 1];

/** The options of one side. */
export interface SidePlan {
  readonly bytes: Uint8Array;
  readonly window: number;
  /** Whether poll(2) moves the bytes of stdin and stdout. */
  readonly engine: boolean;
  readonly dataSize: number;
}

/** The course of a session. */
export interface Plan {
  readonly transport: Transport;
  readonly listen: SidePlan;
  readonly connect: SidePlan;
  /** Bytes between two cuts of a connection, in the mean. */
  readonly meanBytes: number;
  readonly mostCuts: number;
  /** Pauses before each stop, and how long each takes, in ms. */
  readonly stops:
    readonly (readonly [side: SideName, after: number, ms: number])[];
  readonly kill:
    | { readonly side: SideName; readonly afterMs: number }
    | undefined;
}

/** One of the two processes. */
export type SideName = "listen" | "connect";

/** Plans a session. */
export function planSession(
  random: () => number,
  transports: readonly Transport[],
): Plan {
  const pick = <T>(choices: readonly [T, ...T[]] | readonly T[]): T =>
    choices[Math.floor(random() * choices.length)] as T;
  const transport = pick(transports);
  const windows = [pick(WINDOWS), pick(WINDOWS)] as const;
  // The smaller window holds for both directions, and each costs a trip.
  const most = Math.min(3 * MiB, 1000 * Math.min(...windows));
  const side = (window: number): SidePlan => ({
    // Nothing at all is a case, too.
    bytes: randomBytes(
      random() < 0.1 ? 0 : Math.ceil(random() * most),
      1 + Math.floor(random() * 2 ** 31),
    ),
    window,
    engine: random() < 0.7,
    dataSize: pick([1000, 65_536, MiB]),
  });
  const [listen, connect] = [side(windows[0]), side(windows[1])];
  const mostCuts = 1 + Math.floor(random() * MOST_CUTS);
  const total = listen.bytes.length + connect.bytes.length + 500;
  const sides = ["listen", "connect"] as const;
  const stops = random() < 0.3
    ? Array.from(
      { length: Math.ceil(random() * 4) },
      () => [pick(sides), random() * 400, random() * 400] as const,
    )
    : [];
  const kill = random() < 0.15
    ? { side: pick(sides), afterMs: random() * 1000 }
    : undefined;
  return {
    transport,
    listen,
    connect,
    meanBytes: total / mostCuts,
    mostCuts,
    stops,
    kill,
  };
}

/** A plan in words. */
export function describe(
  { transport, listen, connect, stops, kill }: Plan,
): string {
  const side = (
    name: SideName,
    { bytes, window, engine, dataSize }: SidePlan,
  ) =>
    `${name} ${bytes.length} bytes, window ${window}, engine ${
      engine ? "on" : "off"
    }, data size ${dataSize}`;
  return [
    transport,
    side("listen", listen),
    side("connect", connect),
    `${stops.length} stops`,
    ...kill === undefined
      ? []
      : [`${kill.side} killed after ${Math.round(kill.afterMs)} ms`],
  ].join("; ");
}

/** Draws the fate of each connection. */
export function fates(
  { meanBytes, mostCuts, kill }: Plan,
  random: () => number,
): () => Fate {
  let cuts = 0;
  let silences = 0;
  return (): Fate => {
    if (cuts++ >= mostCuts) return NONE;
    let kind = weighted(random);
    const isSilent = kind === "silence" || kind === "half";
    // In the greeting each takes 10 s: with a kill longer than --resume-timeout,
    // else when there are more in a row.
    const most = kill === undefined ? MOST_SILENCES : 0;
    if (isSilent && ++silences > most) kind = "reset";
    // Now and then in the greeting; else as independent events are spread.
    const after = Math.floor(
      random() < 0.2 ? random() * 250 : -Math.log(1 - random()) * meanBytes,
    );
    if (kind !== "stall") return { kind, after };
    const ms = random() * 300;
    return { kind, after, ms, then: { kind: "reset", after: random() * 5000 } };
  };
}

function weighted(random: () => number): typeof CUTS[number] {
  let left = random() * WEIGHTS.reduce((sum, weight) => sum + weight, 0);
  const at = WEIGHTS.findIndex((weight) => (left -= weight) < 0);
  return CUTS[at] ?? "reset";
}
