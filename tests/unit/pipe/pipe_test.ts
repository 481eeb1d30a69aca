/** The pipe, with ends that are only told what happens to them. */

import { assertEquals, assertRejects } from "@std/assert";
import type { Duplex } from "../../../lib/pipe/duplex.ts";
import { BrokenError } from "../../../lib/base/errors.ts";
import { type LocalEnd, pipe } from "../../../lib/pipe/pipe.ts";
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

/** An end that sends some words, then ends, breaks or goes on in silence. */
function talkingEnd(
  words: readonly string[],
  { then, takesNothing = false }: {
    then: "ends" | "breaks" | "goes on";
    takesNothing?: boolean;
  },
): LocalEnd & { readonly took: string[] } {
  const took: string[] = [];
  const rest = words.map((word) => new TextEncoder().encode(word));
  return {
    took,
    source: {
      read() {
        const word = rest.shift();
        if (word !== undefined) return Promise.resolve(word);
        if (then === "breaks") return Promise.reject(new BrokenError("broke"));
        return then === "ends"
          ? Promise.resolve(null)
          : new Promise<null>(() => {});
      },
    },
    sink: {
      write(bytes) {
        if (takesNothing) {
          return Promise.reject(new BrokenError("took nothing"));
        }
        took.push(new TextDecoder().decode(bytes));
        return Promise.resolve();
      },
      end: () => Promise.resolve(void took.push("end")),
    },
    sends: true,
    endsWithPeer: false,
    close: () => took.push("close"),
    abort: () => took.push("abort"),
    [Symbol.dispose]: () => took.push("close"),
  };
}

const calm = () => ({
  signal: new AbortController().signal,
  traffic: new Traffic(),
  idleTimeoutMs: undefined,
});

Deno.test("a pipe passes on what came before an end broke, and aborts the silent one", async () => {
  for (const broken of ["local", "remote"] as const) {
    const breaking = talkingEnd(["a", "b"], { then: "breaks" });
    const silent = talkingEnd([], { then: "goes on" });
    const [local, remote] = broken === "local"
      ? [breaking, silent]
      : [silent, breaking];
    await assertRejects(
      () => pipe(local, remote, calm()),
      BrokenError,
      "broke",
    );
    assertEquals(silent.took, ["a", "b", "abort"], broken);
  }
});

Deno.test("a pipe passes on what an end sends that takes no more, but not its end", async () => {
  for (const broken of ["local", "remote"] as const) {
    const breaking = talkingEnd(["a", "b"], {
      then: "ends",
      takesNothing: true,
    });
    const other = talkingEnd(["lost"], { then: "goes on" });
    const [local, remote] = broken === "local"
      ? [breaking, other]
      : [other, breaking];
    await assertRejects(() => pipe(local, remote, calm()), BrokenError, "took");
    assertEquals(other.took, ["a", "b", "abort"], broken);
  }
});

Deno.test("a pipe ends when an end of it breaks while nothing moves", async () => {
  const failed = Promise.reject(new BrokenError("reset"));
  failed.catch(() => {});
  for (const broken of ["local", "remote"] as const) {
    const breaking = { ...talkingEnd([], { then: "goes on" }), failed };
    const other = talkingEnd([], { then: "goes on" });
    const [local, remote] = broken === "local"
      ? [breaking, other]
      : [other, breaking];
    await assertRejects(
      () => pipe(local, remote, calm()),
      BrokenError,
      "reset",
    );
    assertEquals(other.took, ["abort"], broken);
  }
});
