/** Two runs with `--reliable`, and a line between them that fails on purpose. */

import { MiB, randomBytes } from "./bytes.ts";
import type { Running, StartOptions } from "./process.ts";
import { listener, sockpipe } from "./program.ts";
import { FailingLine, type Fate, NONE } from "./proxy.ts";

/** Short, so that tests need not wait long. */
export const RETRY = ["--retry-delay", "50ms"];

/** Both sides of a session, with a line between them. */
export interface Pair extends AsyncDisposable {
  readonly listen: Running;
  readonly connect: Running;
  readonly line: FailingLine;
  /** The port of the listening side itself. */
  readonly target: number;
}

export interface PairOptions {
  /** For both sides. */
  readonly args?: readonly string[];
  readonly listen?: StartOptions & { args?: readonly string[] };
  readonly connect?: StartOptions & { args?: readonly string[] };
  readonly fateOf?: (connection: number) => Fate;
}

export async function pair(options: PairOptions = {}): Promise<Pair> {
  const { args = [], fateOf = () => NONE } = options;
  const both = ["--reliable", ...args];
  const { server, at } = await listener(
    [...both, ...options.listen?.args ?? []],
    options.listen,
  );
  const line = new FailingLine(at.port, fateOf);
  const client = sockpipe(
    [
      "--connect",
      `${line.port}`,
      ...RETRY,
      ...both,
      ...options.connect?.args ?? [],
    ],
    options.connect,
  );
  return {
    listen: server,
    connect: client,
    line,
    target: at.port,
    async [Symbol.asyncDispose]() {
      await using _line = line;
      await using _server = server;
      await using _client = client;
    },
  };
}

/** The exit codes of both sides, the listening one first. */
export function codes(
  { listen, connect }: Pair,
  ms?: number,
): Promise<number[]> {
  return Promise.all([listen.code(ms), connect.code(ms)]);
}

/** Only the first connection meets this. */
export function once(fate: Fate): (connection: number) => Fate {
  return (connection) => connection === 0 ? fate : NONE;
}

/** A link between a session that has begun and one where a stall is over. */
export function begun(side: Running): Promise<unknown> {
  return side.said(/session with \S+ begun/);
}

export const HI = new TextEncoder().encode("hi");
export const A = randomBytes(3 * MiB + 1, 1);
export const B = randomBytes(2 * MiB + 7, 2);
