/**
 * Chunked reads: the sizes of what one read may take, and bytes cut into chunks.
 *
 * No sockets, no timers; everything here is a function of the bytes it is given.
 */

/** DATA_SIZE unless the user says otherwise: the most that one read may take. */
export const DEFAULT_DATA_SIZE = 64 * 1024;
/** The largest DATA_SIZE. */
export const MAX_DATA_SIZE = 16 * 1024 * 1024;

/** Cuts `bytes` into views of at most `dataSize` bytes, in order. */
export function* chunks(
  bytes: Uint8Array,
  dataSize: number,
): Generator<Uint8Array, void> {
  for (let i = 0; i < bytes.length; i += dataSize) {
    yield bytes.subarray(i, i + dataSize);
  }
}
