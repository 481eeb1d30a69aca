/**
 * What to do when the system has no file descriptor left for us: wait until one
 * is given back, say so once, and lose nothing meanwhile.
 */

import { delay } from "@std/async/delay";
import type { Reporter } from "../report/reporter.ts";

/** The pause before the next attempt, in ms. */
const AGAIN_MS = 50;

/** The time after which a connection that needs a descriptor fails, in ms. */
const PATIENCE_MS = 10_000;

/** EMFILE: this process has too many; ENFILE: the system has. */
const CODES: ReadonlySet<unknown> = new Set(["EMFILE", "ENFILE"]);

/** All who need descriptors, those with a connection before those without. */
export class Descriptors {
  readonly #report: Reporter;
  /** Connections that stand and wait for a descriptor more. */
  #waiting = 0;
  #isSaid = false;

  constructor(report: Reporter) {
    this.#report = report;
  }

  /**
   * Does what needs a descriptor for a connection that stands already, again and
   * again while there is none.
   *
   * @throws What `open` throws, `signal.reason`, and after 10 s the shortage too.
   */
  async take<T>(
    open: () => Promise<T> | T,
    signal: AbortSignal,
  ): Promise<T> {
    const until = performance.now() + PATIENCE_MS;
    let waits = false;
    try {
      for (;;) {
        signal.throwIfAborted();
        try {
          return await open();
        } catch (error) {
          if (!isShortage(error) || performance.now() > until) throw error;
        }
        if (!waits) this.#waiting++;
        waits = true;
        this.#say();
        await delay(AGAIN_MS, { signal });
      }
    } finally {
      if (waits) this.#waiting--;
    }
  }

  /**
   * Accepts a new connection, as soon as there is a descriptor for it and nobody
   * waits for one who was here before.
   */
  async accept<T>(accept: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (;;) {
      try {
        if (this.#waiting === 0) return await accept();
      } catch (error) {
        if (!isShortage(error)) throw error;
        this.#say();
      }
      await delay(AGAIN_MS, { signal });
    }
  }

  #say(): void {
    if (!this.#isSaid) this.#report.say({ event: "no-descriptors" });
    this.#isSaid = true;
  }
}

/** Whether an error, or the one that caused it, is the lack of descriptors. */
function isShortage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return "code" in error && CODES.has(error.code) || isShortage(error.cause);
}
