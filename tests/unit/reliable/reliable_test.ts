/** The loops of our own end: with a peer that never comes, and with chance. */

import { assertEquals, assertRejects } from "@std/assert";
import { LocalIoError } from "../../../lib/base/errors.ts";
import type { LocalEnd } from "../../../lib/pipe/pipe.ts";
import { Traffic } from "../../../lib/pipe/traffic.ts";
import {
  type ReliableContext,
  type ReliableOptions,
  runReliable,
} from "../../../lib/reliable/reliable.ts";
import { Reporter } from "../../../lib/report/reporter.ts";
import { concat, sha256 } from "../../helpers/bytes.ts";
import { ChanceStream } from "../../helpers/chance_stream.ts";
import { within } from "../../helpers/deadlines.ts";
import { drawBytes, seeded } from "../../helpers/seeded.ts";

const NEVER = new Promise<never>(() => {});

const OPTIONS: ReliableOptions = {
  window: 1000,
  heartbeatMs: 0,
  resumeTimeoutMs: 1000,
  digest: false,
  token: undefined,
  idleTimeoutMs: undefined,
  resumesFiles: false,
  hashes: false,
};

function contextOf(traffic: Traffic): ReliableContext {
  return {
    signal: new AbortController().signal,
    report: new Reporter("quiet", () => {}),
    traffic,
  };
}

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
    OPTIONS,
    contextOf(new Traffic()),
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

/** One end of two streams. */
function endOf(source: ChanceStream, sink: ChanceStream) {
  return {
    sends: true,
    endsWithPeer: false,
    source,
    sink,
    peer: "there",
    local: "here",
    close: () => void sink.end(),
    abort: () => void sink.end(),
    [Symbol.dispose]: () => {},
  };
}

/** Reads all that comes. */
async function all(source: ChanceStream): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const bytes = await source.read();
    if (bytes === null) return concat(chunks);
    chunks.push(bytes.slice());
  }
}

for (let seed = 1; seed <= 20; seed++) {
  Deno.test(`a session is right when reads and writes at once move some bytes or none, seed ${seed}`, async () => {
    const random = seeded(seed);
    const stream = () => new ChanceStream(random);
    const [up, down] = [stream(), stream()];
    const sides = [
      { stdin: stream(), stdout: stream(), data: drawBytes(400_000, random) },
      { stdin: stream(), stdout: stream(), data: drawBytes(90_000, random) },
    ] as const;
    const options = { ...OPTIONS, window: 2000 + random() * 200_000 | 0 };
    const [connect, listen] = sides;
    const links = [endOf(up, down)];
    const traffics = [new Traffic(), new Traffic()] as const;
    const runs = [
      runReliable(
        endOf(connect.stdin, connect.stdout),
        {
          role: "connect",
          retries: 0,
          timeoutMs: undefined,
          dial: () => Promise.resolve(endOf(down, up)),
          pause: () => NEVER,
        },
        options,
        contextOf(traffics[0]),
      ),
      runReliable(
        endOf(listen.stdin, listen.stdout),
        {
          role: "listen",
          acceptTimeoutMs: undefined,
          accept: () => Promise.resolve(links.pop() ?? NEVER),
        },
        options,
        contextOf(traffics[1]),
      ),
    ];
    for (const { stdin, data } of sides) {
      await stdin.write(data);
      await stdin.end();
    }
    const received = Promise.all(sides.map(({ stdout }) => all(stdout)));
    const streams = await within(received, "both streams");
    await within(Promise.all(runs), "both ends");
    const sent = sides.toReversed().map(({ data }) => sha256(data.slice()));
    assertEquals(
      await Promise.all(streams.map(sha256)),
      await Promise.all(sent),
    );
    const moved = traffics.map(({ sent, received }) => [sent, received]);
    const lengths = sides.map(({ data }) => data.length);
    assertEquals(moved, [lengths, lengths.toReversed()]);
  });
}
