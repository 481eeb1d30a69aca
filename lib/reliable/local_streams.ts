/** Our own end of a session: the loops that read stdin and write stdout. */

import { readEach } from "../pipe/duplex.ts";
import type { LocalEnd } from "../pipe/pipe.ts";
import type { Traffic } from "../pipe/traffic.ts";
import type { Reporter } from "../report/reporter.ts";
import type {
  HashedPoint,
  HeldPrefix,
  PrefixComparison,
} from "./held_prefix.ts";
import type { Session } from "./session.ts";
import { Wakeup } from "./wakeup.ts";

/** The most that is written to stdout at once. */
const MAX_DELIVERY_BYTES = 1024 * 1024;

/** A file with the beginning of the peer's stream, from an earlier run. */
export interface ResumableFile {
  readonly prefix: HeldPrefix;
  /**
   * Cuts off everything after `offset`.
   *
   * @returns The new end.
   * @throws {LocalIoError} It cannot be cut.
   */
  cutTo(offset: number): Promise<HashedPoint>;
}

/** The surroundings of our own end. */
export interface LocalStreamsOptions {
  readonly report: Reporter;
  /** Counts what the session has taken from stdin and given to stdout. */
  readonly traffic: Traffic;
  /** The part of the peer's stream that is there already (`--resume`). */
  readonly held?: ResumableFile | undefined;
  /** Takes the length that the peer announces; what it throws ends the session. */
  readonly onPeerSize?: ((bytes: number) => Promise<void>) | undefined;
  /** Called when there is something to send. */
  readonly wakeConnection: () => void;
  /** Called with the failure of either loop. */
  readonly fail: (error: unknown) => void;
}

/** Moves bytes from stdin to a session, and from it to stdout. */
export class LocalStreams {
  readonly #session: Session;
  readonly #local: LocalEnd;
  readonly #options: LocalStreamsOptions;
  readonly #incomingComplete = Promise.withResolvers<void>();
  /** Resolves when there is the first connection. */
  readonly #begun = Promise.withResolvers<void>();
  /** Wakes the reader of stdin: the peer may have made room. */
  readonly #stdinWakeup: Wakeup;
  /** Wakes the writer of stdout: the peer may have sent something. */
  readonly #stdoutWakeup: Wakeup;
  /** Whether the writer of stdout waits for the peer, and for nothing else. */
  #awaitsPeer = false;
  #hasTakenSize = false;
  /** Bytes of stdin that wait for room in the window. */
  #rest: Uint8Array = new Uint8Array();

  /** @param local The caller's to close. */
  constructor(
    session: Session,
    local: LocalEnd,
    options: LocalStreamsOptions,
  ) {
    this.#session = session;
    this.#local = local;
    this.#options = options;
    const { waited } = options.traffic;
    this.#stdinWakeup = new Wakeup(waited, "sending");
    this.#stdoutWakeup = new Wakeup(waited, "receiving");
  }

  /** Starts both loops, which begin when there is a connection. Call it once. */
  start(): void {
    this.#readStdin().catch(this.#options.fail);
    this.#writeStdout().catch(this.#options.fail);
  }

  /**
   * Lets both loops go on; to be called when a connection begins, and when the peer
   * has sent something. What came is written to stdout at once, as far as it takes it.
   */
  takeProgress(): void {
    this.#begun.resolve();
    if (this.#awaitsPeer) this.#deliverNow();
    else this.#stdoutWakeup.notify();
    this.#stdinWakeup.notify();
  }

  async #readStdin(): Promise<void> {
    const { sends, endsWithPeer } = this.#local;
    const { outgoing } = this.#session;
    await this.#begun.promise;
    const incomingComplete = this.#incomingComplete.promise;
    await this.#compareStdin(sends);
    if (!sends) {
      await incomingComplete;
    } else if (endsWithPeer) {
      await Promise.race([this.#copyStdin(), incomingComplete]);
    } else {
      await this.#copyStdin();
    }
    outgoing.end();
    this.#options.wakeConnection();
    // So that the time until the peer has taken everything counts.
    while (!outgoing.confirmed) await this.#stdinWakeup.wait();
  }

  /** Takes from stdin what the peer holds already, and compares it. */
  async #compareStdin(sends: boolean): Promise<void> {
    const { outgoing } = this.#session;
    const { comparison } = outgoing;
    if (comparison === undefined) return;
    if (!sends) comparison.end();
    // A source that has its bytes elsewhere may give more than there is room for.
    let rest: Uint8Array = new Uint8Array();
    while (comparison.result === undefined) {
      const room = comparison.room();
      if (room === undefined) {
        await this.#stdinWakeup.wait();
        continue;
      }
      const bytes = rest.length > 0
        ? rest
        : await this.#local.source.read(room);
      if (bytes === null) comparison.end();
      else rest = bytes.slice(comparison.take(bytes));
      // So that --idle-timeout sees that something moves.
      this.#options.traffic.addSent(0);
    }
    this.#options.wakeConnection();
    this.#reportComparison(comparison);
    for (const bytes of [comparison.result.rest, rest]) {
      this.#accept(bytes);
      await this.#acceptRest();
    }
  }

  #reportComparison({ heldBytes, result }: PrefixComparison): void {
    const from = result?.start.offset ?? 0;
    this.#options.report.say({ event: "continuing", held: heldBytes, from });
  }

