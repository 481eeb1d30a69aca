/** The documents of every package: man page, completions, texts. */

import config from "../../deno.json" with { type: "json" };
import { completions } from "../../lib/cli/completions.ts";
import { manPage } from "../../lib/cli/man_page.ts";

const ROOT = new URL("../../", import.meta.url);

/** The files beside the program, by where they are in an archive. */
export type Documents = ReadonlyMap<string, string>;

/** @param date The day of the release. */
export async function documents(date: Date): Promise<Documents> {
  const { version } = config;
  const files = new Map([
    ["sockpipe.1", manPage({ version, date: date.toISOString().slice(0, 10) })],
    ["completions/sockpipe.bash", completions("bash")],
    ["completions/_sockpipe", completions("zsh")],
    ["completions/sockpipe.fish", completions("fish")],
  ]);
  for (const name of ["CHANGELOG.md", "LICENSE", "README.md"]) {
    files.set(name, await Deno.readTextFile(new URL(name, ROOT)));
  }
  return files;
}

/**
 * Writes files into a folder, each with its folders.
 *
 * @param folder Ends in a slash.
 */
export async function writeFiles(
  folder: URL,
  files: Iterable<readonly [string, string]>,
): Promise<void> {
  for (const [name, text] of files) {
    const file = new URL(name, folder);
    await Deno.mkdir(new URL(".", file), { recursive: true });
    await Deno.writeTextFile(file, text);
  }
}
