/** `--output`: a file that appears when all of it has arrived. */

import { createHash } from "node:crypto";
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { randomBytes } from "../../helpers/bytes.ts";
import { exists, Folder, writtenTo } from "../../helpers/folder.ts";
import { listener, sockpipe } from "../../helpers/program.ts";

/** The permissions of a file. */
async function permissionsOf(path: string): Promise<number> {
  return ((await Deno.stat(path)).mode ?? 0) & 0o777;
}

const DATA = randomBytes(3_000_000);
const SHA256 = createHash("sha256").update(DATA).digest("hex");

Deno.test("--output: FILE appears whole, from FILE.part, and nothing on stdout", async () => {
  using folder = new Folder();
  const path = `${folder.path}/file`;
  const { server, at } = await listener(["--output", path, "--receive-only"]);
  await using _server = server;
  await using client = sockpipe(["--connect", at.address], { stdin: "piped" });
  await client.feed(DATA.subarray(0, 1_000_000));
  await writtenTo(`${path}.part`, 1_000_000);
  assertEquals(await permissionsOf(`${path}.part`), 0o600);
  assert(!exists(path));
  await client.feed(DATA.subarray(1_000_000));
  await client.endStdin();
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals(await Deno.readFile(path), DATA);
  assertEquals(folder.names(), ["file"]);
  assertEquals(server.stdout.text(), "");
  assertMatch(
    server.stderr.text(),
    /3000000 bytes are on the disk: .*file, in [\d.]+m?s, [\d.]+ .*B\/s, /,
  );
  assertStringIncludes(server.stderr.text(), `sha256 ${SHA256}\n`);
  const mode = await permissionsOf(path);
  await Deno.writeTextFile(`${folder.path}/other`, "");
  assertEquals(mode, await permissionsOf(`${folder.path}/other`));
});

Deno.test("--output with --reliable: 0 at the sender means that FILE is there", async () => {
  using folder = new Folder();
  const path = `${folder.path}/file`;
  const { server, at } = await listener([
    ...["--reliable", "--receive-only", "--output", path],
  ]);
  await using _server = server;
  const args = ["--connect", at.address, "--reliable", "--send-only"];
  await using client = sockpipe(args, { stdin: DATA });
  assertEquals(await client.code(), 0);
  assertEquals(await Deno.readFile(path), DATA);
  assertEquals(await server.code(), 0);
  assertStringIncludes(server.stderr.text(), `sha256 ${SHA256}\n`);
});

Deno.test("--output: a message over a unix socket, connecting side", async () => {
  using folder = new Folder();
  const address = `unix:${folder.path}/socket`;
  await using server = sockpipe(["--listen", address, "--message", "hello"]);
  const args = ["--connect", address, "--output", `${folder.path}/file`];
  await using client = sockpipe([...args, "--retry-delay", "20ms"]);
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals(await Deno.readTextFile(`${folder.path}/file`), "hello");
});

Deno.test("--output: an existing FILE is refused before anything is opened", async () => {
  using folder = new Folder();
  const path = `${folder.path}/file`;
  await Deno.writeTextFile(path, "old");
  await using server = sockpipe(["--listen", "0", "--output", path]);
  const { code, stderr } = await server.result();
  assertEquals(code, 8);
  assertMatch(
    stderr,
    /^sockpipe: cannot write ".*file": it exists; give --overwrite/,
  );
  assertEquals(folder.names(), ["file"]);
});

Deno.test("--overwrite: the old FILE is there until the new one is complete", async () => {
  using folder = new Folder();
  const path = `${folder.path}/file`;
  await Deno.writeTextFile(path, "old");
  const { server, at } = await listener([
    ...["--output", path, "--overwrite", "--receive-only"],
  ]);
  await using _server = server;
  await using client = sockpipe(["--connect", at.address], { stdin: "piped" });
  await client.feed("new");
  await writtenTo(`${path}.part`, 3);
  assertEquals(await Deno.readTextFile(path), "old");
  await client.endStdin();
  assertEquals([await client.code(), await server.code()], [0, 0]);
  assertEquals(await Deno.readTextFile(path), "new");
  assertEquals(folder.names(), ["file"]);
});

Deno.test("--output: after a sender that was killed, FILE.part stays and FILE is not there", async () => {
  using folder = new Folder();
  const path = `${folder.path}/file`;
  const words = ["--output", path, "--no-half-close"];
  const { server, at } = await listener([...words, "--idle-timeout", "0.5m"]);
  await using _server = server;
  await using client = sockpipe(["--connect", at.address], { stdin: "piped" });
  await client.feed(DATA);
  await writtenTo(`${path}.part`, DATA.length);
  client.kill("SIGKILL");
  const { code, stderr } = await server.result();
  assertEquals(code, 1);
  assertStringIncludes(
    stderr,
    `3000000 bytes are kept in ${path}.part; to go on from there, with --reliable --resume on both sides: ` +
      `sockpipe --reliable --resume --listen 0 --output ${path} --idle-timeout 0.5m\n`,
  );
  assertEquals(folder.names(), ["file.part"]);
  assertEquals(await Deno.readFile(`${path}.part`), DATA);
});

Deno.test("--output: a FILE that appears meanwhile stays, and ends the run at once", async () => {
  using folder = new Folder();
  const path = `${folder.path}/file`;
  const { server, at } = await listener(["--output", path], { stdin: "piped" });
  await using _server = server;
  await using client = sockpipe(["--connect", at.address], { stdin: "piped" });
  await client.feed("new");
  await writtenTo(`${path}.part`, 3);
  await Deno.writeTextFile(path, "mine");
  await client.endStdin();
  assertEquals([await server.code(), await client.code()], [8, 1]);
  assertMatch(server.stderr.text(), /a file of that name has appeared/);
  assertEquals(await Deno.readTextFile(path), "mine");
  assertEquals(await Deno.readTextFile(`${path}.part`), "new");
});

Deno.test("--output: what cannot or must not be written is said at once", async () => {
  using folder = new Folder();
  const { path } = folder;
  await Deno.writeTextFile(`${path}/victim`, "precious");
  await Deno.symlink(`${path}/victim`, `${path}/linked.part`);
  await Deno.link(`${path}/victim`, `${path}/twice.part`);
  await Deno.mkdir(`${path}/folder.part`);
  await Deno.mkdir(`${path}/folder`);
  await Deno.symlink(`${path}/victim`, `${path}/alias`);
  const cases: Record<string, RegExp> = {
    alias: /alias": it is a link, and would be replaced itself/,
    linked: /linked\.part is not a regular file/,
    twice: /twice\.part has another name, too/,
    folder: /it is a directory/,
    "none/file": /no such file/,
  };
  for (const [name, pattern] of Object.entries(cases)) {
    const args = ["--listen", "0", "--overwrite", "--output"];
    await using server = sockpipe([...args, `${path}/${name}`]);
    const { code, stderr } = await server.result();
    assertEquals(code, 8, name);
    assertMatch(stderr, pattern);
    assert(!stderr.includes("listening"));
  }
  assertEquals(await Deno.readTextFile(`${path}/victim`), "precious");
});

Deno.test("--output: two runs do not write to one FILE.part", async () => {
  using folder = new Folder();
  const output = ["--output", `${folder.path}/file`];
  const { server } = await listener(output);
  await using _server = server;
  await using second = sockpipe(["--listen", "0", ...output]);
  const { code, stderr } = await second.result();
  assertEquals(code, 8);
  assertMatch(stderr, /is being written by another run/);
});
