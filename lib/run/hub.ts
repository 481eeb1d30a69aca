/**
 * The hub of `--keep-open`: one stdin and stdout for many connections, or
 * (`--broker`) the connections for each other.
 *
 * Each connection gets an end of its own from {@linkcode Hub.addMember}, for `pipe.ts`
 * to join with it. What the hub gives to a connection goes through a bounded
 * queue, so that none costs another one a byte, or more than a bounded wait.
 */

import type { Duplex, Sink, Source } from "../pipe/duplex.ts";
import { BrokenError } from "../base/errors.ts";
import type { LocalEnd } from "../pipe/pipe.ts";
import { countBytes } from "../pipe/traffic.ts";
import { LineJoiner } from "./line_joiner.ts";
import { SendQueue } from "./send_queue.ts";

/**
 * The time that others wait for a connection whose queue is full (`--slow-client
 * disconnect`), in ms.
 */
const PATIENCE_MS = 2000;

export interface HubOptions {
  /** Whether connections hear each other, and stdin and stdout are left alone. */
  readonly broker: boolean;
  /** Whether only whole lines are passed on. */
  readonly lines: boolean;
  /** The way to treat a connection that does not take what is queued for it. */
  readonly slowClient: "wait" | "disconnect";
  /** The most that is queued for one connection, in bytes. */
  readonly queueSize: number;
}

/** stdin and stdout, as the hub needs to know them. */
export interface HubStdio extends Duplex {
  /** Whether stdin has anything to send. */
  readonly sends: boolean;
  /** Whether a person types: then a connection ends when its peer does. */
  readonly endsWithPeer: boolean;
}

/** The source of a connection that does not get what all others get. */
export type OwnSource = Source & Disposable;

/** All connections of a listener that have stdin and stdout, or each other. */
export class Hub {
  readonly #stdio: HubStdio;
  readonly #options: HubOptions;
  /** Members that get what stdin (or another member) sends. */
  readonly #receivers = new Set<Member>();
  readonly #onFailure: (error: unknown) => void;
  #joined = Promise.withResolvers<void>();
  /** Whether stdin has ended, or nothing more is taken from it. */
  #isStopped = false;
  #isPumping = false;
  /** Bytes read from stdin that no member has got yet. */
  #undelivered = 0;
  /** Resolves when the last write to stdout is over: one writer at a time. */
  #stdoutTurn: Promise<void> = Promise.resolve();

  /**
   * @param onFailure Called when stdin or stdout fails, before the connection that
   * met the failure is ended.
   */
  constructor(
    stdio: HubStdio,
    options: HubOptions,
    onFailure: (error: unknown) => void,
  ) {
    this.#stdio = stdio;
    this.#options = options;
    this.#onFailure = onFailure;
    // A broker writes nothing there.
    if (!options.broker) stdio.sink.failed?.catch(onFailure);
  }

