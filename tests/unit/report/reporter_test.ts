/** Unit tests of the reporter. */

import { assertEquals } from "@std/assert";
import { Reporter } from "../../../lib/report/reporter.ts";

Deno.test("Reporter adds what a reliable stream knows", () => {
  let said = "";
  const report = new Reporter("verbose", (text) => said += text);
  report.setTotals(() => ({
    sent: 2048,
    received: 0,
    connectedMs: 1000,
    confirmed: 2048,
    breaks: 2,
  }));
  report.end(0);
  assertEquals(
    said,
    "sockpipe: both sides ended: sent 2048 bytes, received 0 bytes, in 1s, " +
      "2048 bytes confirmed, 2 broken connections survived; 2.00 KiB/s out\n",
  );
});
