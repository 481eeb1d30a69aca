/** Unit tests of the rate limit. */

import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import type { Duplex } from "../../../lib/pipe/duplex.ts";
import { limitRate } from "../../../lib/pipe/rate_limit.ts";

/** An end in memory that notes when how much went through it. */
class Noted implements Duplex {
  readonly moves: { at: number; bytes: number }[] = [];
  #left: number;

  /** @param pieceBytes How much a read brings that is not lent less room. */
  constructor(bytes: number, readonly pieceBytes: number) {
    this.#left = bytes;
  }

  readonly source = {
    read: (): Promise<Uint8Array | null> => {
      const bytes = Math.min(this.#left, this.pieceBytes);
      this.#left -= bytes;
      return Promise.resolve(bytes === 0 ? null : new Uint8Array(bytes));
    },
  };
  readonly sink = {
    write: (bytes: Uint8Array): Promise<void> => {
      this.note(bytes.length);
      return Promise.resolve();
    },
    end: (): Promise<void> => Promise.resolve(),
  };

  note(bytes: number): void {
    this.moves.push({ at: performance.now(), bytes });
  }

  close(): void {}
  abort(): void {}
  [Symbol.dispose](): void {}
}

/** Fails if anywhere more went than the rate allows, and 250 ms' worth of burst. */
function assertNoBurst(moves: Noted["moves"], bytesPerSecond: number): void {
  for (const [first, { at: from }] of moves.entries()) {
    let sum = 0;
    for (const { at, bytes } of moves.slice(first)) {
      sum += bytes;
      const most = bytesPerSecond * (at - from + 250) / 1000;
      assert(sum <= most, `${sum} bytes in ${at - from} ms`);
    }
  }
}

for (const bytesPerSecond of [100_000, 40_000_000]) {
  Deno.test(`limitRate() sends ${bytesPerSecond} B/s evenly, whatever it is given`, async () => {
    const noted = new Noted(0, 0);
    const end = limitRate(noted, bytesPerSecond);
    const startedAt = performance.now();
    await end.sink.write(new Uint8Array(bytesPerSecond / 2));
    for (let i = 0; i < 10; i++) {
      await end.sink.write(new Uint8Array(bytesPerSecond / 20));
    }
    const took = performance.now() - startedAt;
    assertGreater(took, 1000 * 0.98);
    assertLess(took, 3000);
    assertNoBurst(noted.moves, bytesPerSecond);
  });

  Deno.test(`limitRate() receives ${bytesPerSecond} B/s evenly, from a source that ignores the room`, async () => {
    const noted = new Noted(bytesPerSecond, Math.ceil(bytesPerSecond / 3));
    const end = limitRate(noted, bytesPerSecond);
    const startedAt = performance.now();
    let sum = 0;
    for (;;) {
      const bytes = await end.source.read();
      if (bytes === null) break;
      noted.note(bytes.length);
      sum += bytes.length;
    }
    assertEquals(sum, bytesPerSecond);
    assertEquals(await end.source.read(), null);
    const took = performance.now() - startedAt;
    assertGreater(took, 1000 * 0.98);
    assertLess(took, 3000);
    assertNoBurst(noted.moves, bytesPerSecond);
  });
}

Deno.test("limitRate() does not make up for a pause with a burst", async () => {
  const noted = new Noted(0, 0);
  const end = limitRate(noted, 100_000);
  await end.sink.write(new Uint8Array(10_000));
  await new Promise((resolve) => setTimeout(resolve, 700));
  await end.sink.write(new Uint8Array(50_000));
  assertNoBurst(noted.moves, 100_000);
});
