/** A process as our end of a connection. */

import type { Child } from "./child.ts";
import type { Sink, Source } from "../pipe/duplex.ts";
import type { LocalEnd } from "../pipe/pipe.ts";
import { LocalIoError } from "../base/errors.ts";

/**
 * The time for each step of ending, in ms: for the peer to end its side when the
 * process has ended; for what else is left of a process group, when its leader and
 * the connection have ended; and for any process, between SIGTERM and SIGKILL.
 */
const LINGER_MS = 2000;

/**
 * A process and all that it starts, as far as that stays in its group.
 *
 * Its source ends with the output of the process, and its sink drops what the
 * process no longer reads. After `close` the process may finish its work, however
 * long that takes; `abort`, also after `close`, asks it to end. Both leave nothing
 * behind: see {@linkcode finished}.
 */
export class ProcessEnd implements LocalEnd {
  static readonly #running = new Set<ProcessEnd>();

  readonly source: Source;
  readonly sink: Sink;
  readonly sends = true;
  readonly endsWithPeer = false;
  readonly #gone = Promise.withResolvers<void>();
  readonly gone: Promise<void> = this.#gone.promise;
  readonly #command: string;
  readonly #child: Child;
  readonly #lingerMs: number;
  /** Resolves when even SIGKILL has not ended the group in time. */
  readonly #givenUp = Promise.withResolvers<void>();
  /** Starts the next step of ending the group. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;
  #isAborted = false;
  #hasExited = false;
  /** Whether we ended the process. */
  #wasKilled = false;

  /**
   * @param command The name of the process in errors.
   * @param child A process that was just started; it is this object's from now on.
   */
  constructor(command: string, child: Child, lingerMs = LINGER_MS) {
    this.#command = command;
    this.#child = child;
    this.#lingerMs = lingerMs;
    this.source = child.output;
    this.sink = child.input;
    ProcessEnd.#running.add(this);
    this.#watch();
  }

  /** Kills all that run, at once. */
  static killAll(): void {
    for (const end of ProcessEnd.#running) end.#kill("SIGKILL");
  }

  async #watch(): Promise<void> {
    this.#child.groupEnded.then(() => {
      ProcessEnd.#running.delete(this);
      if (this.#isClosed) clearTimeout(this.#timer);
    });
    await this.#child.status;
    this.#hasExited = true;
    await this.#child.output.ended;
    if (this.#isAborted) return;
    // The peer need not wait for what nobody reads, nor we for the peer.
    if (this.#isClosed) this.#endGroup(this.#lingerMs);
    else this.#timer = setTimeout(this.#gone.resolve, this.#lingerMs);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#child.input.close();
    this.#child.output.close();
    if (this.#hasExited) this.#endGroup(this.#lingerMs);
  }

  abort(): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.close();
    this.#endGroup(0);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Ends the group in steps: after `afterMs` SIGTERM, then SIGKILL, then giving up. */
  #endGroup(afterMs: number): void {
    clearTimeout(this.#timer);
    if (!ProcessEnd.#running.has(this)) return;
    const steps = [
      () => this.#kill("SIGTERM"),
      () => this.#kill("SIGKILL"),
      () => this.#givenUp.resolve(),
    ];
    const next = (ms: number) => {
      const step = steps.shift();
      if (step === undefined) return;
      this.#timer = setTimeout(() => {
        step();
        next(this.#lingerMs);
      }, ms);
    };
    next(afterMs);
  }

  #kill(signal: Deno.Signal): void {
    this.#wasKilled ||= !this.#hasExited;
    this.#child.kill(signal);
  }

  /**
   * Waits until nothing of the group is left, or even SIGKILL has not ended it for
   * a while; the latter is no error.
   *
   * @throws {LocalIoError} It failed, and not because we ended it.
   */
  async finished(): Promise<void> {
    const { status, groupEnded } = this.#child;
    const givenUp = this.#givenUp.promise;
    await Promise.race([groupEnded, givenUp]);
    const ended = await Promise.race([status, givenUp]);
    if (ended === undefined || ended.code === 0 || this.#wasKilled) return;
    const { code, signal } = ended;
    const how = signal === null ? `exit code ${code}` : signal;
    throw new LocalIoError(`The command "${this.#command}" ended with ${how}`);
  }
}
