/**
 * Compiles sockpipe to executables that need nothing else to run.
 *
 *     task compile                     dist/sockpipe, for this machine
 *     task compile --all               dist/sockpipe-TARGET for every target
 *     task compile --engine=quickjs    on another engine than V8; see docs/platforms.md
 *
 * The modules are bundled first (Deno gets esbuild from npm for it), for the sake
 * of the start; see `bundle.ts`.
 *
 * The same sources give the same bytes: what is compiled is a copy of the
 * modules in a folder of its own, with fixed times, and it names no path of this
 * machine.
 *
 * A given `DENORT_BIN` is the base runtime, whatever else is reachable.
 */

import { fileURLToPath, pathToFileURL } from "node:url";
import { mapFlags } from "../deno.ts";
import { bundle } from "./bundle.ts";
import { askGit } from "./commit.ts";
import { NPM_RUNTIME, npmRuntime } from "./npm_runtime.ts";
import { run } from "./tool.ts";

/** The systems that a release has an executable for, as `deno compile` names them. */
export const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
] as const;

/** One of {@linkcode TARGETS}. */
export type Target = typeof TARGETS[number];

/** The permissions of sockpipe; anything else is refused without a question. */
export const PERMISSIONS: readonly string[] = [
  "--no-prompt",
  "--allow-net",
  "--allow-read", // certificates, --serve, unix sockets
  "--allow-write", // unix sockets
  "--allow-env", // NO_COLOR, and what --exec passes on
  "--allow-run", // --exec
  "--allow-ffi", // the C library: to close stdout, to watch it
];

const ROOT = new URL("../../", import.meta.url);

/** The main module of a folder from {@linkcode stage}. */
export const MAIN = "main.js";

/** The oldest Deno for a release: TLS and `--exec` need what came with it. */
const OLDEST_FOR_RELEASE = [2, 9] as const;

/** A program to compile. */
export interface Program {
  /** A folder from {@linkcode stage}, with the trailing slash. */
  readonly tree: URL;
  /** The main module, in the folder. */
  readonly entry: string;
  /** The executable; its folder exists. */
  readonly output: URL;
  /** The system it is for; this machine's unless said. */
  readonly target?: Target;
  /** The JavaScript engine, as `deno compile --engine` has it; V8 unless said. */
  readonly engine?: string | undefined;
}

/** The name of the executable for a target in a release. */
export function releaseName(target: Target): string {
  return `sockpipe-${target}${target.includes("windows") ? ".exe" : ""}`;
}

/**
 * Copies the modules, as they are now, to a new folder outside the repository,
 * and bundles them there: a package.json or node_modules beside the main module
 * would be compiled in.
 *
 * @returns The folder, which the caller removes.
 * @throws {Error} They cannot be bundled. The folder is gone then.
 */
export async function stage(): Promise<URL> {
  const path = await Deno.makeTempDir({ prefix: "sockpipe-compile-" });
  const tree = pathToFileURL(`${path}/`);
  await copyFiles(ROOT, tree, /\.ts$|^deno\.(json|lock)$/);
  for (const folder of ["lib/", "scripts/npm_only/"]) {
    await copyTree(new URL(folder, ROOT), new URL(folder, tree));
  }
  await nameCommit(new URL("lib/cli/version.ts", tree));
  try {
    await bundle(tree);
    await forgetTimes(tree);
  } catch (error) {
    await Deno.remove(tree, { recursive: true });
    throw error;
  }
  return tree;
}

/** Forgets the times of the files in a folder. */
async function forgetTimes(tree: URL): Promise<void> {
  for await (const { name, isFile } of Deno.readDir(tree)) {
    if (isFile) await forgetTime(new URL(name, tree));
  }
}

/** The executable holds the times of its files. */
async function forgetTime(file: URL): Promise<void> {
  await Deno.utime(file, 0, 0);
}

async function copyTree(from: URL, to: URL): Promise<void> {
  await copyFiles(from, to, /\.(ts|json)$/);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) {
      await copyTree(new URL(`${name}/`, from), new URL(`${name}/`, to));
    }
  }
}

async function copyFiles(from: URL, to: URL, names: RegExp): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isFile } of Deno.readDir(from)) {
    if (!isFile || !names.test(name)) continue;
    await Deno.copyFile(new URL(name, from), new URL(name, to));
    await forgetTime(new URL(name, to));
  }
}

/** Fills the commit, if there is one, into the copy of `version.ts`. */
async function nameCommit(file: URL): Promise<void> {
  const commit = await currentCommit();
  if (commit === undefined) return;
  const source = await Deno.readTextFile(file);
  const named = source.replace(
    'const COMMIT: string = "";',
    `const COMMIT: string = "${commit}";`,
  );
  if (named === source) throw new Error('Cannot find "COMMIT" in version.ts');
  await Deno.writeTextFile(file, named);
  await forgetTime(file);
}

/** `1a2b3c4d5e`, or `1a2b3c4d5e-dirty`; none without git or a git checkout. */
function currentCommit(): Promise<string | undefined> {
  const words = ["describe", "--always", "--abbrev=10", "--dirty"];
  return askGit([...words, "--exclude=*"]);
}

