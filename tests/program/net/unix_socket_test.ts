/** Unix sockets: their files. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { testWith } from "../../helpers/conditions.ts";
import { Folder } from "../../helpers/folder.ts";
import { run } from "../../helpers/process.ts";
import { sockpipe } from "../../helpers/program.ts";
import { receive, receiveText, send } from "../../helpers/tcp.ts";
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

Deno.test("a unix peer that has ended first is no failure", async () => {
  using folder = new Folder();
  const path = `${folder.path}/socket`;
  using raw = Deno.listen({ transport: "unix", path });
  await using client = sockpipe(["--connect", `unix:${path}`], {
    stdin: "piped",
  });
  await client.feed("question");
  const conn = await raw.accept();
  assertEquals(await receiveText(conn, 8), "question");
  await send(conn, "answer");
  conn.close();
  await client.stdout.match(/answer/);
  await client.endStdin();
  assertEquals(await client.result(), {
    code: 0,
    stdout: "answer",
    stderr: "",
  });
});

testWith(
  ["python3", "/proc"],
  "a client bound to a path of any bytes ends no listener, and cannot steer a terminal",
  async () => {
    using folder = new Folder();
    const path = `${folder.path}/socket`;
    await using server = sockpipe(
      ["--listen", `unix:${path}`, "--keep-open", "--receive-only", "-v"],
    );
    await server.listening();
    const script = `import os, socket, sys
for name in b"\\xff\\xfe", b"\\x1b]0;owned\\x07\\nsockpipe: forged":
    s = socket.socket(socket.AF_UNIX)
    s.bind(os.fsencode(sys.argv[1]) + b"/" + name)
    s.connect(sys.argv[1] + "/socket")
    s.close()
`;
    await using clients = run(["python3", "-c", script, folder.path]);
    assertEquals(await clients.code(), 0, clients.stderr.text());
    await server.said(/owned.* has ended/);
    const text = server.stderr.text();
    assertStringIncludes(
      text,
      "/\\u001b]0;owned\\u0007\\u000asockpipe: forged",
    );
    server.kill("SIGTERM");
    assertEquals(await server.code(), 143);
  },
);
