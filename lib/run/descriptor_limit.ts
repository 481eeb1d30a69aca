/**
 * Shortages of file descriptors: they are waited out and reported once, and nothing
 * is lost meanwhile.
 */

import { delay } from "@std/async/delay";
import type { Reporter } from "../report/reporter.ts";

/** The pause before the next attempt, in ms. */
const AGAIN_MS = 50;

/** The time after which a connection that needs a descriptor fails, in ms. */
const PATIENCE_MS = 10_000;

/** EMFILE: this process has too many; ENFILE: the system has. */
const SHORTAGE_CODES: ReadonlySet<unknown> = new Set(["EMFILE", "ENFILE"]);

/**
 * Waits out a shortage of file descriptors; connections that are already served
 * come before new ones.
 */
export class DescriptorShortage {
  readonly #report: Reporter;
  /** The number of connections that wait for another descriptor. */
  #waiting = 0;
  #isSaid = false;

  constructor(report: Reporter) {
    this.#report = report;
  }

  /**
   * Opens something for a connection that is being served, again while there is no
   * descriptor.
   *
   * @throws The shortage, after 10 s; what else `open` throws; `signal.reason`.
   */
  async retry<T>(
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
   * Accepts a new connection, as soon as there is a descriptor for it and no
   * earlier connection waits for one.
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
  return "code" in error && SHORTAGE_CODES.has(error.code) ||
    isShortage(error.cause);
}
