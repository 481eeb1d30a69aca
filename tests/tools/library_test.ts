/** docs/library.md: its example is run, and is what the package exports. */

import { assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { mapFlags } from "../../scripts/deno.ts";
import { Folder } from "../helpers/folder.ts";
import { run } from "../helpers/process.ts";

const ROOT = new URL("../../", import.meta.url);

Deno.test("the example of docs/library.md runs, with the types that it says", async () => {
  const text = await Deno.readTextFile(new URL("docs/library.md", ROOT));
  const [, example = ""] = /```ts\n([^]*?)```/.exec(text) ?? [];
  const api = new URL(config.exports["./api"], ROOT).href;
  const published = `jsr:${config.name}/api`;
  using folder = new Folder();
  const path = `${folder.path}/example.ts`;
  await Deno.writeTextFile(path, example.replace(published, api));
  const flags = [...await mapFlags(), "--no-config", "--check"];
  const rights = ["--no-prompt", "--allow-net", "--allow-ffi"];
  await using started = run(
    [Deno.execPath(), "run", "--quiet", ...flags, ...rights, path],
  );
  const { code, stdout, stderr } = await started.result();
  assertEquals({ code, stdout }, { code: 0, stdout: "hello, world\n" }, stderr);
});
