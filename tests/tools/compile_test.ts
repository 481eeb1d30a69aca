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

/** Lists the files that are loaded with one. */
function loadedWith(name: string, files: Map<string, string>): string[] {
  const loaded = new Set([name]);
  for (const name of loaded) {
    const text = files.get(name) ?? "";
    for (
      const [, one] of text.matchAll(
        /(?:from|import)"(?:\.\/)?([\w-]+\.js|node:\w+)"/g,
      )
    ) {
      loaded.add(one ?? "");
    }
  }
  return [...loaded];
}

Deno.test("stage() puts what every start loads in one file, with no module of Node", async () => {
  const files = await withStage(filesOf);
  const [first, shared, ...others] = loadedWith("main.js", files);
  assertEquals([first, others], ["main.js", []]);
  const [, client = ""] = /import\("\.\/(client-[^"]+)"\)/
    .exec(files.get("main.js") ?? "") ?? [];
  const more = loadedWith(client, files).filter((name) => name !== shared);
  // Itself, and what it has in common with the listener.
  assert(more.length === 2 && more.every((name) => files.has(name)), `${more}`);
});
