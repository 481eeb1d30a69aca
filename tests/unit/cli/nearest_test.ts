/** The option that a mistyped one is near to. */

import { assertEquals } from "@std/assert";
import { editDistance, nearest } from "../../../lib/cli/nearest.ts";
import { OPTIONS } from "../../../lib/cli/option_table.ts";

Deno.test("editDistance() counts letters added, left out, exchanged, swapped", () => {
  for (
    const [from, to, distance] of [
      ["", "", 0],
      ["listen", "listen", 0],
      ["listn", "listen", 1],
      ["lissten", "listen", 1],
      ["lisden", "listen", 1],
      ["lisetn", "listen", 1],
      ["", "abc", 3],
      ["kitten", "sitting", 3],
    ] as const
  ) assertEquals(editDistance(from, to), distance);
});

Deno.test("nearest() tells an option that is near, and none that is far", () => {
  const names = OPTIONS.map(({ name }) => name);
  for (
    const [typed, expected] of [
      ["conect", "connect"],
      ["listne", "listen"],
      ["timeout", undefined],
      ["retry", "retry-delay"],
      ["idle-timout", "idle-timeout"],
      ["verboze", "verbose"],
      ["xyz", undefined],
      ["no", undefined],
    ] as const
  ) assertEquals(nearest(typed, names), expected);
});
