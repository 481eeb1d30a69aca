/** Copying bytes, also between shared and ordinary memory, and comparing them. */

const WORD_BYTES = 8;
/** The size of the scratch memory: it fits into a CPU's second cache. */
const SCRATCH_BYTES = 256 * 1024;

let scratch: Uint8Array | undefined;

/**
 * Copies all of `from` to the beginning of `to`.
 *
 * Where shared memory takes part, V8 copies byte by byte (about 1 GB/s) unless both
 * have the same alignment to 8 bytes; then it copies words. So what is aligned
 * otherwise goes through ordinary memory with the alignment of the shared memory.
 *
 * @param to At least as long as `from`. At most one of the two is shared memory.
 */
export function copyBytes(from: Uint8Array, to: Uint8Array): void {
  const shared = [from, to].find(isShared);
  if (shared === undefined || alignmentOf(from) === alignmentOf(to)) {
    to.set(from);
    return;
  }
  scratch ??= new Uint8Array(SCRATCH_BYTES + WORD_BYTES);
  const between = scratch.subarray(alignmentOf(shared));
  for (let at = 0; at < from.length; at += SCRATCH_BYTES) {
    const piece = from.subarray(at, at + SCRATCH_BYTES);
    between.set(piece);
    to.set(between.subarray(0, piece.length), at);
  }
}

/**
 * Whether two secrets are the same, found in a time that depends on the length of
 * `one` alone.
 */
export function areSecretsEqual(one: Uint8Array, other: Uint8Array): boolean {
  let difference = one.length ^ other.length;
  for (const [at, byte] of one.entries()) difference |= byte ^ (other[at] ?? 0);
  return difference === 0;
}

function isShared({ buffer }: Uint8Array): boolean {
  return buffer instanceof SharedArrayBuffer;
}

function alignmentOf({ byteOffset }: Uint8Array): number {
  return byteOffset % WORD_BYTES;
}

/** Writes all of the bytes to something that may write some of them at a time. */
export async function writeAll(
  to: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  for (let rest = bytes; rest.length > 0;) {
    rest = rest.subarray(await to.write(rest));
  }
}

/** Copies the parts into new memory, one after another. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
