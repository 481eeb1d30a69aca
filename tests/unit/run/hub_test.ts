/** The queues and the lines of the hub by themselves. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { BrokenError, DamagedError } from "../../../lib/base/errors.ts";
import { Hub, type HubStdio } from "../../../lib/run/hub.ts";
import { LineJoiner } from "../../../lib/run/line_joiner.ts";
import { SendQueue } from "../../../lib/run/send_queue.ts";
import { within } from "../../helpers/deadlines.ts";
import { MemoryEnd } from "../../helpers/memory_end.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What a joiner makes of a text in chunks, and its last line. */
function joined(chunks: readonly string[]): string[] {
  const lines = new LineJoiner();
  const out = chunks.map((chunk) => lines.push(encoder.encode(chunk)));
  return [...out, lines.end()].map((bytes) => decoder.decode(bytes));
}

Deno.test("LineJoiner passes on whole lines, wherever the text is cut", () => {
  const text = "one\n\ntwo three\nfour";
  for (let first = 0; first <= text.length; first++) {
    for (let second = first; second <= text.length; second++) {
      const parts = joined([
        text.slice(0, first),
        text.slice(first, second),
        text.slice(second),
      ]);
      for (const part of parts) assert(/^$|\n$/.test(part), part);
      assertEquals(parts.join(""), `${text}\n`);
    }
  }
});

Deno.test("LineJoiner adds no newline after one", () => {
  assertEquals(joined(["a\n"]), ["a\n", ""]);
  assertEquals(joined([]), [""]);
});

Deno.test("LineJoiner takes a line of 1 MiB and refuses a longer one", () => {
  const line = new Uint8Array(1 << 20);
  const lines = new LineJoiner();
  lines.push(line);
  assertEquals(lines.push(Uint8Array.of(10))?.length, line.length + 1);
  lines.push(line);
  assertThrows(() => lines.push(Uint8Array.of(0)), DamagedError, "1M");
  const other = new LineJoiner();
  other.push(line);
  assertThrows(() => other.push(Uint8Array.of(0, 10)), DamagedError, "1M");
});

Deno.test("SendQueue hands on what is put in, joined when it is small, and ends", async () => {
  const queue = new SendQueue(100, undefined);
  for (const text of ["a", "b", "c"]) queue.put(encoder.encode(text));
  queue.finish();
  assertEquals(decoder.decode(await queue.read() ?? undefined), "abc");
  assertEquals(await queue.read(), null);
  assertEquals(await queue.read(), null);
});

Deno.test("SendQueue holds at most its limit, and has room again when that is sent", async () => {
  const queue = new SendQueue(100, undefined);
  assertEquals(queue.put(new Uint8Array(60)), undefined);
  const queued = queue.put(new Uint8Array(60));
  assert(queued instanceof Promise);
  assertEquals((await queue.read())?.length, 60);
  // Only the next read says that the first chunk has been sent.
  const next = queue.read();
  await within(queued, "room");
  assertEquals((await next)?.length, 60);
});

Deno.test("SendQueue takes a chunk that is larger than its limit when it is empty", async () => {
  const queue = new SendQueue(10, undefined);
  assertEquals(queue.put(new Uint8Array(60)), undefined);
  assertEquals((await queue.read())?.length, 60);
});

Deno.test("SendQueue sends what waited for room, though it was finished meanwhile", async () => {
  const queue = new SendQueue(10, undefined);
  queue.put(new Uint8Array(10));
  const queued = queue.put(new Uint8Array(7));
  queue.finish();
  assertEquals(queue.put(new Uint8Array(5)), undefined);
  assertEquals((await queue.read())?.length, 10);
  assertEquals((await queue.read())?.length, 7);
  assertEquals(await queue.read(), null);
  await queued;
});

Deno.test("SendQueue gives up a reader that makes no room, and lets the writer go on", async () => {
  const queue = new SendQueue(10, 20);
  queue.put(new Uint8Array(10));
  await within(
    queue.put(new Uint8Array(10)) ?? Promise.resolve(),
    "the writer",
  );
  await assertRejects(() => queue.overflowed, BrokenError, "--slow-client");
  assertEquals(await queue.read(), null);
});

Deno.test("SendQueue lets a writer go on when it is closed", async () => {
  const queue = new SendQueue(10, undefined);
  queue.put(new Uint8Array(10));
  const queued = queue.put(new Uint8Array(10));
  queue.close();
  await within(queued ?? Promise.resolve(), "the writer");
  assertEquals(await queue.read(), null);
});

Deno.test("LineJoiner passes on whole lines that come with the beginning of one that is too long", () => {
  const lines = new LineJoiner();
  const chunk = new Uint8Array(2 + (1 << 20) + 1).fill(0x78);
  chunk[1] = 10;
  assertEquals(decoder.decode(lines.push(chunk)), "x\n");
  assertThrows(() => lines.end(), DamagedError, "longer than");
  assertEquals(lines.end(), undefined);
});

for (const broker of [false, true]) {
  Deno.test(`Hub ${broker ? "as a broker leaves stdout open" : "ends stdout"} when it is finished`, async () => {
    const stdio: HubStdio & MemoryEnd = new MemoryEnd();
    const options = {
      broker,
      lines: false,
      slowClient: "wait",
      queueSize: 100,
    } as const;
    const hub = new Hub(stdio, options, () => {});
    await hub.finish();
    assertEquals(stdio.seen, broker ? [] : ["end"]);
  });
}
