/** The agreement of {@linkcode testOn} and its callers. */

import { fileURLToPath } from "node:url";
import { cached } from "../cache.ts";
import { MAIN, PERMISSIONS, stage } from "../release/compile.ts";
import { mapFlags } from "../deno.ts";
import { runTool } from "../release/tool.ts";

const ROOT = new URL("../../", import.meta.url);
const TESTS = "tests/emulated/both_systems.ts";

/** The longest that anything may take in these tests: an emulator is slow. */
const DEADLINE_MS = 180_000;

/** The reason why the tests for another system cannot be run on this one. */
export class NotHereError extends Error {}

/** Another system's Deno that runs on this machine. */
export interface System {
  /** As the tests know it. */
  readonly name: "arm64" | "wine";
  /**
   * The shell words that start its Deno in place of themselves, so that the process
   * that gets a signal is the one that runs it.
   */
  readonly deno: string;
  /** The unit tests to run in it: all, or those that touch the system. */
  readonly units: readonly string[];
  /** A path of this machine as the other Deno names it. */
  path(path: string): string;
}

/**
 * Gets Deno for another system from npm, in the version that runs this.
 *
 * @param platform As npm's packages are named: `win32-x64`.
 * @returns The folder that the executable is in, in the cache.
 */
export async function denoFor(platform: string): Promise<string> {
  const { deno } = Deno.version;
  return await cached(`deno-${deno}-${platform}`, async (cwd) => {
    const words = ["pack", "--silent", `@deno/${platform}@${deno}`];
    const tarball = (await runTool("npm", words, { cwd })).trim();
    await runTool("tar", ["-xzf", tarball], { cwd });
    return `${cwd}/package`;
  });
}

/**
 * Runs the tests that have one side on another system, and the unit tests in that
 * system's Deno.
 *
 * @returns Whether all passed.
 */
export async function testOn(system: System): Promise<boolean> {
  const tree = await stage();
  try {
    const program = new URL("other", tree);
    const main = system.path(fileURLToPath(new URL(MAIN, tree)));
    const words = [
      "run",
      "--quiet",
      "--no-config",
      "--no-lock",
      ...PERMISSIONS,
    ];
    await writeScript(program, `${system.deno} ${words.join(" ")} '${main}'`);
    const env = {
      SOCKPIPE_OTHER: fileURLToPath(program),
      SOCKPIPE_OTHER_SYSTEM: system.name,
      SOCKPIPE_DEADLINE_MS: String(DEADLINE_MS),
    };
    const both = await test([Deno.execPath()], [TESTS], env);
    const units = fileURLToPath(new URL("units", tree));
    await writeScript(new URL("units", tree), system.deno);
    return await test([units], system.units) && both;
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
}

async function writeScript(file: URL, words: string): Promise<void> {
  const script = `#!/bin/sh\nexec ${words} "$@"\n`;
  await Deno.writeTextFile(file, script, { mode: 0o755 });
}

async function test(
  deno: readonly [string],
  files: readonly string[],
  env: Record<string, string> = {},
): Promise<boolean> {
  const { success } = await new Deno.Command(deno[0], {
    args: ["test", "-A", "--no-check", ...await mapFlags(), ...files],
    cwd: ROOT,
    env,
    stdin: "null",
  }).spawn().status;
  return success;
}

/**
 * Does what a task for another system does: tests on it, or says why not.
 *
 * @param find Gives the system.
 * @returns The exit code.
 */
export async function main(
  find: () => Promise<System & AsyncDisposable>,
): Promise<number> {
  try {
    await using system = await find();
    return await testOn(system) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof NotHereError)) throw error;
    const line = `skipped: ${error.message}\n`;
    Deno.stderr.writeSync(new TextEncoder().encode(line));
    return 0;
  }
}

/** @throws {NotHereError} One of the programs is not installed. */
export async function need(programs: readonly string[]): Promise<void> {
  for (const program of programs) {
    const { success } = await new Deno.Command("sh", {
      args: ["-c", `command -v ${program}`],
      stdout: "null",
    }).output();
    if (!success) throw new NotHereError(`it takes ${program}`);
  }
}
