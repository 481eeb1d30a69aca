/**
 * Signals, and what differs between systems about them: the one place that asks
 * which system this is for their sake.
 */

import type { SignalError } from "../base/errors.ts";

type EndName = SignalError["signal"];

/** Which signals mean what. */
export interface Signals {
  /** Ends the run, as the second of each pair, which decides the exit code. */
  readonly ends: readonly (readonly [Deno.Signal, EndName])[];
  /** Asks how far the transfer is. */
  readonly status: readonly Deno.Signal[];
}

const UNIX_ENDS: Signals["ends"] = [
  ["SIGINT", "SIGINT"],
  ["SIGTERM", "SIGTERM"],
  ["SIGHUP", "SIGHUP"],
];

/**
 * The signals that a system has. Windows knows Ctrl-C, Ctrl-Break and a console
 * window that is closed, and nothing to ask with; macOS and the BSDs have SIGINFO
 * (Ctrl-T) beside SIGUSR1. SIGUSR2 does the same as SIGUSR1, at which newer
 * Denos (2.9) also open their inspector on 127.0.0.1:9229, as Node does.
 */
export function signalsOf(os: typeof Deno.build.os): Signals {
  switch (os) {
    case "windows":
      return {
        ends: [
          ["SIGINT", "SIGINT"],
          ["SIGBREAK", "SIGINT"],
          ["SIGHUP", "SIGHUP"],
        ],
        status: [],
      };
    case "darwin":
    case "freebsd":
    case "netbsd":
      return { ends: UNIX_ENDS, status: ["SIGUSR1", "SIGUSR2", "SIGINFO"] };
    default:
      return { ends: UNIX_ENDS, status: ["SIGUSR1", "SIGUSR2"] };
  }
}

/**
 * Calls back for signals until it is disposed of. A signal that this runtime
 * cannot listen to is left as it is.
 */
export function listenToSignals(
  signals: Signals,
  { onEnd, onStatus }: {
    onEnd: (name: EndName) => void;
    onStatus: () => void;
  },
): Disposable {
  const removals = [
    ...signals.ends.map(([signal, name]) => listen(signal, () => onEnd(name))),
    ...signals.status.map((signal) => listen(signal, onStatus)),
  ];
  return {
    [Symbol.dispose]() {
      for (const remove of removals) remove();
    },
  };
}

/** @returns Stops listening. */
function listen(signal: Deno.Signal, handler: () => void): () => void {
  try {
    Deno.addSignalListener(signal, handler);
  } catch (error) {
    if (error instanceof TypeError) return () => {};
    throw error;
  }
  return () => Deno.removeSignalListener(signal, handler);
}
