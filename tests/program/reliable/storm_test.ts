/** `--reliable` in a storm; `task storm` is a longer one. */

import { assert, assertEquals } from "@std/assert";
import { storm } from "../../../scripts/storm/storm.ts";
import { SOAK, testWith } from "../../helpers/conditions.ts";

const CUTS = SOAK ? 2000 : 100;

testWith(
  ["/proc"],
  `${CUTS} cuts, and processes that are stopped and killed: nothing false, and all of it ends`,
  async () => {
    const { faulty, cuts } = await storm({ seed: 1, cuts: CUTS, jobs: 4 });
    assertEquals(faulty, []);
    assert(cuts >= CUTS);
  },
);
