/** The queues and the lines of the hub by themselves. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { BrokenError, DamagedError } from "../../../lib/base/errors.ts";
import { LineJoiner } from "../../../lib/run/line_joiner.ts";
import { Outbox } from "../../../lib/run/send_queue.ts";
import { within } from "../../helpers/deadlines.ts";

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

Deno.test("Outbox hands on what is put in, joined when it is small, and ends", async () => {
  const outbox = new Outbox(100, undefined);
  for (const text of ["a", "b", "c"]) outbox.put(encoder.encode(text));
  outbox.finish();
  assertEquals(decoder.decode(await outbox.read() ?? undefined), "abc");
  assertEquals(await outbox.read(), null);
  assertEquals(await outbox.read(), null);
});

Deno.test("Outbox holds at most its limit, and has room again when that is sent", async () => {
  const outbox = new Outbox(100, undefined);
  assertEquals(outbox.put(new Uint8Array(60)), undefined);
  const queued = outbox.put(new Uint8Array(60));
  assert(queued instanceof Promise);
  assertEquals((await outbox.read())?.length, 60);
  // Only the next read says that the first chunk has been sent.
  const next = outbox.read();
  await within(queued, "room");
  assertEquals((await next)?.length, 60);
});

Deno.test("Outbox takes a chunk that is larger than its limit when it is empty", async () => {
  const outbox = new Outbox(10, undefined);
  assertEquals(outbox.put(new Uint8Array(60)), undefined);
  assertEquals((await outbox.read())?.length, 60);
});

Deno.test("Outbox sends what waited for room, though it was finished meanwhile", async () => {
  const outbox = new Outbox(10, undefined);
  outbox.put(new Uint8Array(10));
  const queued = outbox.put(new Uint8Array(7));
  outbox.finish();
  assertEquals(outbox.put(new Uint8Array(5)), undefined);
  assertEquals((await outbox.read())?.length, 10);
  assertEquals((await outbox.read())?.length, 7);
  assertEquals(await outbox.read(), null);
  await queued;
});

Deno.test("Outbox gives up a reader that makes no room, and lets the writer go on", async () => {
  const outbox = new Outbox(10, 20);
  outbox.put(new Uint8Array(10));
  await within(
    outbox.put(new Uint8Array(10)) ?? Promise.resolve(),
    "the writer",
  );
  await assertRejects(() => outbox.overflowed, BrokenError, "--slow-client");
  assertEquals(await outbox.read(), null);
});

Deno.test("Outbox lets a writer go on when it is closed", async () => {
  const outbox = new Outbox(10, undefined);
  outbox.put(new Uint8Array(10));
  const queued = outbox.put(new Uint8Array(10));
  outbox.close();
  await within(queued ?? Promise.resolve(), "the writer");
  assertEquals(await outbox.read(), null);
});
