/** The source of the program, as the tests of its form read it. */

const ROOT = new URL("../../", import.meta.url);

/** The modules at the top level. */
export const TOP = ["main.ts", "server.ts", "client.ts", "framing.ts"];

/** Lists the paths of all modules of the program, from the root. */
export function sourcePaths(): string[] {
  return [...TOP, ...pathsIn("lib/")].toSorted();
}

/** Finds the paths of all modules in a folder, from the root. */
export function* pathsIn(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, ROOT))) {
    if (isDirectory) yield* pathsIn(`${folder}${name}/`);
    else if (name.endsWith(".ts")) yield folder + name;
  }
}

/** Reads the text of a module. */
export function readSource(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** Walks the syntax tree of a module by the parser of `deno lint`. */
export function visitSource(
  path: string,
  text: string,
  rule: Deno.lint.LintVisitor,
): void {
  Deno.lint.runPlugin(
    { name: "form", rules: { form: { create: () => rule } } },
    path,
    text,
  );
}
