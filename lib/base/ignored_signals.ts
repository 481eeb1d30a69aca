/** The signals that the process ignores: by nohup, or as a job in the background of a script. */

import { openFunctions } from "./foreign_functions.ts";

/** The C library, and the numbers of signals (signal(7)). */
interface SignalNumbers {
  readonly library: string;
  readonly numbers: Partial<Record<Deno.Signal, number>>;
}

const SHARED = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };
const SYSTEMS: Partial<Record<typeof Deno.build.os, SignalNumbers>> = {
  linux: {
    library: "libc.so.6",
    numbers: { ...SHARED, SIGUSR1: 10, SIGUSR2: 12 },
  },
  darwin: {
    library: "/usr/lib/libSystem.B.dylib",
    numbers: { ...SHARED, SIGUSR1: 30, SIGUSR2: 31, SIGINFO: 29 },
  },
};

/** SIG_IGN of `<signal.h>`. */
const SIG_IGN = 1n;

/**
 * Finds the signals that are ignored, of those that this program handles.
 *
 * The runtime takes over SIGHUP, SIGINT and SIGTERM with the first listener to any
 * signal. So call this before the first listener.
 *
 * @returns None where the system does not tell.
 */
export function ignoredSignals(): ReadonlySet<Deno.Signal> {
  const system = SYSTEMS[Deno.build.os];
  try {
    return new Set(system && askSystem(system));
  } catch {
    return new Set();
  }
}

/** Asks sigaction(2), in whose answer the handler comes first. */
function* askSystem(
  { library, numbers }: SignalNumbers,
): Generator<Deno.Signal> {
  const symbols = openFunctions(library, {
    sigaction: { parameters: ["i32", "pointer", "buffer"], result: "i32" },
  });
  // As long as the largest `struct sigaction`, which is 152 bytes.
  const action = new BigUint64Array(32);
  for (const [name, number] of Object.entries(numbers)) {
    const isKnown = symbols.sigaction(number, null, action) === 0;
    if (isKnown && action[0] === SIG_IGN) yield name as Deno.Signal;
  }
}
