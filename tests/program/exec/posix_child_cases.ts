/**
 * The tests of processes that posix_spawn(3) starts, for a process of their own: it
 * takes all of its children from the system, those of other tests too.
 */

import { assert } from "@std/assert";
import { posixChildStarter } from "../../../lib/exec/posix_child.ts";
import { DATA_SIZE, testChildren } from "../../helpers/child_contract.ts";

for (const socket of [false, true]) {
  const kind = `posix_spawn with ${socket ? "a socket" : "pipes"}`;
  testChildren(kind, (command) => {
    const starter = posixChildStarter(command, { dataSize: DATA_SIZE, socket });
    assert(starter);
    return starter;
  });
}
