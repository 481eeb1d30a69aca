/** The pause between two attempts to connect. */

import { assertEquals } from "@std/assert";
import { retryDelayMs } from "../../../lib/run/retry.ts";

Deno.test("retryDelayMs() is constant without a larger maximum", () => {
  for (const attempt of [1, 2, 1000]) {
    const pause = { delayMs: 3000, maxDelayMs: 3000 };
    assertEquals(retryDelayMs(attempt, pause, () => 0.99), 3000);
  }
});

Deno.test("retryDelayMs() doubles up to the maximum, and takes at most half off", () => {
  const pause = { delayMs: 100, maxDelayMs: 1000 };
  const delays = (random: number) =>
    [1, 2, 3, 4, 5, 1e6].map((attempt) =>
      retryDelayMs(attempt, pause, () => random)
    );
  assertEquals(delays(0), [100, 200, 400, 800, 1000, 1000]);
  assertEquals(delays(0.5), [100, 150, 300, 600, 750, 750]);
});
