/** pipe(): how its directions end, each on its own, on two ends in memory. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { LocalIoError, TimeLimitError } from "../../../lib/base/errors.ts";
import { pipe, type PipeOptions } from "../../../lib/pipe/pipe.ts";
import { Traffic } from "../../../lib/pipe/traffic.ts";
import { MemoryEnd } from "../../helpers/memory_end.ts";
import { within } from "../../helpers/deadlines.ts";

interface Started {
  readonly local: MemoryEnd;
  readonly remote: MemoryEnd;
  readonly ended: Promise<void>;
  /** What `onHalfClose` was called with. */
  readonly halves: string[];
}

/** Joins two ends; `prepare` is called with our own before. */
function start(
  options: Partial<PipeOptions> = {},
  prepare: (local: MemoryEnd) => void = () => {},
): Started {
  const [local, remote] = [new MemoryEnd(), new MemoryEnd()];
  prepare(local);
  const halves: string[] = [];
  const joined = pipe(local, remote, {
    signal: new AbortController().signal,
    traffic: new Traffic(),
    idleTimeoutMs: undefined,
    onHalfClose: (side) => halves.push(side),
    ...options,
  });
  const ended = within(joined, "the end of the pipe");
  ended.catch(() => {});
  return { local, remote, ended, halves };
}

Deno.test("our end is passed on at once, and receiving goes on", async () => {
  const { local, remote, ended, halves } = start();
  local.say("question");
  local.finish();
  await remote.sees("question", "end");
  remote.say("answer");
  await local.sees("answer");
  remote.finish();
  await ended;
  assertEquals(local.seen, ["answer", "end"]);
  assertEquals(halves, ["local"]);
});

Deno.test("the peer's end is passed on at once, and sending goes on", async () => {
  const { local, remote, ended, halves } = start();
  remote.finish();
  await local.sees("end");
  local.say("more");
  await remote.sees("more");
  local.finish();
  await ended;
  assertEquals(remote.seen.slice(0, 2), ["more", "end"]);
  assertEquals(halves, ["peer"]);
});

Deno.test("an end that has nothing to send ends after its peer", async () => {
  const { remote, ended } = start({}, (local) => local.sends = false);
  remote.say("all");
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(remote.seen, []);
  remote.finish();
  await ended;
  assertEquals(remote.seen[0], "end");
});

Deno.test("with noHalfClose our end is passed on after the peer's, but said before", async () => {
  const { local, remote, ended, halves } = start({ noHalfClose: true });
  local.say("question");
  local.finish();
  await remote.sees("question");
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals([remote.seen, halves], [["question"], ["local"]]);
  remote.say("answer");
  remote.finish();
  await ended;
  assertEquals(remote.seen.slice(0, 2), ["question", "end"]);
  assertEquals(local.seen, ["answer", "end"]);
});

Deno.test("where a person types, the pipe ends with the peer", async () => {
  const { local, remote, ended } = start({}, (local) => {
    local.endsWithPeer = true;
  });
  remote.say("bye");
  remote.finish();
  await ended;
  assertEquals(local.seen, ["bye", "end"]);
  assertEquals(remote.seen, ["end"]);
});

Deno.test("the peer's end is waited for no longer when our own end is gone", async () => {
  const gone = Promise.withResolvers<void>();
  const { local, remote, ended } = start({}, (local) => {
    local.gone = gone.promise;
  });
  local.finish();
  await remote.sees("end");
  gone.resolve();
  await ended;
});

Deno.test("a break on receiving says what moved, and what may help only where there is a choice", async () => {
  const cases = [[undefined, false], [false, true], [true, false]] as const;
  for (const [noHalfClose, mayHelp] of cases) {
    const { local, remote, ended } = start({ noHalfClose });
    local.finish();
    if (!noHalfClose) await remote.sees("end");
    remote.say("half");
    remote.break();
    const error = await assertRejects(() => ended, Error, "; sent 0 bytes");
    assertEquals(error.message.includes("--no-half-close"), mayHelp);
    assertEquals(local.seen, ["half", "abort"]);
    assertEquals(remote.seen.at(-1), "abort");
  }
});

Deno.test("when stdout fails, both ends are aborted with its error", async () => {
  const { local, remote, ended } = start();
  local.refuse(
    new LocalIoError("Cannot write stdout: no space left on device"),
  );
  remote.say("lost");
  await assertRejects(() => ended, LocalIoError, "no space left");
  assertEquals([local.seen, remote.seen], [["abort"], ["abort"]]);
});

Deno.test("no byte for as long as the idle limit ends it, and each byte puts it off", async () => {
  const traffic = new Traffic();
  const { ended } = start({ traffic, idleTimeoutMs: 60 });
  const startedAt = performance.now();
  const timer = setInterval(() => traffic.addReceived(1), 20);
  await new Promise((resolve) => setTimeout(resolve, 150));
  clearInterval(timer);
  const error = await assertRejects(() => ended, TimeLimitError);
  assert(performance.now() - startedAt >= 150 + 30);
  assertMatch(error.message, /60ms \(--idle-timeout\)/);
});
