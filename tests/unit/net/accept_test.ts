/** acceptNext(): what concerns one client never ends a listener. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { acceptNext } from "../../../lib/net/accept.ts";

/** Fails in turn with each of these, then accepts. */
function failing(...errors: Error[]): { accept(): Promise<string> } {
  return {
    accept() {
      const error = errors.shift();
      return error === undefined
        ? Promise.resolve("a client")
        : Promise.reject(error);
    },
  };
}

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

Deno.test("acceptNext() passes over clients that have left, or cannot be taken", async () => {
  const listener = failing(
    systemError("ECONNABORTED"),
    systemError("ECONNRESET"),
    systemError("EINVAL"),
    systemError("EPROTO"),
    new Deno.errors.NotConnected("gone"),
    new Deno.errors.InvalidData("not UTF-8"),
  );
  assertEquals(await acceptNext(listener), "a client");
});

Deno.test("acceptNext() fails with what concerns no single client", async () => {
  for (
    const error of [
      systemError("EMFILE"),
      systemError("EBADF"),
      new Deno.errors.BadResource("closed"),
      new TypeError("anything else"),
    ]
  ) {
    await assertRejects(() => acceptNext(failing(error)), Error, error.message);
  }
});

Deno.test("acceptNext() does not spin when accepting only fails", async () => {
  const errors = Array.from({ length: 120 }, () => systemError("ECONNABORTED"));
  const startedAt = performance.now();
  await acceptNext(failing(...errors));
  // The last 20 cost a pause of 5 ms each.
  assert(performance.now() - startedAt > 80);
});
