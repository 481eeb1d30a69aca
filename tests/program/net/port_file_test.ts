/** `--port-file`: the port for scripts. */

import { assertEquals, assertMatch } from "@std/assert";
import { Folder } from "../../helpers/folder.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { until } from "../../helpers/deadlines.ts";

for (const more of [[], ["--keep-open"], ["--reliable"]]) {
  Deno.test(`--port-file has the port once it is open, and nothing else is left${more}`, async () => {
    using folder = new Folder();
    const path = `${folder.path}/port`;
    const { server, at } = await listener(["--port-file", path, ...more]);
    await using _ = server;
    const read = () => Deno.readTextFile(path).catch(() => undefined);
    assertEquals(await until(read, "the port"), `${at.port}\n`);
    assertEquals(folder.names(), ["port"]);
  });
}

Deno.test("--port-file replaces what was there", async () => {
  using folder = new Folder();
  const path = `${folder.path}/port`;
  await Deno.writeTextFile(path, "1\n");
  const { server, at } = await listener(["--port-file", path]);
  await using _ = server;
  const changed = async () => {
    const text = await Deno.readTextFile(path);
    return text === "1\n" ? undefined : text;
  };
  assertEquals(await until(changed, "the port"), `${at.port}\n`);
});

Deno.test("--port-file that cannot be written ends the listener with 8", async () => {
  using folder = new Folder();
  const path = `${folder.path}/missing/port`;
  await using server = sockpipe(["--listen", "0", "--port-file", path]);
  assertEquals(await server.code(), 8);
  assertMatch(server.stderr.text(), /cannot write ".*missing\/port" \(--port/);
});
