/** Chance that is the same in each run. */

/** Makes a generator of numbers from 0 to 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws bytes that look like nothing in particular. */
export function drawBytes(length: number, random: () => number): Uint8Array {
  return new Uint8Array(length).map(() => random() * 256);
}
