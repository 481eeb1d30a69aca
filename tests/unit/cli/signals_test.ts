/** Unit tests of the signals. */

import { assertEquals } from "@std/assert";
import { signalsOf } from "../../../lib/cli/signals.ts";

Deno.test("signalsOf() names only signals that the system has", () => {
  const windows = signalsOf("windows");
  assertEquals(windows.end.map(([signal]) => signal), [
    "SIGINT",
    "SIGBREAK",
    "SIGHUP",
  ]);
  assertEquals(windows.status, []);
  assertEquals(signalsOf("linux").status, ["SIGUSR1", "SIGUSR2"]);
  assertEquals(signalsOf("darwin").status, ["SIGUSR1", "SIGUSR2", "SIGINFO"]);
});
