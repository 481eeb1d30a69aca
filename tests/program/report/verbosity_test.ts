/** What `--verbose` and `--quiet` say. */

import { assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { Folder } from "../../helpers/folder.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { rawListener } from "../../helpers/tcp.ts";

Deno.test("-v says each step and whom it waits for, and stdout is exactly the data", async () => {
  const { server, at } = await listener(["-v"], { stdin: "piped" });
  await using _server = server;
  await using client = sockpipe(["--connect", at.address, "-v"], {
    stdin: "data\n",
  });
  await client.said(/waiting for the peer/);
  await server.said(/waiting for .*stdin/);
  await server.endStdin();
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals([client.stdout.text(), server.stdout.text()], ["", "data\n"]);
  const address = at.address.replaceAll(".", "\\.");
  assertMatch(
    client.stderr.text(),
    RegExp(`connecting to ${address}\n.*connected to ${address}`, "s"),
  );
  assertMatch(client.stderr.text(), /sent 5 bytes.*received 0 bytes/);
  assertMatch(server.stderr.text(), /sent 0 bytes, received 5 bytes/);
});

Deno.test("-q says nothing at all when all is well, also while it retries", async () => {
  using folder = new Folder();
  const path = `${folder.path}/socket`;
  await using client = sockpipe(
    ["--connect", `unix:${path}`, "-q", "--retry-delay", "50ms"],
    { stdin: "quiet" },
  );
  await delay(300);
  await using server = sockpipe(["--listen", `unix:${path}`, "--quiet"]);
  assertEquals(await client.result(), { code: 0, stdout: "", stderr: "" });
  assertEquals(await server.result(), { code: 0, stdout: "quiet", stderr: "" });
});

Deno.test("-q still says why it failed", async () => {
  using raw = rawListener();
  await using server = sockpipe(["--listen", `${raw.port}`, "-q"]);
  const { code, stderr } = await server.result();
  assertEquals(code, 4);
  assertMatch(stderr, /^sockpipe: [^\n]*in use[^\n]*\n$/);
});