  async #copyStdin(): Promise<void> {
    const { outgoing } = this.#session;
    // What a person types after the peer's end comes too late.
    const isLate = () => outgoing.summary !== undefined;
    const room = () =>
      this.#rest.length > 0 || isLate() ? undefined : outgoing.reserve();
    const take = (bytes: Uint8Array) => {
      if (!isLate()) this.#accept(bytes);
    };
    while (!isLate()) {
      const reason = await readEach(this.#local.source, room, take);
      if (reason === "ended") break;
      if (isLate()) return;
      if (this.#rest.length > 0) await this.#acceptRest();
      else await this.#stdinWakeup.wait();
    }
    await this.#acceptRest();
  }

  /** Takes bytes of stdin; those for which the window has no room wait. */
  #accept(bytes: Uint8Array): void {
    const count = this.#session.outgoing.accept(bytes);
    this.#options.traffic.addSent(count);
    this.#rest = bytes.subarray(count);
    this.#options.wakeConnection();
  }

  async #acceptRest(): Promise<void> {
    while (this.#rest.length > 0) {
      await this.#stdinWakeup.wait();
      this.#accept(this.#rest);
    }
  }

  async #writeStdout(): Promise<void> {
    const { incoming } = this.#session;
    const { sink } = this.#local;
    await this.#begun.promise;
    while (!incoming.allDelivered) {
      await this.#takePeerSize();
      const bytes = incoming.toDeliver();
      if (incoming.startAt !== undefined) {
        await this.#truncateFile(incoming.startAt);
      } else if (bytes !== undefined) {
        const piece = bytes.subarray(0, MAX_DELIVERY_BYTES);
        await sink.write(piece);
        this.#delivered(piece.length);
      } else {
        this.#awaitsPeer = true;
        await this.#stdoutWakeup.wait();
        this.#awaitsPeer = false;
      }
    }
    await sink.end();
    incoming.end();
    this.#options.wakeConnection();
    this.#incomingComplete.resolve();
  }

  /** Writes what has come, as far as there is room, and wakes the writer for the rest. */
  #deliverNow(): void {
    const { incoming, hints } = this.#session;
    const { sink } = this.#local;
    const isPlain = incoming.startAt === undefined &&
      (this.#hasTakenSize || hints.peerSize === undefined);
    const bytes = isPlain ? incoming.toDeliver() : undefined;
    try {
      const count = bytes && sink.writeNow?.(bytes) || 0;
      if (count > 0) this.#delivered(count);
      const isDone = isPlain && incoming.toDeliver() === undefined &&
        !incoming.allDelivered;
      if (!isDone) this.#stdoutWakeup.notify();
    } catch (error) {
      this.#options.fail(error);
    }
  }

  #delivered(count: number): void {
    this.#session.incoming.delivered(count, performance.now());
    this.#options.traffic.addReceived(count);
    this.#options.wakeConnection();
  }

  async #takePeerSize(): Promise<void> {
    const { peerSize } = this.#session.hints;
    if (peerSize === undefined || this.#hasTakenSize) return;
    this.#hasTakenSize = true;
    await this.#options.onPeerSize?.(peerSize);
  }

  /** Cuts the file to the part that the peer has found to be right. */
  async #truncateFile(offset: number): Promise<void> {
    const { held, report } = this.#options;
    if (held === undefined) return;
    const { end } = held.prefix;
    const point = offset === end.offset ? end : await held.cutTo(offset);
    this.#session.incoming.continueAt(point);
    report.say({ event: "continuing", held: end.offset, from: offset });
    this.#options.wakeConnection();
  }
}
