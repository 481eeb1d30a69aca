/** The loops of our own end, with a peer that never comes. */

import { assertRejects } from "@std/assert";
import { LocalIoError } from "../../../lib/base/errors.ts";
import type { LocalEnd } from "../../../lib/pipe/pipe.ts";
import { Traffic } from "../../../lib/pipe/traffic.ts";
import { runReliable } from "../../../lib/reliable/reliable.ts";
import { Reporter } from "../../../lib/report/reporter.ts";
import { within } from "../../helpers/deadlines.ts";

const NEVER = new Promise<never>(() => {});

/** Runs the listening side; the local end has `failed`, or its sink has. */
async function runWith(
  failed: Promise<never>,
  on: "end" | "sink",
): Promise<void> {
  const local: LocalEnd = {
    sends: true,
    endsWithPeer: false,
    source: { read: () => NEVER },
    sink: {
      write: () => Promise.resolve(),
      end: () => Promise.resolve(),
      ...on === "sink" ? { failed } : {},
    },
    ...on === "end" ? { failed } : {},
    close() {},
    abort() {},
    [Symbol.dispose]() {},
  };
  await runReliable(
    local,
    { role: "listen", acceptTimeoutMs: undefined, accept: () => NEVER },
    {
      window: 1000,
      heartbeatMs: 0,
      resumeTimeoutMs: 1000,
      digest: false,
      token: undefined,
      idleTimeoutMs: undefined,
      resumesFiles: false,
      hashes: false,
    },
    {
      signal: new AbortController().signal,
      report: new Reporter("quiet", () => {}),
      traffic: new Traffic(),
    },
  );
}

for (const on of ["end", "sink"] as const) {
  Deno.test(`a session ends when the local ${on} fails that is neither read nor written`, async () => {
    const { promise, reject } = Promise.withResolvers<never>();
    const run = runWith(promise, on);
    reject(new LocalIoError("the disk is full"));
    await assertRejects(
      () => within(run, "the end of the run", 5000),
      LocalIoError,
      "the disk is full",
    );
  });
}
