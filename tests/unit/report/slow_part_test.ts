/** What holds a transfer up, and how it is said. */

import {
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertStringIncludes,
} from "@std/assert";
import { RateMeter } from "../../../lib/report/meter.ts";
import { Reporter } from "../../../lib/report/reporter.ts";
import { summary } from "../../../lib/report/sentences.ts";
import { slowPart } from "../../../lib/report/slow_part.ts";
import { type WaitedFor, WaitTimes } from "../../../lib/pipe/traffic.ts";

const NOTHING = { stdin: 0, sending: 0, receiving: 0, stdout: 0 };

Deno.test("slowPart() looks at the direction in which more has moved", () => {
  const waitedMs = { stdin: 10, sending: 710, receiving: 1000, stdout: 900 };
  const sent = slowPart({ sent: 9, received: 1, waitedMs }, 1000);
  assertEquals(sent, { what: "sending", share: 0.71 });
  const received = slowPart({ sent: 1, received: 9, waitedMs }, 1000);
  assertEquals(received, { what: "receiving", share: 1 });
  const stuck = {
    sent: 0,
    received: 0,
    waitedMs: { ...waitedMs, stdout: 1001 },
  };
  assertEquals(slowPart(stuck, 1000)?.what, "stdout");
  assertEquals(slowPart(stuck, 2003), undefined);
});

Deno.test("slowPart() has no word for what moved most of the time", () => {
  const waitedMs = { ...NOTHING, stdin: 400, sending: 490 };
  assertEquals(slowPart({ sent: 9, received: 0, waitedMs }, 1000), undefined);
  assertEquals(slowPart({ sent: 9, received: 0, waitedMs }, 0), undefined);
  assertEquals(slowPart({ sent: 9, received: 0 }, 1000), undefined);
});

Deno.test("WaitTimes counts a wait while it lasts, and once", () => {
  const waited = new WaitTimes();
  waited.add("stdin", 5);
  waited.begin("stdout", 100);
  assertEquals(waited.total(103), { ...NOTHING, stdin: 5, stdout: 3 });
  waited.end("stdout", 110);
  assertEquals(waited.total(200), { ...NOTHING, stdin: 5, stdout: 10 });
  waited.end("stdout", 300);
  assertEquals(waited.total(300), { ...NOTHING, stdin: 5, stdout: 10 });
});

Deno.test("the summary says which part was slow, when it lasted long enough", () => {
  const summaryOf = (connectedMs: number) => {
    let said = "";
    const report = new Reporter("verbose", (text) => said += text);
    const waitedMs = { ...NOTHING, stdout: connectedMs * 0.712 };
    report.setTotals(() => ({
      sent: 0,
      received: 2048,
      connectedMs,
      waitedMs,
    }));
    report.end(0);
    return said;
  };
  assertStringIncludes(
    summaryOf(2000),
    ", 71 % of the time waiting for the reader of stdout; 1.00 KiB/s in\n",
  );
  assertNotMatch(summaryOf(900), /waiting/);
});

Deno.test("the summary says what is at both ends, and what the peer waited for", () => {
  const waitedMs = { ...NOTHING, stdin: 3000, stdout: 3000 };
  const sent = { sent: 1, received: 0, connectedMs: 4000 };
  const received = { sent: 0, received: 1, connectedMs: 4000 };
  const peerWaitedMs = { ...NOTHING, stdout: 2400 };
  assertMatch(
    summary({ ...sent, waitedMs, localEnd: "target" }),
    /, 75 % of the time waiting for the target to send;/,
  );
  assertMatch(
    summary({ ...received, waitedMs, localEnd: "command" }),
    /, 75 % of the time waiting for the command to read;/,
  );
  assertMatch(
    summary({ ...received, waitedMs, localEnd: "file" }),
    /for the reader of stdout;/,
  );
  assertMatch(
    summary({
      ...sent,
      waitedMs: { ...NOTHING, sending: 9000 },
      clients: 3,
      clientsMs: 10_000,
    }),
    /, 90 % of the time waiting for clients to take it;/,
  );
  assertMatch(
    summary({ ...sent, peerWaitedMs }),
    /, the peer waiting 60 % of the time for the reader of its stdout;/,
  );
});

Deno.test("the meter names what was slow in the last moments", () => {
  const meter = new RateMeter(undefined, 0);
  const slowAt = (now: number, sent: number, waited: [WaitedFor, number]) => {
    const [what, ms] = waited;
    const waitedMs = { ...NOTHING, [what]: ms };
    const totals = { sent, received: 0, connectedMs: now, waitedMs };
    return meter.measure(totals, now).slow;
  };
  assertEquals(slowAt(1000, 0, ["stdin", 1000]), undefined);
  assertEquals(slowAt(2000, 10, ["stdin", 1900]), "stdin");
  assertEquals(slowAt(3000, 20, ["stdin", 2000]), undefined);
  assertEquals(slowAt(4000, 30, ["sending", 900]), "sending");
});
