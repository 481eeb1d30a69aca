/** stdin as a source, by its descriptor. */

import { BULK_DATA_SIZE } from "../../framing.ts";
import { type LibC, POLLIN } from "../base/libc.ts";
import { AsyncPoll, TimeSlice } from "../base/poll.ts";
import type { ReadEach, ReadEnd, Source } from "../pipe/duplex.ts";
import type { WaitTimes } from "../pipe/traffic.ts";
import { BACKGROUND_MS, Descriptor, WOULD_BLOCK } from "./descriptor.ts";
import { stdinError } from "./local_errors.ts";
import { PolledDescriptor } from "./polled_descriptor.ts";
import type { SharedPoll } from "./shared_poll.ts";

/** stdin, read when it is asked for and not before. */
export class StdinSource implements Source, Disposable {
  readonly #descriptor: Descriptor | undefined;
  readonly #waits: AsyncPoll;
  readonly #poll: SharedPoll | undefined;
  readonly #slice: TimeSlice;
  readonly #readSize: number;
  readonly #waited: WaitTimes | undefined;
  readonly readEach: ReadEach | undefined;
  /** The same descriptor, for `readEach`. */
  readonly #polled: PolledDescriptor | undefined;
  #buffer: Uint8Array = new Uint8Array();

  /**
   * @param dataSize The most that one read may take, in bytes.
   * @param waited Counts the waits for stdin.
   * @param poll Shared with other descriptors; disposed of by the caller, after this.
   */
  constructor(
    c: LibC,
    dataSize = BULK_DATA_SIZE,
    waited?: WaitTimes,
    poll?: SharedPoll,
  ) {
    this.#descriptor = Descriptor.ofGiven(c, 0, "read");
    this.#waits = new AsyncPoll(c);
    this.#slice = new TimeSlice(c);
    this.#poll = poll;
    this.#readSize = dataSize;
    this.#waited = waited;
    const descriptor = this.#descriptor;
    if (descriptor === undefined || poll === undefined) return;
    const polled = new PolledDescriptor(poll, descriptor);
    this.#polled = polled;
    // Whether a terminal may be read changes with the foreground job.
    if (descriptor.kind !== "terminal") {
      this.readEach = (...args) => this.#readEach(descriptor, polled, args);
    }
  }

  async read(into?: Uint8Array): Promise<Uint8Array | null> {
    // Opened for writing only (nohup does so): there is nothing to send.
    if (this.#descriptor === undefined) return null;
    const room = this.#room(into);
    try {
      const count = await this.#read(this.#descriptor, room);
      return count === 0 ? null : room.subarray(0, count);
    } catch (error) {
      throw stdinError(error);
    }
  }

  async #read(descriptor: Descriptor, room: Uint8Array): Promise<number> {
    for (;;) {
      await this.#slice.pauseIfOver();
      const count = descriptor.read(room);
      if (count !== WOULD_BLOCK) {
        descriptor.countMoved(count);
        return count;
      }
      this.#waited?.begin("stdin");
      if (descriptor.isPollable) {
        await (this.#poll ?? this.#waits).ready(descriptor.fd, POLLIN);
      } else {
        await this.#waits.ready(-1, POLLIN, BACKGROUND_MS);
      }
      this.#slice.restart();
      this.#waited?.end("stdin");
      if (this.#waits.isOver) throw new Error("it was closed");
    }
  }

  #readEach(
    descriptor: Descriptor,
    polled: PolledDescriptor,
    [room, take]: Parameters<ReadEach>,
  ): Promise<ReadEnd> {
    const waited = this.#waited;
    return polled.readEach(
      [
        () => room()?.subarray(0, this.#readSize),
        (bytes) => {
          descriptor.countMoved(bytes.length);
          take(bytes);
        },
      ],
      stdinError,
      waited && {
        begin: () => waited.begin("stdin"),
        end: () => waited.end("stdin"),
      },
    );
  }

  #room(into: Uint8Array | undefined): Uint8Array {
    if (into !== undefined) return into.subarray(0, this.#readSize);
    if (this.#buffer.length === 0) {
      this.#buffer = new Uint8Array(this.#readSize);
    }
    return this.#buffer;
  }

  [Symbol.dispose](): void {
    this.#waits[Symbol.dispose]();
    this.#polled?.release();
    this.#descriptor?.close();
  }
}
