/** How the end of a process, and of all that it started, is learnt. */

import { assertEquals, assertRejects } from "@std/assert";
import {
  type ExitStatus,
  type Group,
  type ProcessTable,
  Reaper,
} from "../../../lib/exec/reaper.ts";

const OK: ExitStatus = { code: 0, signal: undefined };
const KILLED: ExitStatus = { code: 137, signal: 9 };

/** A system whose processes end when the test says so. */
class FakeTable implements ProcessTable {
  readonly groups = new Set<number>();
  readonly signals: string[] = [];
  readonly #ended: { pid: number; status: ExitStatus }[] = [];

  end(pid: number, status = OK): void {
    this.#ended.push({ pid, status });
  }

  reap() {
    return this.#ended.shift();
  }

  signalGroup(leader: number, signal: number): boolean {
    if (signal !== 0) this.signals.push(`${signal} to ${leader}`);
    return this.groups.has(leader);
  }
}

/** What of a group has ended by now. */
async function seen({ status, ended }: Group): Promise<unknown> {
  const now = Promise.resolve("runs");
  return [await Promise.race([status, now]), await Promise.race([ended, now])];
}

async function started(
  pid = 7,
): Promise<{ table: FakeTable; reaper: Reaper; group: Group }> {
  const table = new FakeTable();
  const reaper = new Reaper(table);
  table.groups.add(pid);
  const group = await reaper.start(() => Promise.resolve(pid));
  return { table, reaper, group };
}

Deno.test("Reaper: a group ends with its leader when nothing else is in it", async () => {
  const { table, reaper, group } = await started();
  reaper.reapAll();
  assertEquals(await seen(group), ["runs", "runs"]);
  table.groups.delete(7);
  table.end(7, KILLED);
  reaper.reapAll();
  assertEquals(await seen(group), [KILLED, undefined]);
});

Deno.test("Reaper: a group outlives its leader, and is signalled until its end", async () => {
  const { table, reaper, group } = await started();
  table.end(7);
  reaper.reapAll();
  assertEquals(await seen(group), [OK, "runs"]);
  group.signal(15);
  table.groups.delete(7);
  // The last one was left to us by the leader.
  table.end(99);
  reaper.reapAll();
  assertEquals(await seen(group), [OK, undefined]);
  // Somebody else's by now.
  table.groups.add(7);
  group.signal(9);
  assertEquals(table.signals, ["15 to 7"]);
});

Deno.test("Reaper: one signal for several children, known and unknown", async () => {
  const { table, reaper, group } = await started();
  table.groups.add(8);
  const other = await reaper.start(() => Promise.resolve(8));
  for (const pid of [100, 8, 101, 7]) table.end(pid);
  table.groups.clear();
  reaper.reapAll();
  assertEquals(await seen(group), [OK, undefined]);
  assertEquals(await seen(other), [OK, undefined]);
});

Deno.test("Reaper: a process that has ended before its number is known", async () => {
  const table = new FakeTable();
  const reaper = new Reaper(table);
  const group = await reaper.start(() => {
    table.end(50);
    table.end(51, KILLED);
    reaper.reapAll();
    return Promise.resolve(51);
  });
  assertEquals(await seen(group), [KILLED, undefined]);
  // The number of one that ended earlier is that of a new process.
  table.groups.add(50);
  assertEquals(
    await seen(await reaper.start(() => Promise.resolve(50))),
    ["runs", "runs"],
  );
});

Deno.test("Reaper: what cannot be started is not followed", async () => {
  const table = new FakeTable();
  const reaper = new Reaper(table);
  await assertRejects(
    () => reaper.start(() => Promise.reject(new Error("no such file"))),
    Error,
    "no such file",
  );
  table.end(3);
  reaper.reapAll();
});
