/** Processes that posix_spawn(3) starts. */

import { assertEquals } from "@std/assert";
import { posixChildStarter } from "../../../lib/exec/posix_child.ts";
import { mapFlags } from "../../../scripts/deno.ts";
import { run } from "../../helpers/process.ts";

/** Whether this runtime can start them. */
function canSpawn(): boolean {
  if (Deno.build.os !== "linux") return false;
  const options = { dataSize: 1, socket: false };
  using starter = posixChildStarter("true", options);
  return starter !== undefined;
}

Deno.test({
  name: "posix_spawn: the contract of processes, in a process of its own",
  ignore: !canSpawn(),
  async fn() {
    const cases = new URL("posix_child_cases.ts", import.meta.url).pathname;
    const words = ["test", ...await mapFlags(), "-A", "--no-check", cases];
    await using tests = run([Deno.execPath(), ...words]);
    const { code, stdout } = await tests.result();
    assertEquals(code, 0, stdout);
  },
});
