/** Processes that Deno starts. */

import { assertEquals } from "@std/assert";
import { denoChildStarter, launchOf } from "../../../lib/exec/deno_child.ts";
import { DATA_SIZE, testChildren } from "../../helpers/child_contract.ts";

testChildren("Deno.Command", (command) => denoChildStarter(command, DATA_SIZE));

Deno.test("launchOf() leaves the quotes of a command to cmd on Windows", () => {
  assertEquals(launchOf('findstr "a b" "C:\\x y"', "windows"), {
    path: "cmd",
    // As one command line: cmd /d /s /c "findstr "a b" "C:\x y""
    args: ["/d", "/s", "/c", '"findstr "a b" "C:\\x y""'],
    detached: false,
    windowsRawArguments: true,
  });
  assertEquals(launchOf("cat", "darwin"), {
    path: "/bin/sh",
    args: ["-c", "cat"],
    detached: true,
    windowsRawArguments: false,
  });
});
