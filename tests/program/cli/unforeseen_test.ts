/** Errors that no module foresaw. */

import { assertEquals, assertMatch } from "@std/assert";
import { programCommand } from "../../../scripts/program.ts";
import { Folder } from "../../helpers/folder.ts";
import { run } from "../../helpers/process.ts";

/** What goes wrong in a way that no module foresees. */
const UNFORESEEN = {
  "throws":
    "globalThis.AbortController = class { constructor() { throw broken } };",
  "throws later":
    "Deno.listen = (...args) => { setTimeout(() => { throw broken }); return listen(...args) };",
  "rejects":
    "Deno.listen = (...args) => { Promise.reject(broken); return listen(...args) };",
};

for (const [title, code] of Object.entries(UNFORESEEN)) {
  for (const verbose of [false, true]) {
    Deno.test({
      name: `one sentence and exit 1 when something ${title}${
        verbose ? ", and with -v its trace" : ""
      }`,
      // A compiled program cannot be made to fail so.
      ignore: Deno.env.has("SOCKPIPE_BIN"),
      fn: async () => {
        using folder = new Folder();
        const patch = `${folder.path}/patch.js`;
        await Deno.writeTextFile(
          patch,
          `const { listen } = Deno, broken = new TypeError("it is\\nbroken"); ${code}`,
        );
        const [deno = "", command = "", ...words] = await programCommand();
        await using program = run([
          ...[deno, command, `--preload=${patch}`, ...words],
          ...["--listen", "0", ...verbose ? ["--verbose"] : []],
        ]);
        const { code: exit, stdout, stderr } = await program.result();
        assertEquals([exit, stdout], [1, ""], stderr);
        const last = stderr.trimEnd().split("\n").at(-1) ?? "";
        assertMatch(
          last,
          /^sockpipe: unexpected error \(a bug\): it is broken$/,
        );
        assertEquals(/^ +at /m.test(stderr), verbose, stderr);
      },
    });
  }
}
