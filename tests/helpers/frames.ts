/** Frames of `--reliable`, made by hand. */

import { crc32 } from "../../lib/reliable/crc32.ts";
import {
  FRAME,
  HEADER_BYTES,
  viewOf,
  writeHeader,
} from "../../lib/reliable/wire.ts";

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

/** Finds where frames begin that lie one behind the other, with a whole header. */
export function* frameStarts(frames: Uint8Array): Generator<number> {
  const view = viewOf(frames);
  for (let at = 0; at + HEADER_BYTES <= frames.length;) {
    yield at;
    at += HEADER_BYTES + (view.getUint32(at) & 0xffffff);
  }
}
