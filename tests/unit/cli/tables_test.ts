/** The documents say what the tables of exit codes and examples say. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { EXAMPLES } from "../../../lib/cli/examples.ts";
import { EXIT_CODES } from "../../../lib/cli/exit_codes.ts";
import { help, shortHelp } from "../../../lib/cli/help.ts";
import { manPage } from "../../../lib/cli/man_page.ts";

async function readDocument(name: string): Promise<string> {
  return await Deno.readTextFile(new URL(`../../../${name}`, import.meta.url));
}

/** The rows of the first table whose first cell is a number: its first and last cell. */
async function readTable(name: string): Promise<string[][]> {
  const text = await readDocument(name);
  const [table = ""] = /(^\| \d.*\n)+/m.exec(text) ?? [];
  return table.trimEnd().split("\n").map((row) => {
    const cells = row.split(/(?<!\\)\|/).slice(1, -1)
      .map((cell) => cell.trim().replaceAll("\\|", "|"));
    return [cells[0] ?? "", cells.at(-1) ?? ""];
  });
}

const TABLE = EXIT_CODES.map(({ codes, meaning }) => [
  codes.join(", "),
  meaning,
]);

for (const name of ["README.md", "docs/exit-codes.md"]) {
  Deno.test(`${name} has the table of exit codes`, async () => {
    assertEquals(await readTable(name), TABLE);
  });
}

Deno.test("README.fr.md has the same exit codes", async () => {
  const codes = (await readTable("README.fr.md")).map(([code]) => code);
  assertEquals(codes, TABLE.map(([code]) => code));
});

Deno.test("help and man page have every exit code and example", () => {
  const man = manPage({ version: "1.2.3", date: "2026-01-31" });
  for (const { codes, short, meaning } of EXIT_CODES) {
    assertStringIncludes(help(), `${codes.join(", ")} ${short}`);
    assertStringIncludes(man, `.B "${codes.join(", ")}"\n`);
    const [words = ""] = meaning.slice(1).split(/[-;:`]/);
    assertStringIncludes(man.replaceAll("\n", " "), words.trimEnd());
  }
  for (const { command } of EXAMPLES) {
    assertStringIncludes(help(), command);
    assertStringIncludes(shortHelp(), command);
    assertStringIncludes(man, command.replaceAll("-", "\\-"));
  }
});

Deno.test("the READMEs begin with the first three examples of the help", async () => {
  for (const name of ["README.md", "README.fr.md"]) {
    const [start = ""] = (await readDocument(name)).split("\n## ");
    for (const { command } of EXAMPLES.slice(0, 3)) {
      assertStringIncludes(start, command);
    }
  }
});
