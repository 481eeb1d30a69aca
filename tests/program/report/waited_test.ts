/** What a run has waited for: in the summary, on SIGUSR2, in events, in the meter. */

import { assert, assertEquals } from "@std/assert";
import { MiB, randomBytes } from "../../helpers/bytes.ts";
import { until } from "../../helpers/deadlines.ts";
import { eventsOf } from "../../helpers/events.ts";
import type { Running } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";

/** Asks again and again how far it is, until the answer is the one that is wanted. */
async function asked(process: Running, wanted: RegExp): Promise<void> {
  await until(() => {
    process.kill("SIGUSR2");
    return wanted.test(process.stderr.text()) || undefined;
  }, `${wanted}`);
}

for (const engine of [[], ["--limit-rate", "1G"]]) {
  const by = engine.length === 0 ? "poll(2)" : "the pipe";
  Deno.test(`SIGUSR2 says that stdout is waited for while it is (${by})`, async () => {
    const options = { heldStdout: true };
    const { server, at } = await listener([...engine, "-v"], options);
    await using _ = server;
    const bytes = randomBytes(16 * MiB);
    await using client = sockpipe(["--connect", at.address], { stdin: bytes });
    await asked(server, /\d\d+ % of the time waiting for the reader of stdout/);
    server.stdout.release();
    assertEquals(await client.code(), 0);
    assertEquals(await server.code(), 0);
  });
}

Deno.test("closed has waitedMs for both directions, and what TCP knows", async () => {
  const { server, at } = await listener();
  await using _ = server;
  await using client = sockpipe(["--connect", at.address, "--json"], {
    stdin: "piped",
  });
  await client.said(/connected/);
  const startedAt = performance.now();
  await until(() => performance.now() - startedAt > 300 || undefined, "time");
  await client.endStdin();
  const { all } = await eventsOf(client);
  const closed = all.at(-1) ?? {};
  const { waitedMs } = closed;
  assert(typeof waitedMs === "object" && waitedMs !== null);
  const { stdin } = waitedMs as Record<string, number>;
  assert(stdin !== undefined && stdin >= 290 && stdin < 10_000, `${stdin}`);
  if (Deno.build.os !== "linux") return;
  assertEquals(closed.retransmits, 0);
  assert(Number(closed.roundTripMs) > 0);
});

Deno.test("--progress names what it waits for, but not at the end", async () => {
  const { server, at } = await listener(["--receive-only"]);
  await using _ = server;
  await using client = sockpipe(
    ["--connect", at.address, "--progress", "--json"],
    { stdin: "piped" },
  );
  await client.feed("some");
  await client.said(/"event":"progress".*"slow":"stdin"/);
  await client.endStdin();
  assertEquals(await client.code(), 0);
});
