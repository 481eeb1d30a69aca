/** The frame decoder under its fuzzer, for a moment; `task fuzz` takes longer. */

import { assert } from "@std/assert";
import { type Ending, fuzzDecoder } from "../../../scripts/fuzz/decoder.ts";
import { EFFORT } from "../../helpers/session_plans.ts";

Deno.test("ReceiveBuffer does what the protocol says with whatever may come", () => {
  const count: Record<Ending, number> = {
    whole: 0,
    "within a frame": 0,
    damage: 0,
  };
  for (let seed = 1; seed <= 800 * EFFORT; seed++) count[fuzzDecoder(seed)]++;
  // Otherwise it is always one and the same thing that was tried.
  for (const [ending, cases] of Object.entries(count)) {
    assert(cases > 10, `${cases} ended ${ending}`);
  }
});
