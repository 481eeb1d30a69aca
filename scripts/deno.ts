/**
 * Runs a deno subcommand with an import map that works on this machine:
 *
 *     deno run --quiet -A scripts/deno.ts run --allow-net main.ts --listen 32000
 *
 * `deno.json` maps the `@std` packages to JSR. Where JSR cannot be reached and
 * they are not in Deno's cache either, the subcommand gets `--no-lock` and the
 * map in `scripts/npm_only/`, whose stand-ins need nothing but npm.
 *
 * Which of the two it is, the first call finds out by importing the packages,
 * with a time limit: about 10 ms when they are cached, 60 ms when JSR refuses.
 * It hands the answer down in `SOCKPIPE_NPM_ONLY`, so that tasks inside tasks
 * ask no more. Set beforehand, `1` forces the stand-ins and `0` JSR.
 *
 * The child is the Deno that runs this script. It has stdin, stdout and stderr
 * to itself: this script reads nothing and prints nothing. Signals are passed on
 * to it, and its exit code becomes ours, 128 + n when signal n ended it.
 *
 * As a module, this gives {@linkcode mapFlags} to scripts that start Deno
 * themselves. It must import nothing that the map names.
 */

import standIns from "./npm_only/import_map.json" with { type: "json" };

const NPM_ONLY = "SOCKPIPE_NPM_ONLY";

/**
 * The longest that a start is held up by a network that does not answer, in
 * milliseconds. A slow one goes on filling the cache meanwhile, for next time.
 */
const PROBE_LIMIT_MS = 1500;

/** The subcommands that resolve imports, and so take the flags for it. */
const WITH_IMPORTS: ReadonlySet<string> = new Set([
  "bench",
  "bundle",
  "cache",
  "check",
  "compile",
  "doc",
  "eval",
  "info",
  "install",
  "repl",
  "run",
  "serve",
  "test",
]);

/** The signals that are passed on: all that end a program, or make it talk. */
const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK"]
  : ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"];

/**
 * The flags that make a deno subcommand use the stand-ins, or none where the
 * packages of `deno.json` can be had.
 *
 * @param tree The folder of the sources, whose `scripts/npm_only` is meant; ends
 * in a slash.
 */
export async function mapFlags(
  tree: URL = new URL("../", import.meta.url),
): Promise<string[]> {
  if (!await isNpmOnly()) return [];
  const map = new URL("scripts/npm_only/import_map.json", tree);
  return ["--no-lock", `--import-map=${map}`];
}

/** Whether the stand-ins are to be used; asked once per tree of processes. */
async function isNpmOnly(): Promise<boolean> {
  const known = Deno.env.get(NPM_ONLY);
  if (known === "1" || known === "0") return known === "1";
  const npmOnly = !await canImportPackages();
  Deno.env.set(NPM_ONLY, npmOnly ? "1" : "0");
  return npmOnly;
}

async function canImportPackages(): Promise<boolean> {
  const names = Object.keys(standIns.imports);
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(reject, PROBE_LIMIT_MS);
  try {
    await Promise.race([Promise.all(names.map((name) => import(name))), late]);
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Runs deno with these arguments to its end, with our stdin, stdout and stderr.
 * Signals are passed on to it.
 *
 * @returns Its exit code; 128 + n when signal n ended it.
 */
export async function runDeno(args: readonly string[]): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  for (const signal of SIGNALS) {
    Deno.addSignalListener(signal, () => passOn(signal, child));
  }
  return (await child.status).code;
}

function passOn(signal: Deno.Signal, child: Deno.ChildProcess): void {
  // The console sends these to every process that is attached to it.
  if (Deno.build.os === "windows") return;
  try {
    child.kill(signal);
  } catch {
    // It ended in this moment; its exit code is on the way.
  }
}

if (import.meta.main) {
  const [subcommand = "help", ...rest] = Deno.args;
  const flags = WITH_IMPORTS.has(subcommand) ? await mapFlags() : [];
  // exit(), as an import that got no answer would keep this process alive.
  Deno.exit(await runDeno([subcommand, ...flags, ...rest]));
}
