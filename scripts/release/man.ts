/**
 * `task man`: writes the man page to dist/sockpipe.1, or to the file that is
 * named. Its date is that of the last commit.
 */

import config from "../../deno.json" with { type: "json" };
import { manPage } from "../../lib/cli/man_page.ts";
import { commitTime } from "./commit.ts";

const root = new URL("../../", import.meta.url);
const path = Deno.args[0] ?? new URL("dist/sockpipe.1", root).pathname;
await Deno.mkdir(path.replace(/[^/]*$/, "") || ".", { recursive: true });
const date = (await commitTime()).toISOString().slice(0, 10);
await Deno.writeTextFile(path, manPage({ version: config.version, date }));
Deno.stdout.writeSync(new TextEncoder().encode(`${path}\n`));
