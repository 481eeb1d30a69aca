/** The signals that a run reacts to, on each system. */

import type { SignalError } from "../base/errors.ts";
import { ignoredSignals } from "../base/ignored_signals.ts";
import { libc } from "../base/libc.ts";

/** Read as soon as this module is loaded: later nobody can tell any more. */
const IGNORED = ignoredSignals();

type EndSignal = SignalError["signal"];

/** The meanings of the signals of a system. */
export interface Signals {
  /** Signals that end the run, each with the name that decides the exit code. */
  readonly end: readonly (readonly [Deno.Signal, EndSignal])[];
  /** Signals that ask for the progress. */
  readonly status: readonly Deno.Signal[];
}

const UNIX_END: Signals["end"] = [
  ["SIGINT", "SIGINT"],
  ["SIGTERM", "SIGTERM"],
  ["SIGHUP", "SIGHUP"],
];

/**
 * Lists the signals that a system has. Windows knows Ctrl-C, Ctrl-Break and a
 * console window that is closed, and nothing to ask with; macOS and the BSDs have
 * SIGINFO (Ctrl-T) beside SIGUSR1. SIGUSR2 does the same as SIGUSR1, at which
 * newer Denos (2.9) also open their inspector on 127.0.0.1:9229, as Node does.
 */
export function signalsOf(os: typeof Deno.build.os): Signals {
  switch (os) {
    case "windows":
      return {
        end: [
          ["SIGINT", "SIGINT"],
          ["SIGBREAK", "SIGINT"],
          ["SIGHUP", "SIGHUP"],
        ],
        status: [],
      };
    case "darwin":
    case "freebsd":
    case "netbsd":
      return { end: UNIX_END, status: ["SIGUSR1", "SIGUSR2", "SIGINFO"] };
    default:
      return { end: UNIX_END, status: ["SIGUSR1", "SIGUSR2"] };
  }
}

/**
 * Calls back for the signals that end a run, until it is disposed of. One that was
 * ignored when the process was started stays ignored.
 */
export function onEndSignal(callback: (name: EndSignal) => void): Disposable {
  const removals = signalsOf(Deno.build.os).end.map(([signal, name]) => {
    const isIgnored = IGNORED.has(signal);
    const remove = listen(signal, () => isIgnored || callback(name));
    // The runtime would let it end the process as soon as nobody listens.
    return isIgnored ? () => {} : remove;
  });
  return {
    [Symbol.dispose]() {
      for (const remove of removals) remove();
    },
  };
}

/** Numbers that all systems share (signal(7)). */
const NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

/**
 * Ends this process by a signal, as if it were not handled: only then does a shell
 * stop its loop and a supervisor know. Kills the processes of `--exec` first.
 *
 * Not by `Deno.kill()`, for which older Denos (2.4) want the right to run programs.
 * Returns where it does not work: on Windows, and in the first process of a
 * container, which the system spares.
 */
export function dieOf(signal: EndSignal): void {
  // Whoever has something to end at once (the processes of --exec) hears no other.
  dispatchEvent(new Event("unload"));
  const c = libc();
  c?.signal(NUMBERS[signal], null);
  c?.raise(NUMBERS[signal]);
}

/**
 * Calls back for the signals that ask how far the transfer is, until the process
 * ends: without a handler they would end it, also in its last moment.
 */
export function onStatusSignal(callback: () => void): void {
  for (const signal of signalsOf(Deno.build.os).status) {
    if (!IGNORED.has(signal)) listen(signal, callback);
  }
}

/**
 * Listens to a signal; one that this runtime cannot listen to is left as it is.
 *
 * @returns Stops listening.
 */
function listen(signal: Deno.Signal, handler: () => void): () => void {
  try {
    Deno.addSignalListener(signal, handler);
  } catch (error) {
    if (error instanceof TypeError) return () => {};
    throw error;
  }
  return () => Deno.removeSignalListener(signal, handler);
}
