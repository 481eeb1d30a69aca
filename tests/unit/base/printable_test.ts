/** Texts from outside: nothing in them steers a terminal or forges a line. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Event } from "../../../lib/report/event.ts";
import { printable } from "../../../lib/base/printable.ts";
import { Reporter } from "../../../lib/report/reporter.ts";
import { SockpipeError } from "../../../lib/base/errors.ts";

const HOSTILE =
  "unix:/\x1b]0;owned\x07\nsockpipe: both sides ended\u202e\x9b1m";
const SAFE =
  "unix:/\\u001b]0;owned\\u0007\\u000asockpipe: both sides ended\\u202e\\u009b1m";

Deno.test("printable() leaves what can be seen as it is", () => {
  for (const text of ["", "a b", "bücher.example", "日本 🎉", "C:\\x", '"a"']) {
    assertEquals(printable(text), text);
  }
});

Deno.test("printable() escapes what cannot be seen, each character for itself", () => {
  assertEquals(
    printable("\0\x1f\x7f\x85\xa0"),
    "\\u0000\\u001f\\u007f\\u0085\xa0",
  );
  assertEquals(printable("\u200f\u2028\u2066"), "\\u200f\\u2028\\u2066");
  assertEquals(printable("a\ud800b\udfffc"), "a\\ud800b\\udfffc");
});

/** Every event that has a text which somebody else may have chosen. */
const EVENTS: Event[] = [
  { event: "listening", address: HOSTILE, exposed: false },
  { event: "connecting", address: HOSTILE, attempt: 1 },
  { event: "retrying", address: "a", reason: HOSTILE, delayMs: 1 },
  { event: "connected", peer: HOSTILE, local: HOSTILE, probe: false },
  { event: "left", peer: HOSTILE, sent: 1, received: 1, connectedMs: 1 },
  {
    event: "failed",
    peer: HOSTILE,
    reason: HOSTILE,
    sent: 1,
    received: 1,
    connectedMs: 1,
  },
  { event: "refused", peer: HOSTILE },
  { event: "handshake-failed", peer: HOSTILE, reason: HOSTILE },
  { event: "insecure", peer: HOSTILE },
];

for (const talk of ["verbose", "json"] as const) {
  Deno.test(`Reporter (${talk}) writes one printable line for each event`, () => {
    const lines: string[] = [];
    const report = new Reporter(talk, (text) => lines.push(text));
    for (const event of EVENTS) report.say(event);
    report.end(1, new SockpipeError(1, `Cannot read "${HOSTILE}"`));
    for (const [index, line] of lines.entries()) {
      assertEquals(line.indexOf("\n"), line.length - 1);
      const text = line.slice(0, -1);
      assertEquals(printable(text), text);
      if (talk === "verbose") assertStringIncludes(text, SAFE);
      else if (index < EVENTS.length) assertEquals(read(text), EVENTS[index]);
    }
    assertEquals(lines.length, EVENTS.length + (talk === "json" ? 2 : 1));
  });
}

/** An event as a program reads it, but for its time. */
function read(line: string): unknown {
  const { time: _, ...event } = JSON.parse(line);
  return event;
}
