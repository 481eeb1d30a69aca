import { assert, assertEquals } from "@std/assert";
import { startClock } from "../../../lib/base/clock.ts";

Deno.test("startClock() calls back once, and not when it is disposed of, for the first clocks and later ones", async () => {
  for (let round = 0; round < 20; round++) {
    const calls: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const stopped = startClock(1, () => calls.push("stopped"));
    const startedAt = performance.now();
    startClock(5, () => {
      calls.push("over");
      resolve();
    });
    stopped[Symbol.dispose]();
    stopped[Symbol.dispose]();
    // The first clocks do not keep a process alive.
    const alive = setInterval(() => {}, 1000);
    await promise;
    clearInterval(alive);
    assertEquals(calls, ["over"], `round ${round}`);
    assert(performance.now() - startedAt >= 4);
  }
});
