/** What can become of frames on their way, by chance or by somebody's will. */

import { crc32 } from "../../lib/reliable/crc32.ts";
import { HEADER_BYTES, viewOf } from "../../lib/reliable/wire.ts";
import { concat } from "./bytes.ts";
import { frameStarts } from "./frames.ts";
import { drawBytes } from "./seeded.ts";

/** Changes, removes, adds or repeats some bytes; one thing that goes wrong. */
export function mutate(bytes: Uint8Array, random: () => number): Uint8Array {
  const at = Math.floor(random() * bytes.length);
  const length = 1 + Math.floor(random() * 40);
  const before = bytes.subarray(0, at);
  const after = bytes.subarray(at);
  const changed = bytes.slice();
  changed[at] = (changed[at] ?? 0) ^ (1 + Math.floor(random() * 255));
  const mutants = [
    () => changed,
    () => concat([before, bytes.subarray(at + length)]),
    () => concat([before, drawBytes(length, random), after]),
    () => concat([before, bytes.subarray(at, at + length), after]),
  ];
  return mutants[Math.floor(random() * mutants.length)]?.() ?? bytes;
}

/** Changes one header, and makes its checksum match again. */
export function reseal(bytes: Uint8Array, random: () => number): Uint8Array {
  const starts = [...frameStarts(bytes)];
  const at = starts[Math.floor(random() * starts.length)];
  if (at === undefined) return bytes;
  const changed = bytes.slice();
  const header = changed.subarray(at, at + HEADER_BYTES);
  const sumAt = HEADER_BYTES - 4;
  header[Math.floor(random() * sumAt)] = random() * 256;
  viewOf(header).setUint32(sumAt, crc32(header.subarray(0, sumAt)));
  return changed;
}
