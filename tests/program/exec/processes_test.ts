/** How long the processes of `--exec` live, and what is left of them. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { randomBytes } from "../../helpers/bytes.ts";
import { testWith } from "../../helpers/conditions.ts";
import { until } from "../../helpers/deadlines.ts";
import { exchange } from "../../helpers/echo.ts";
import { canGiveSocket, childrenOf, groupEnd } from "../../helpers/exec.ts";
import { Folder } from "../../helpers/folder.ts";
import { run, shell } from "../../helpers/process.ts";
import { listener } from "../../helpers/program.ts";
import { dial, receive, receiveText } from "../../helpers/tcp.ts";

Deno.test("--exec: a process that has closed its stdout finishes its work after the client has left", async () => {
  using folder = new Folder();
  const file = `${folder.path}/file`;
  const { server, at } = await listener([
    "--exec",
    `exec >&-; sleep 3; cat >'${file}'; exit 4`,
  ]);
  await using _ = server;
  const data = randomBytes(10_000, 41);
  await exchange(at.port, data);
  assertEquals(await server.code(), 8);
  assertEquals(await Deno.readFile(file), data);
});

Deno.test("--exec: a signal ends the wait for a process whose client has left", async () => {
  for (const mode of [[], ["--keep-open", "--grace=0"]]) {
    const { server, at } = await listener([
      ...mode,
      "--exec",
      "echo $$; exec >&-; sleep 1000",
    ]);
    await using _ = server;
    const bytes = await exchange(at.port, new Uint8Array(0));
    const group = new TextDecoder().decode(bytes).trim();
    server.kill("SIGTERM");
    assertEquals(await server.code(), 143);
    await groupEnd(group);
  }
});

Deno.test("--exec: what a command leaves running ends soon after its connection", async () => {
  const { server, at } = await listener([
    "--keep-open",
    "--exec",
    "sleep 1000 >&- 2>&- & echo $$",
  ]);
  await using _ = server;
  const bytes = await exchange(at.port, new Uint8Array(0));
  await groupEnd(new TextDecoder().decode(bytes).trim());
});

testWith(
  ["setsid"],
  "--exec: a process that leaves the group is let alone, and no zombie when it ends",
  async () => {
    const { server, at } = await listener([
      "--keep-open",
      "--exec",
      "setsid sh -c 'echo $$; exec cat >&- <&3' 3<&0 2>&- & wait",
    ]);
    await using _ = server;
    using conn = await dial(at.port);
    const text = await receiveText(conn, 1);
    assertMatch(text, /\d/);
    conn.closeWrite();
    await receive(conn);
    await until(
      async () => (await childrenOf(server)).length === 0 || undefined,
      "the end of all children, zombies too",
    );
  },
);

/** Whether processes can be started in a PID namespace of their own. */
async function canUnshare(): Promise<boolean> {
  await using tried = run(["unshare", "--pid", "--fork", "true"]);
  return await tried.code() === 0;
}

testWith(
  ["unshare", "/proc"],
  "--exec: as PID 1 of a container, everybody is reaped",
  async () => {
    // Before Deno 2.9 there is neither.
    if (!await canUnshare() || !await canGiveSocket()) return;
    await using server = shell(
      `exec unshare --pid --fork --kill-child sockpipe --listen 0 --keep-open --exec 'setsid sleep 0.2 <&- >&- & echo $PPID'`,
    );
    const { port } = await server.listening();
    const answer = await exchange(port, new Uint8Array(0));
    assertEquals(new TextDecoder().decode(answer), "1\n");
    const [first] = await childrenOf(server);
    assert(first);
    await until(async () => {
      await using found = run(["ps", "-o", "pid=", "--ppid", first.trim()]);
      return (await found.result()).stdout === "" || undefined;
    }, "the end of all children, zombies too");
  },
);

testWith(
  ["python3"],
  "--exec where SIGCHLD is ignored at the start",
  async () => {
    await using server = run([
      "python3",
      "-c",
      // Not by a shell, which would not leave it so.
      `import os, shlex, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
words = shlex.split(os.environ["SOCKPIPE_COMMAND"]) + sys.argv[1:]
os.execvp(words[0], words)`,
      "--listen",
      "0",
      "--exec",
      "cat; exit 3",
    ]);
    const { port } = await server.listening();
    const data = randomBytes(1000, 42);
    assertEquals(await exchange(port, data), data);
    const { code, stderr } = await server.result();
    assertEquals(code, 8);
    assertMatch(stderr, /ended with exit code 3\n$/);
  },
);
