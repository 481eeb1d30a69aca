/** Unix sockets: their files. */

import { assertEquals } from "@std/assert";
import { Folder } from "../../helpers/folder.ts";
import { sockpipe } from "../../helpers/program.ts";
import { receive, send } from "../../helpers/tcp.ts";
import { assertTalk } from "../../helpers/talk.ts";

Deno.test("a unix socket carries both ways and is removed at the end", async () => {
  using folder = new Folder();
  const address = `unix:${folder.path}/a name with spaces é`;
  await using server = sockpipe(["--listen", address], { stdin: "piped" });
  await server.said(/listening on unix:.*é\n/);
  await assertTalk(server, address);
  assertEquals(folder.names(), []);
});

Deno.test("a unix socket is removed as soon as its peer has come", async () => {
  using folder = new Folder();
  const path = `${folder.path}/socket`;
  await using server = sockpipe(["--listen", `unix:${path}`], {
    stdin: "piped",
  });
  await server.listening();
  using conn = await Deno.connect({ transport: "unix", path });
  await send(conn, "first");
  await server.stdout.atLeast(5);
  assertEquals(folder.names(), []);
});

Deno.test("a unix socket that nobody listens on any more is taken over", async () => {
  using folder = new Folder();
  const address = `unix:${folder.path}/socket`;
  await using killed = sockpipe(["--listen", address]);
  await killed.listening();
  killed.kill("SIGKILL");
  await killed.code();
  assertEquals(folder.names(), ["socket"]);
  await using server = sockpipe(["--listen", address], { stdin: "piped" });
  await server.listening();
  await assertTalk(server, address);
});

Deno.test("a file that has taken the place of the unix socket is not removed", async () => {
  using folder = new Folder();
  const path = `${folder.path}/socket`;
  await using server = sockpipe(["--listen", `unix:${path}`]);
  await server.listening();
  await Deno.rename(path, `${path}.moved`);
  await Deno.writeTextFile(path, "precious");
  using conn = await Deno.connect({
    transport: "unix",
    path: `${path}.moved`,
  });
  conn.closeWrite();
  assertEquals(await server.code(), 0);
  assertEquals(await Deno.readTextFile(path), "precious");
});

Deno.test("a unix socket peer that goes away after a part makes exit 1", async () => {
  using folder = new Folder();
  const path = `${folder.path}/socket`;
  using raw = Deno.listen({ transport: "unix", path });
  await using client = sockpipe(["--connect", `unix:${path}`], {
    stdin: "piped",
  });
  const conn = await raw.accept();
  const feeding = client.feed(new Uint8Array(8 << 20)).catch(() => {});
  await receive(conn, 1000);
  conn.close();
  assertEquals(await client.code(), 1);
  await feeding;
});