/**
 * Compiles one program.
 *
 * Where Deno cannot download its base runtime, and there is another for the
 * system, says so on stderr and takes that one.
 *
 * @throws {Error} If it cannot be compiled; the output is then as it was before.
 */
export async function compile(program: Program): Promise<void> {
  const args = await compileArguments(program);
  const cwd = program.tree;
  const result = await run(Deno.execPath(), args, { cwd });
  if (result.success) return;
  const reason = missingRuntime(result.stderr);
  const target = program.target ?? Deno.build.target;
  if (reason === undefined) throw new Error(result.stderr.trim());
  if (program.target !== undefined || target !== NPM_RUNTIME.target) {
    throw new Error(
      `Cannot compile for "${target}": Deno ${Deno.version.deno} cannot download its runtime: ${reason}`,
    );
  }
  say(
    `Deno ${Deno.version.deno} cannot download its runtime: ${reason}; taking Deno ${NPM_RUNTIME.deno} and its runtime from npm`,
  );
  await compileWithNpm(args, cwd);
}

async function compileArguments(program: Program): Promise<string[]> {
  const { tree, entry, output, target, engine } = program;
  return [
    "compile",
    "--quiet",
    "--no-check", // `task check` does
    // The cache is a file with a known name in a folder that all may write to,
    // and holds code: another user could put theirs there. It saves 2 ms.
    "--no-code-cache",
    ...await mapFlags(tree),
    ...PERMISSIONS,
    ...(target === undefined ? [] : ["--target", target]),
    ...(engine === undefined ? [] : ["--engine", engine]),
    "--output",
    fileURLToPath(output),
    entry,
  ];
}

/** Finds why the base runtime could not be downloaded, if that is what failed. */
function missingRuntime(stderr: string): string | undefined {
  if (!stderr.includes("Setting up base binary")) return undefined;
  const causes = [...stderr.matchAll(/^\s*\d+: (.+)$/gm)];
  return causes.at(-1)?.[1] ?? "for no known reason";
}

/** Does what `args` say with the Deno that the runtime from npm fits. */
async function compileWithNpm(
  args: readonly string[],
  cwd: URL,
): Promise<void> {
  const env = { DENORT_BIN: await npmRuntime() };
  const words = ["-y", `deno@${NPM_RUNTIME.deno}`, ...args];
  const { success, stderr } = await run("npx", words, { cwd, env });
  if (!success) throw new Error(stderr.trim());
}

function say(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`compile: ${text}\n`));
}

/**
 * Compiles for this machine into a folder, and asks the executable what it is.
 *
 * @param dist Ends in a slash.
 * @returns The executable.
 */
export async function compileHere(
  tree: URL,
  dist: URL,
  engine?: string,
): Promise<URL> {
  const suffix = Deno.build.os === "windows" ? ".exe" : "";
  const output = new URL(`sockpipe${suffix}`, dist);
  await compile({ tree, entry: MAIN, output, engine });
  const path = fileURLToPath(output);
  const { success, stdout, stderr } = await run(path, ["--version"], {
    cwd: dist,
  });
  if (!success) throw new Error(`The executable does not run: ${stderr}`);
  say(`${path}: ${stdout.trim()}`);
  return output;
}

/**
 * Compiles for all targets into a folder, which takes a runtime for each.
 *
 * @param dist Ends in a slash.
 * @throws {Error} Also when this Deno is too old to be in a release.
 */
export async function compileAll(tree: URL, dist: URL): Promise<void> {
  assertFitForRelease(Deno.version.deno);
  if (Deno.env.has("DENORT_BIN")) {
    throw new Error(
      "Cannot compile for all targets: DENORT_BIN is the runtime of one of them; unset it",
    );
  }
  for (const target of TARGETS) {
    const output = new URL(releaseName(target), dist);
    await compile({ tree, entry: MAIN, output, target });
    say(fileURLToPath(output));
  }
}

/** @throws {Error} A release must not be made with this version of Deno. */
export function assertFitForRelease(version: string): void {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_FOR_RELEASE;
  if (major > oldestMajor || major === oldestMajor && minor >= oldestMinor) {
    return;
  }
  throw new Error(
    `Cannot compile a release with Deno ${version}: it takes ${
      OLDEST_FOR_RELEASE.join(".")
    } or newer`,
  );
}

async function main(args: readonly string[]): Promise<number> {
  const [word = "", ...rest] = args;
  const engine = /^--engine=(.+)$/.exec(word)?.[1];
  if (rest.length > 0 || word !== "--all" && word !== "" && !engine) {
    say(
      `Cannot understand "${
        args.join(" ")
      }": nothing, --all or --engine=NAME is possible`,
    );
    return 2;
  }
  const dist = new URL("dist/", ROOT);
  await Deno.mkdir(dist, { recursive: true });
  let tree: URL | undefined;
  try {
    tree = await stage();
    if (word === "--all") await compileAll(tree, dist);
    else await compileHere(tree, dist, engine);
    return 0;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return 1;
  } finally {
    if (tree !== undefined) await Deno.remove(tree, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
