import { assertEquals, assertRejects } from "@std/assert";
import { replaceFile } from "../../../lib/base/replace_file.ts";
import { Folder } from "../../helpers/folder.ts";

Deno.test("replaceFile() replaces a file, and leaves others alone", async () => {
  using folder = new Folder();
  const path = `${folder.path}/file`;
  await Deno.writeTextFile(path, "old");
  await Deno.writeTextFile(`${path}.part`, "of somebody else");
  await replaceFile(path, "new");
  assertEquals(await Deno.readTextFile(path), "new");
  assertEquals(await Deno.readTextFile(`${path}.part`), "of somebody else");
  assertEquals(folder.names().length, 2);
});

Deno.test("replaceFile() leaves nothing behind when it fails", async () => {
  using folder = new Folder();
  await Deno.mkdir(`${folder.path}/file`);
  await assertRejects(() => replaceFile(`${folder.path}/file`, "new"));
  assertEquals(folder.names(), ["file"]);
});
