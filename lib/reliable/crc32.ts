/** The CRC-32 of zlib, PNG and IEEE 802.3: `123456789` has `cbf43926`. */

import process from "node:process";

/** The remainder of each byte. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) {
    byte = (byte >>> 1) ^ (byte & 1 ? 0xedb88320 : 0);
  }
  return byte;
});

/** The length up to which our own loop is faster than a call of zlib, in bytes. */
const SHORT_BYTES = 32;

let zlib: typeof import("node:zlib") | undefined;

/**
 * Continues a CRC-32 over `bytes`.
 *
 * @param previous The CRC-32 of everything before; that of nothing is 0.
 */
export function crc32(bytes: Uint8Array, previous = 0): number {
  let running = previous;
  let at = 0;
  // Deno 2.4.2's crc32, once optimized, gives nonsense for a previous value from
  // 2^31 on. Every second byte, on average, leads to a smaller one.
  while (
    at < bytes.length && (running >= 2 ** 31 || bytes.length <= SHORT_BYTES)
  ) {
    running = next(running, bytes[at++] ?? 0);
  }
  if (at === bytes.length) return running;
  // Not imported: that would cost every start, also without --reliable, 20 ms.
  zlib ??= process.getBuiltinModule("node:zlib");
  return zlib.crc32(at === 0 ? bytes : bytes.subarray(at), running);
}

function next(running: number, byte: number): number {
  const state = ~running;
  return ~((TABLE[(state ^ byte) & 0xff] ?? 0) ^ (state >>> 8)) >>> 0;
}
