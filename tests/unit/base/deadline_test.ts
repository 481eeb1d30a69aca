/** Deadline and claim(): promise × signal × time limit × late resource. */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  fail,
} from "@std/assert";
import { claim, Deadline, onAbort } from "../../../lib/base/deadline.ts";

/** A resource that counts how often it was closed. */
class Resource implements Disposable {
  closed = 0;

  [Symbol.dispose](): void {
    this.closed++;
  }
}

const CANCELLED = new Error("cancelled");
const LATE = new Error("late");
const FAILED = new Error("failed");

/** How a wait ends. */
type Event = "arrives" | "fails" | "cancelled" | "late";

/** What happens to a wait, one after another, and what it then comes to. */
const WAITS: [events: Event[], outcome: "resource" | Error][] = [
  [["arrives"], "resource"],
  [["fails"], FAILED],
  [["cancelled"], CANCELLED],
  [["late"], LATE],
  [["arrives", "cancelled"], "resource"],
  [["arrives", "late"], "resource"],
  [["fails", "cancelled"], FAILED],
  [["fails", "late"], FAILED],
  [["cancelled", "arrives"], CANCELLED],
  [["cancelled", "fails"], CANCELLED],
  [["cancelled", "late"], CANCELLED],
  [["late", "arrives"], LATE],
  [["late", "fails"], LATE],
  [["late", "cancelled"], LATE],
  [["cancelled", "late", "arrives"], CANCELLED],
  [["late", "cancelled", "fails"], LATE],
];

for (const [events, outcome] of WAITS) {
  Deno.test(`claim(): ${events.join(", then ")}`, async () => {
    const controller = new AbortController();
    const coming = Promise.withResolvers<Resource>();
    const resource = new Resource();
    // The end of the time is an event like the others here.
    using deadline = new Deadline(controller.signal);
    const claimed = claim(coming.promise, deadline.signal).then(
      (resource) => resource,
      (error) => error,
    );
    for (const event of events) {
      ({
        arrives: () => coming.resolve(resource),
        fails: () => coming.reject(FAILED),
        cancelled: () => controller.abort(CANCELLED),
        late: () => deadline.abort(LATE),
      })[event]();
      // Until all that follows from it has followed.
      await new Promise((resolve) => setTimeout(resolve));
    }
    assertStrictEquals(
      await claimed,
      outcome === "resource" ? resource : outcome,
    );
    const isLate = outcome !== "resource" && events.includes("arrives");
    assertEquals(resource.closed, isLate ? 1 : 0);
  });
}

Deno.test("claim() closes what has arrived when the signal was aborted before", async () => {
  const resource = new Resource();
  const claimed = claim(
    Promise.resolve(resource),
    AbortSignal.abort(CANCELLED),
  );
  assertStrictEquals(await claimed.catch((error) => error), CANCELLED);
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(resource.closed, 1);
});

Deno.test("claim() keeps to itself that a late resource cannot be closed", async () => {
  const bad = {
    [Symbol.dispose]() {
      throw FAILED;
    },
  };
  const claimed = claim(Promise.resolve(bad), AbortSignal.abort(CANCELLED));
  assertStrictEquals(await claimed.catch((error) => error), CANCELLED);
  await new Promise((resolve) => setTimeout(resolve));
});

Deno.test("Deadline aborts when its time is over, and not before", async () => {
  for (const limitMs of [-1, 0, 20.5]) {
    const startedAt = performance.now();
    using deadline = new Deadline(undefined, limitMs, () => LATE);
    const { signal } = deadline;
    assert(!signal.aborted, `${limitMs} ms were over at once`);
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    assertStrictEquals(signal.reason, LATE);
    // Timers count in whole milliseconds.
    assert(performance.now() - startedAt >= limitMs - 1, `${limitMs} ms`);
  }
});

Deno.test("Deadline without a limit has no clock", () => {
  // The sanitizer of operations would see a timer that is left.
  for (const limitMs of [undefined, Infinity]) {
    const deadline = new Deadline(undefined, limitMs, () => LATE);
    assert(!deadline.signal.aborted);
  }
});

Deno.test("Deadline passes an abort on, also one that was before", () => {
  const controller = new AbortController();
  using before = new Deadline(controller.signal, 60_000, () => LATE);
  controller.abort(CANCELLED);
  using after = new Deadline(controller.signal, 60_000, () => LATE);
  assertStrictEquals(before.signal.reason, CANCELLED);
  assertStrictEquals(after.signal.reason, CANCELLED);
});

Deno.test("Deadline keeps the first reason", () => {
  const controller = new AbortController();
  using deadline = new Deadline(controller.signal);
  deadline.abort(LATE);
  controller.abort(CANCELLED);
  deadline.abort(FAILED);
  assertStrictEquals(deadline.signal.reason, LATE);
});

Deno.test("Deadline does nothing any more once it is disposed of", () => {
  const controller = new AbortController();
  const deadline = new Deadline(controller.signal, 60_000, () => LATE);
  deadline[Symbol.dispose]();
  deadline[Symbol.dispose]();
  controller.abort(CANCELLED);
  assert(!deadline.signal.aborted);
});

Deno.test("Deadlines can be nested: the shortest counts", async () => {
  using outer = new Deadline(undefined, 5, () => LATE);
  using inner = new Deadline(outer.signal, 60_000, () => FAILED);
  const never = claim(new Promise<Resource>(() => {}), inner.signal);
  assertStrictEquals(await never.catch((error) => error), LATE);
});

Deno.test("onAbort() calls once, at once when aborted already, and not when disposed of", () => {
  const controller = new AbortController();
  const calls: string[] = [];
  onAbort(controller.signal, () => calls.push("before"));
  onAbort(controller.signal, () => calls.push("never"))[Symbol.dispose]();
  assertEquals(calls, []);
  controller.abort();
  onAbort(controller.signal, () => calls.push("after"));
  assertEquals(calls, ["before", "after"]);
});

Deno.test("claim() discards what comes late as it is told to", async () => {
  const late = Promise.withResolvers<Disposable>();
  const discarded = Promise.withResolvers<Disposable>();
  const aborted = AbortSignal.abort(new Error("too late"));
  const claimed = claim(late.promise, aborted, discarded.resolve);
  await assertRejects(() => claimed, Error, "too late");
  const resource = { [Symbol.dispose]: () => fail("it was disposed of") };
  late.resolve(resource);
  assertStrictEquals(await discarded.promise, resource);
});
