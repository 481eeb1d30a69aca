/** Frames of `--reliable`, made by hand. */

import { crc32 } from "../../lib/reliable/crc32.ts";
import { FRAME, HEADER_BYTES, writeHeader } from "../../lib/reliable/wire.ts";

/**
 * Makes a DATA frame.
 *
 * @param previous The running checksum at `offset`.
 */
export function dataFrame(
  payload: Uint8Array,
  offset = 0,
  previous = 0,
): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  bytes.set(payload, HEADER_BYTES);
  writeHeader(bytes, {
    type: FRAME.data,
    length: payload.length,
    checksum: crc32(payload, previous),
    offset,
  });
  return bytes;
}

/** Finds where frames begin that lie one behind the other. */
export function* frameStarts(frames: Uint8Array): Generator<number> {
  for (let at = 0; at < frames.length;) {
    yield at;
    const view = new DataView(frames.buffer, frames.byteOffset + at);
    at += HEADER_BYTES + (view.getUint32(0) & 0xffffff);
  }
}
