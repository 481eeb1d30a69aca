/** Recipes of the documents that are tried by a test of their own. */

import { assert } from "@std/assert";

/** The commands under a heading of docs/recipes.md, one for each shell. */
export async function recipe(title: string): Promise<string[]> {
  const text = await Deno.readTextFile(
    new URL("../../docs/recipes.md", import.meta.url),
  );
  const section = text.split(/^## /m)
    .find((section) => section.startsWith(`${title}\n`));
  assert(section, title);
  return [...section.matchAll(/^```sh\n([\s\S]*?)^```$/gm)]
    .map(([, script = ""]) => script.trim());
}
