/** The commit that is released. */

import { run } from "./tool.ts";

const ROOT = new URL("../../", import.meta.url);

/**
 * Asks git about the repository of these sources.
 *
 * @returns What it printed; `undefined` without git or a git checkout.
 */
export async function askGit(
  args: readonly string[],
): Promise<string | undefined> {
  // Not the repository of a folder around an unpacked archive.
  const words = ["--git-dir=.git", "--work-tree=.", ...args];
  try {
    const { success, stdout } = await run("git", words, { cwd: ROOT });
    return success ? stdout.trim() : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * The time of the last commit, so that the same sources give the same bytes;
 * without git, now.
 */
export async function commitTime(): Promise<Date> {
  const seconds = await askGit(["log", "-1", "--format=%ct"]);
  return seconds ? new Date(Number(seconds) * 1000) : new Date();
}
