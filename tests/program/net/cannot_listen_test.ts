/** Exit 4: an address that cannot be listened on. */

import { assertEquals } from "@std/assert";
import { testWith } from "../../helpers/conditions.ts";
import { Folder } from "../../helpers/folder.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { assertFails } from "../../helpers/failures.ts";

Deno.test("exit 4 when another listener has the port", async () => {
  const { server, at } = await listener();
  await using _server = server;
  await using second = sockpipe(["--listen", at.address]);
  await assertFails(second, 4, RegExp(`${at.address}.*in use`));
  assertEquals(second.stdout.length, 0);
});

Deno.test("exit 4 when the address is not one of this machine", async () => {
  // TEST-NET-3 of RFC 5737; only bind(2) is tried.
  await using server = sockpipe(["--listen", "203.0.113.7:0"]);
  await assertFails(server, 4, /203\.0\.113\.7/);
});

Deno.test("exit 4 when the name to listen on does not exist", async () => {
  await using server = sockpipe(["--listen", "no-such-host.invalid:0"]);
  await assertFails(server, 4, /no-such-host\.invalid/);
});

testWith(
  ["setpriv"],
  "exit 4 below port 1024 without the right, which the sentence names",
  async () => {
    const start = await Deno.readTextFile(
      "/proc/sys/net/ipv4/ip_unprivileged_port_start",
    );
    const under = Deno.uid() === 0
      ? ["setpriv", "--bounding-set", "-net_bind_service", "--"]
      : [];
    if (Number(start) <= 1) return;
    await using server = sockpipe(["--listen", "1"], { under });
    await assertFails(server, 4, /1024/);
  },
);

Deno.test("exit 4 when the folder of the unix socket is not there", async () => {
  using folder = new Folder();
  const path = `${folder.path}/none/socket`;
  await using server = sockpipe(["--listen", `unix:${path}`]);
  await assertFails(server, 4, RegExp(path));
});

Deno.test("exit 4 when a file stands where the unix socket should be, and the file stays", async () => {
  using folder = new Folder();
  const path = `${folder.path}/file`;
  await Deno.writeTextFile(path, "precious");
  await using server = sockpipe(["--listen", `unix:${path}`]);
  await assertFails(server, 4, RegExp(path));
  assertEquals(await Deno.readTextFile(path), "precious");
});

Deno.test("exit 4 when a living listener has the unix socket, which stays its own", async () => {
  using folder = new Folder();
  const address = `unix:${folder.path}/socket`;
  await using server = sockpipe(["--listen", address]);
  await server.listening();
  await using second = sockpipe(["--listen", address]);
  await assertFails(second, 4, /in use/);
  await using client = sockpipe(["--connect", address], { stdin: "hello" });
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals(server.stdout.text(), "hello");
});
