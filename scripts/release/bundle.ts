/** The modules in few files, which start faster than many. */

import { mapFlags } from "../deno.ts";
import { run } from "./tool.ts";

/** One module, as `deno info --json` tells of it. */
interface Module {
  readonly specifier: string;
  readonly dependencies?: readonly {
    /** The module that is imported; none where it is for its types only. */
    readonly code?: { readonly specifier: string };
    readonly isDynamic?: boolean;
  }[];
}

/**
 * Bundles `main.ts` into `main.js`, a file for what every start loads, and one for
 * each thing that is loaded when it is needed, all in the folder of the sources.
 *
 * @param tree The folder, which ends in a slash. Sources in it are changed.
 * @throws {Error} They cannot be bundled.
 */
export async function bundle(tree: URL): Promise<void> {
  await shareStart(tree);
  await runDeno(tree, [
    "bundle",
    "--code-splitting",
    // What is shorter is read faster, by 3 ms of a start; the names stay, for the
    // stack of a bug that --verbose shows.
    "--minify",
    "--keep-names",
    "--outdir=.",
    "main.ts",
  ]);
}

/**
 * Makes each module that is loaded late import all that every start loads. It is
 * loaded by then, so nothing else happens; but the bundler, which makes a file for
 * each set of modules that are needed together, now makes one of all these. Without
 * it a start loads forty files, in 5 ms.
 */
async function shareStart(tree: URL): Promise<void> {
  const graph = await readGraph(tree);
  const shared = new Set<string>();
  for (const name of ["main.ts", "client.ts"]) {
    for (const module of graph.get(name)?.now ?? []) shared.add(module);
  }
  for (const module of shared) {
    for (const one of graph.get(module)?.now ?? []) shared.add(one);
  }
  const late = new Set([...graph.values()].flatMap(({ late }) => late));
  const lines = [...shared].map((module) => `import "./${module}";\n`);
  await Deno.writeTextFile(new URL("start.ts", tree), lines.join(""));
  for (const module of late.difference(shared)) {
    const file = new URL(module, tree);
    const source = await Deno.readTextFile(file);
    const top = "../".repeat(module.split("/").length - 1);
    await Deno.writeTextFile(file, `import "./${top}start.ts";\n${source}`);
  }
}

/** The modules that a module imports: at once, and when it needs them. */
interface Imports {
  readonly now: readonly string[];
  readonly late: readonly string[];
}

/** Reads which modules of a folder import which, by their paths in it. */
async function readGraph(tree: URL): Promise<Map<string, Imports>> {
  const text = await runDeno(tree, ["info", "--json", "main.ts"]);
  const { modules }: { modules: readonly Module[] } = JSON.parse(text);
  const paths = (specifier = "") =>
    specifier.startsWith(tree.href) && specifier.endsWith(".ts")
      ? [specifier.slice(tree.href.length)]
      : [];
  return new Map(modules.flatMap(({ specifier, dependencies = [] }) => {
    const imports = (when: "now" | "late") =>
      dependencies.filter(({ isDynamic }) =>
        when === (isDynamic ? "late" : "now")
      )
        .flatMap(({ code }) => paths(code?.specifier));
    const found = { now: imports("now"), late: imports("late") };
    return paths(specifier).map((path) => [path, found]);
  }));
}

/**
 * Runs a subcommand of Deno in a folder.
 *
 * @returns The text that it wrote to stdout.
 * @throws {Error} It failed.
 */
async function runDeno(
  tree: URL,
  [subcommand = "", ...words]: readonly string[],
): Promise<string> {
  const args = [subcommand, "--quiet", ...await mapFlags(tree), ...words];
  const result = await run(Deno.execPath(), args, { cwd: tree });
  if (result.success) return result.stdout;
  throw new Error(`Cannot bundle the modules: ${result.stderr.trim()}`);
}
