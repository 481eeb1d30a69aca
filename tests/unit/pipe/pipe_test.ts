/** The pipe, with ends that are only told what happens to them. */

import { assertEquals, assertRejects } from "@std/assert";
import type { Duplex } from "../../../lib/pipe/duplex.ts";
import { pipe } from "../../../lib/pipe/pipe.ts";
import { Traffic } from "../../../lib/pipe/traffic.ts";

/** An end that never sends anything, and what it was told. */
function muteEnd(): Duplex & { readonly told: string[] } {
  const told: string[] = [];
  return {
    told,
    source: { read: () => new Promise(() => {}) },
    sink: { write: () => Promise.resolve(), end: () => Promise.resolve() },
    close: () => told.push("close"),
    abort: () => told.push("abort"),
    [Symbol.dispose]: () => told.push("close"),
  };
}

for (const when of ["before it begins", "while it runs"]) {
  Deno.test(`a pipe that is aborted ${when} has aborted both ends`, async () => {
    const [local, remote] = [muteEnd(), muteEnd()];
    const cut = new AbortController();
    const reason = new Error("cut");
    if (when === "before it begins") cut.abort(reason);
    const ended = pipe(
      { ...local, sends: true, endsWithPeer: false },
      remote,
      { signal: cut.signal, traffic: new Traffic(), idleTimeoutMs: undefined },
    );
    cut.abort(reason);
    await assertRejects(() => ended, Error, "cut");
    assertEquals([local.told, remote.told], [["abort"], ["abort"]]);
  });
}
