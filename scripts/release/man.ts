/**
 * `task man`: writes the man page to dist/sockpipe.1, or to the file that is
 * named. Its date is that of the last commit, so that the same source gives the
 * same page; without git, that of today.
 */

import config from "../../deno.json" with { type: "json" };
import { manPage } from "../../lib/cli/man_page.ts";

const root = new URL("../../", import.meta.url);

/** The day of the last commit, as YYYY-MM-DD. */
async function lastCommitDate(): Promise<string> {
  try {
    const { stdout, success } = await new Deno.Command("git", {
      args: ["log", "-1", "--format=%cs"],
      cwd: root,
      stderr: "null",
    }).output();
    const date = new TextDecoder().decode(stdout).trim();
    if (success && /^\d{4}-\d\d-\d\d$/.test(date)) return date;
  } catch {
    // There is no git.
  }
  return new Date().toISOString().slice(0, 10);
}

const path = Deno.args[0] ?? new URL("dist/sockpipe.1", root).pathname;
await Deno.mkdir(path.replace(/[^/]*$/, "") || ".", { recursive: true });
const { version } = config;
await Deno.writeTextFile(
  path,
  manPage({ version, date: await lastCommitDate() }),
);
Deno.stdout.writeSync(new TextEncoder().encode(`${path}\n`));
