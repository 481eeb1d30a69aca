/** When a process is waited for, and when it is ended. */

import { assertEquals, assertRejects } from "@std/assert";
import type { Child, ChildStatus } from "../../../lib/exec/child.ts";
import { ProcessEnd } from "../../../lib/exec/process_end.ts";
import { LocalIoError } from "../../../lib/base/errors.ts";

const LINGER_MS = 10;

/** A process that ends when the test says so, or at a signal. */
class FakeChild implements Child {
  readonly #exit = Promise.withResolvers<ChildStatus>();
  readonly #group = Promise.withResolvers<void>();
  readonly #output = Promise.withResolvers<void>();
  readonly status = this.#exit.promise;
  readonly groupEnded = this.#group.promise;
  readonly signals: Deno.Signal[] = [];
  readonly output = {
    read: () => Promise.resolve(null),
    ended: this.#output.promise,
    close: () => this.#output.resolve(),
  };
  readonly input = {
    write: () => Promise.resolve(),
    end: () => Promise.resolve(),
    close: () => {},
  };
  readonly #obeys: readonly Deno.Signal[];

  constructor(obeys: readonly Deno.Signal[] = ["SIGTERM", "SIGKILL"]) {
    this.#obeys = obeys;
  }

  exit(code: number): void {
    this.#exit.resolve({ code, signal: null });
  }

  endOutput(): void {
    this.#output.resolve();
  }

  endGroup(): void {
    this.#group.resolve();
  }

  kill(signal: Deno.Signal): void {
    this.signals.push(signal);
    if (!this.#obeys.includes(signal)) return;
    this.#exit.resolve({ code: 143, signal });
    this.endGroup();
  }
}

function endOf(child: Child): ProcessEnd {
  return new ProcessEnd("work", child, LINGER_MS);
}

/** Long enough for whatever would end a process to have done so. */
const allSteps = () =>
  new Promise((resolve) => setTimeout(resolve, 5 * LINGER_MS));

Deno.test("ProcessEnd: once closed, a process may finish its work", async () => {
  const child = new FakeChild();
  const end = endOf(child);
  child.endOutput();
  end.close();
  await allSteps();
  assertEquals(child.signals, []);
  child.exit(0);
  child.endGroup();
  await end.finished();
});

Deno.test("ProcessEnd: a failure after the close is a failure", async () => {
  const child = new FakeChild();
  const end = endOf(child);
  end.close();
  child.exit(3);
  child.endGroup();
  await assertRejects(
    () => end.finished(),
    LocalIoError,
    'The command "work" ended with exit code 3',
  );
});

Deno.test("ProcessEnd: an abort ends it at once, also after the close", async () => {
  for (const closed of [false, true]) {
    const child = new FakeChild();
    const end = endOf(child);
    if (closed) end.close();
    end.abort();
    end.abort();
    await end.finished();
    assertEquals(child.signals, ["SIGTERM"]);
  }
});

Deno.test("ProcessEnd: whoever ignores SIGTERM is killed, and not waited for for ever", async () => {
  const stubborn = new FakeChild(["SIGKILL"]);
  const end = endOf(stubborn);
  end.abort();
  await end.finished();
  assertEquals(stubborn.signals, ["SIGTERM", "SIGKILL"]);

  const stuck = new FakeChild([]);
  const other = endOf(stuck);
  other.abort();
  await other.finished();
  stuck.endGroup();
});

Deno.test("ProcessEnd: what a process leaves in its group is ended after a while", async () => {
  const child = new FakeChild();
  const end = endOf(child);
  child.exit(4);
  child.endOutput();
  await end.gone;
  assertEquals(child.signals, []);
  end.close();
  // How the process itself ended counts.
  await assertRejects(() => end.finished(), LocalIoError, "exit code 4");
  assertEquals(child.signals, ["SIGTERM"]);
});

Deno.test("ProcessEnd: as long as anybody may write, the peer is not given up", async () => {
  const child = new FakeChild();
  const end = endOf(child);
  child.exit(0);
  await allSteps();
  const now = Promise.resolve("not gone");
  assertEquals(await Promise.race([end.gone, now]), "not gone");
  child.endOutput();
  await end.gone;
  child.endGroup();
  end.close();
  await end.finished();
});

Deno.test("ProcessEnd: all that run are killed together", async () => {
  const children = [new FakeChild(), new FakeChild()];
  const all = children.map(endOf);
  ProcessEnd.killAll();
  assertEquals(children.map(({ signals }) => signals), [
    ["SIGKILL"],
    ["SIGKILL"],
  ]);
  for (const end of all) await end.finished();
  for (const end of all) end.close();
});
