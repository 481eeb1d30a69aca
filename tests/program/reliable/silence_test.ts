/** Peers of `--reliable` that are silent, stopped or killed. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { MiB } from "../../helpers/bytes.ts";
import { until } from "../../helpers/deadlines.ts";
import { sockpipe } from "../../helpers/program.ts";
import { A, B, begun, codes, once, pair } from "../../helpers/reliable_pair.ts";

Deno.test("a connection that is silently dead is found by heartbeat", async () => {
  await using both = await pair({
    args: ["--heartbeat", "500ms"],
    listen: { stdin: A },
    connect: { stdin: B },
    fateOf: once({ kind: "silence", after: MiB }),
  });
  assertEquals(await codes(both), [0, 0]);
  assertEquals(both.connect.stdout.bytes(), A);
  assertEquals(both.listen.stdout.bytes(), B);
  assert(both.line.connections > 1);
});

Deno.test("an idle session is kept alive by heartbeats", async () => {
  await using both = await pair({
    args: ["--heartbeat", "1s", "-v"],
    connect: { stdin: "piped" },
  });
  await begun(both.connect);
  const startedAt = performance.now();
  await until(() => performance.now() - startedAt > 2250 || undefined, "time");
  await both.connect.feed("late");
  await both.connect.endStdin();
  assertEquals(await codes(both), [0, 0]);
  assertEquals(both.listen.stdout.text(), "late");
  assertEquals(both.line.connections, 1);
});

for (const stopped of ["listen", "connect"] as const) {
  Deno.test(`SIGSTOP of the ${stopped}ing side for longer than the heartbeat is survived`, async () => {
    await using both = await pair({
      args: ["--heartbeat", "500ms", "-v"],
      listen: { stdin: "piped" },
      connect: { stdin: "piped" },
    });
    const other = stopped === "listen" ? both.connect : both.listen;
    await begun(both.connect);
    await both.connect.feed(B.subarray(0, MiB));
    await both.listen.stdout.atLeast(MiB);
    both[stopped].kill("SIGSTOP");
    const writing = Promise.all([
      both.connect.feed(B.subarray(MiB)).then(() => both.connect.endStdin()),
      both.listen.feed(A).then(() => both.listen.endStdin()),
    ]);
    await other.said(/broke/);
    both[stopped].kill("SIGCONT");
    await writing;
    assertEquals(await codes(both), [0, 0]);
    assertEquals(both.listen.stdout.bytes(), B);
    assertEquals(both.connect.stdout.bytes(), A);
  });
}

// One side dies or gives up.

for (const killed of ["listen", "connect"] as const) {
  Deno.test(`SIGKILL of the ${killed}ing side in any phase: the other one ends with a failure`, async () => {
    const phases = [
      "idle",
      "bulk",
      "unconfirmed",
      "one way done",
      "cut off",
    ] as const;
    await Promise.all(phases.map((phase) => killIn(phase, killed)));
  });
}

async function killIn(
  phase: "idle" | "bulk" | "unconfirmed" | "one way done" | "cut off",
  killed: "listen" | "connect",
): Promise<void> {
  const heldStdout = phase === "unconfirmed";
  const isBulk = phase === "bulk" || heldStdout;
  await using both = await pair({
    args: ["--resume-timeout", "500ms", "-v"],
    listen: { stdin: "piped", heldStdout },
    connect: { stdin: "piped", heldStdout },
  });
  const sides = [both.listen, both.connect];
  const other = killed === "listen" ? both.connect : both.listen;
  await begun(both.connect);
  if (isBulk) await Promise.all(sides.map((side) => side.feed(B)));
  // All is sent, and nothing of it read from stdout but what a pipe holds.
  if (heldStdout) await Promise.all(sides.map((side) => side.endStdin()));
  if (phase === "one way done") {
    await both[killed].feed("all");
    await both[killed].endStdin();
    await other.stdout.ended;
  }
  if (phase === "cut off") {
    await both.line[Symbol.asyncDispose]();
    await other.said(/broke/);
  }
  both[killed].kill("SIGKILL");
  await other.said(
    /--resume-timeout\); \d+ of \d+ bytes? sent are confirmed/,
  );
  for (const side of sides) side.stdout.release();
  assertEquals(await other.code(), 5, phase);
}

Deno.test("a listener that came back after SIGKILL does not know the session: 6", async () => {
  await using first = await pair({ args: ["-v"], connect: { stdin: "piped" } });
  await begun(first.connect);
  const [, address = ""] = await first.listen.said(/listening on (\S+)/);
  first.listen.kill("SIGKILL");
  await first.listen.code();
  await using second = sockpipe(["--listen", address, "--reliable"]);
  await second.listening();
  assertEquals(await first.connect.code(), 6);
  assertMatch(first.connect.stderr.text(), /does not know it/);
});
