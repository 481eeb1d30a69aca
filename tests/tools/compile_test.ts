/** What is compiled: the bundle that `scripts/release/compile.ts` makes. */

import { assert, assertEquals } from "@std/assert";
import { stage } from "../../scripts/release/compile.ts";

/** The files of a folder that is to be compiled, by name. */
async function filesOf(tree: URL): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for await (const { name, isFile } of Deno.readDir(tree)) {
    if (!isFile) continue;
    const file = new URL(name, tree);
    files.set(name, await Deno.readTextFile(file));
    const { mtime } = await Deno.stat(file);
    assertEquals(mtime?.getTime(), 0, name);
  }
  return files;
}

/** Does something with a folder that is to be compiled, and removes it. */
async function withStage<T>(use: (tree: URL) => Promise<T>): Promise<T> {
  const tree = await stage();
  try {
    return await use(tree);
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
}

Deno.test("stage() makes the same files each time, without the time of day", async () => {
  const [first, second] = [await withStage(filesOf), await withStage(filesOf)];
  assertEquals([...first.keys()].sort(), [...second.keys()].sort());
  for (const [name, text] of first) assert(text === second.get(name), name);
});

Deno.test("stage() makes a main module", async () => {
  assert((await withStage(filesOf)).has("main.js"));
});

Deno.test("stage() puts what every start loads in one file", async () => {
  const files = await withStage(filesOf);
  const importsOf = (name: string) =>
    [...(files.get(name) ?? "").matchAll(/(?:from|import)"\.\/([^"]+)"/g)]
      .map(([, imported = ""]) => imported);
  const loaded = new Set(["main.js"]);
  for (const name of loaded) importsOf(name).forEach((one) => loaded.add(one));
  assertEquals(loaded.size, 2, [...loaded].join(", "));
});