  /**
   * Makes the end for a new connection.
   *
   * @param source The source of its data, instead of stdin; closed with it.
   */
  addMember(source?: OwnSource): LocalEnd {
    const { broker, lines, queueSize, slowClient } = this.#options;
    const sends = source !== undefined || broker || this.#stdio.sends;
    const queue = new SendQueue(
      queueSize,
      slowClient === "wait" ? undefined : PATIENCE_MS,
    );
    const member: Member = new Member({
      queue,
      ownSource: source,
      sends,
      lines,
      leavesAtEnd: broker || this.#stdio.endsWithPeer,
      deliver: (bytes) =>
        broker
          ? this.#broadcast(bytes.slice(), member)
          : this.#writeToStdout(bytes),
      leave: () => this.#receivers.delete(member),
    });
    if (source !== undefined || !sends) return member;
    if (this.#isStopped) {
      queue.finish();
      return member;
    }
    this.#receivers.add(member);
    if (broker) return member;
    this.#joined.resolve();
    if (!this.#isPumping) this.#pump();
    return member;
  }

  /** Takes nothing more from stdin; what is queued is still sent. */
  stop(): void {
    this.#isStopped = true;
    for (const { queue } of this.#receivers) queue.finish();
  }

  /** Ends stdout, once everything has been written; a broker leaves it alone. */
  async finish(): Promise<void> {
    await this.#stdoutTurn;
    if (!this.#options.broker) await this.#stdio.sink.end();
  }

  /** @throws {BrokenError} Some of stdin was read and nobody was left to get it. */
  throwIfUndelivered(): void {
    if (this.#undelivered > 0) {
      throw new BrokenError(
        `${
          countBytes(this.#undelivered)
        } of stdin went to nobody: all had left`,
      );
    }
  }

  /** Sends stdin to all members, and does not read it while there are none. */
  async #pump(): Promise<void> {
    this.#isPumping = true;
    try {
      for (;;) {
        await this.#waitForReceiver();
        const bytes = await this.#stdio.source.read();
        if (bytes === null) return this.stop();
        this.#undelivered = bytes.length;
        const chunk = bytes.slice();
        await this.#waitForReceiver();
        if (this.#isStopped) return;
        this.#undelivered = 0;
        await this.#broadcast(chunk);
      }
    } catch (error) {
      this.#onFailure(error);
    }
  }

  /** Waits until there is a member that stdin can be sent to. */
  async #waitForReceiver(): Promise<void> {
    while (this.#receivers.size === 0) {
      this.#joined = Promise.withResolvers();
      await this.#joined.promise;
    }
  }

  /** Queues a chunk for all members; resolves when there was room in all queues. */
  async #broadcast(chunk: Uint8Array, except?: Member): Promise<void> {
    const full: Promise<void>[] = [];
    for (const member of this.#receivers) {
      if (member === except) continue;
      const queued = member.queue.put(chunk);
      if (queued !== undefined) full.push(queued);
    }
    if (full.length > 0) await Promise.all(full);
  }

  #writeToStdout(bytes: Uint8Array): Promise<void> {
    const written = this.#stdoutTurn
      .then(() => this.#stdio.sink.write(bytes))
      .catch((error) => {
        this.#onFailure(error);
        throw error;
      });
    this.#stdoutTurn = written.catch(() => {});
    return written;
  }
}

interface MemberOptions {
  readonly queue: SendQueue;
  readonly ownSource: OwnSource | undefined;
  readonly sends: boolean;
  readonly lines: boolean;
  /** Whether it gets nothing more once its peer has ended. */
  readonly leavesAtEnd: boolean;
  /** Passes on what the peer has sent. */
  readonly deliver: (bytes: Uint8Array) => Promise<void>;
  /** Called when it gets nothing more; maybe more than once. */
  readonly leave: () => void;
}

/** Our end of one connection. */
class Member implements LocalEnd {
  readonly source: Source;
  readonly sink: Sink;
  readonly sends: boolean;
  readonly endsWithPeer = false;
  readonly gone: Promise<never>;
  readonly queue: SendQueue;
  readonly #options: MemberOptions;
  readonly #lines: LineJoiner | undefined;
  #isClosed = false;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.queue = options.queue;
    this.source = options.ownSource ?? options.queue;
    this.sends = options.sends;
    this.gone = options.queue.overflowed;
    this.#lines = options.lines ? new LineJoiner() : undefined;
    this.sink = {
      write: async (bytes) => {
        const whole = this.#lines === undefined
          ? bytes
          : this.#lines.push(bytes);
        if (whole !== undefined) await options.deliver(whole);
      },
      end: async () => {
        await this.#flush();
        if (!options.leavesAtEnd) return;
        options.leave();
        this.queue.finish();
      },
    };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { leave, ownSource } = this.#options;
    leave();
    this.queue.close();
    ownSource?.[Symbol.dispose]();
    // What fails here ends the run by itself.
    this.#flush().catch(() => {});
  }

  abort(): void {
    this.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #flush(): Promise<void> {
    const rest = this.#lines?.end();
    if (rest !== undefined) await this.#options.deliver(rest);
  }
}
