/** The files of the repository as git checks them out. */

import { assertEquals } from "@std/assert";
import { runTool } from "../../scripts/release/tool.ts";
import { testWith } from "../helpers/conditions.ts";

testWith(
  ["git"],
  "a checkout on Windows has the line ends that are checked",
  async () => {
    const cwd = new URL("../../", import.meta.url);
    const files = ["main.ts", "docs/design.md", "scripts/release/install.sh"];
    const words = ["check-attr", "text", "eol", "--", ...files];
    const told = await runTool("git", words, { cwd });
    const expected = files.flatMap((
      name,
    ) => [`${name}: text: auto`, `${name}: eol: lf`]);
    assertEquals(told.trim().split("\n"), expected);
  },
);
