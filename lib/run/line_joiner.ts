/** `--lines`: whole lines out of a stream, wherever it is cut. */

import { concat } from "../base/bytes.ts";
import { DamagedError } from "../base/errors.ts";
import { formatSize } from "../base/units.ts";

/** The longest line that is put together, in bytes. */
const MAX_LINE_BYTES = 1024 * 1024;

const NEWLINE = 10;

/** Puts lines together out of chunks. */
export class LineJoiner {
  #parts: Uint8Array[] = [];
  #length = 0;

  /**
   * @returns All lines that are whole now, or `undefined`. A view of `bytes` or
   * new memory.
   * @throws {DamagedError} A line is longer than 1 MiB; it is lost. What came whole
   * in the chunk with its beginning has been returned; the next call throws.
   */
  push(bytes: Uint8Array): Uint8Array | undefined {
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    const first = end === 0 ? bytes.length : bytes.indexOf(NEWLINE);
    if (this.#length + first > MAX_LINE_BYTES) throw this.#tooLong();
    const whole = end === 0 ? undefined : this.#take(bytes.subarray(0, end));
    if (end < bytes.length) {
      this.#parts.push(bytes.slice(end));
      this.#length += bytes.length - end;
    }
    return whole;
  }

  /**
   * @returns The last line, if it was not whole, with a newline; once.
   * @throws {DamagedError} It is longer than 1 MiB.
   */
  end(): Uint8Array | undefined {
    if (this.#length > MAX_LINE_BYTES) throw this.#tooLong();
    return this.#length === 0 ? undefined : this.#take(Uint8Array.of(NEWLINE));
  }

  #take(last: Uint8Array): Uint8Array {
    if (this.#length === 0) return last;
    const whole = concat([...this.#parts, last]);
    this.#drop();
    return whole;
  }

  #drop(): void {
    this.#parts = [];
    this.#length = 0;
  }

  #tooLong(): DamagedError {
    this.#drop();
    return new DamagedError(
      `It sent a line longer than ${formatSize(MAX_LINE_BYTES)} (--lines)`,
    );
  }
}
