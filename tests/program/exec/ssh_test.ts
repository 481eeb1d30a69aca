/**
 * ssh through sockpipe, and its server under sockpipe, with real programs: the
 * recipes of docs/recipes.md, and what goes over ssh.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { randomBytes } from "../../helpers/bytes.ts";
import { testWith } from "../../helpers/conditions.ts";
import { canGiveSocket } from "../../helpers/exec.ts";
import { Folder } from "../../helpers/folder.ts";
import { run, type Running, shell } from "../../helpers/process.ts";
import { recipe } from "../../helpers/recipe.ts";
import { closedPort } from "../../helpers/tcp.ts";

/** Not in PATH of everybody, and wants to be called by its whole name. */
const SSHD = "/usr/sbin/sshd";

/** Keys of a server and a user, and a `there` that is this machine. */
class SshFolder extends Folder {
  readonly serverConfig = `${this.path}/sshd_config`;

  /** Makes the keys, and ssh, scp and git in PATH that know them. */
  async furnish(port: number): Promise<void> {
    const { path } = this;
    await ok(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", `${path}/host`]);
    await ok(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", `${path}/user`]);
    const hostKey = await Deno.readTextFile(`${path}/host.pub`);
    await Deno.writeTextFile(`${path}/known`, `there ${hostKey}`);
    await Deno.writeTextFile(
      this.serverConfig,
      `HostKey ${path}/host
AuthorizedKeysFile ${path}/user.pub
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
`,
    );
    await Deno.writeTextFile(
      `${path}/config`,
      `Host there
HostName 127.0.0.1
HostKeyAlias there
Port ${port}
IdentityFile ${path}/user
IdentitiesOnly yes
UserKnownHostsFile ${path}/known
`,
    );
    for (const name of ["ssh", "scp"]) {
      await Deno.writeTextFile(
        `${path}/${name}`,
        `#!/bin/sh\nexec /usr/bin/${name} -F '${path}/config' "$@"\n`,
        { mode: 0o755 },
      );
    }
    await Deno.writeTextFile(
      `${path}/sshd`,
      `#!/bin/sh\nexec ${SSHD} -e -f '${this.serverConfig}' "$@"\n`,
      { mode: 0o755 },
    );
    // Where a server that is started as root puts its unprivileged part.
    if (Deno.uid() === 0) await Deno.mkdir("/run/sshd", { recursive: true });
  }

  /** Runs a script that finds ssh, scp and sshd of this folder. */
  shell(script: string): Running {
    return shell(`cd "$1"; PATH=$PWD:$PATH\n${script}`, [this.path]);
  }
}

async function ok(words: readonly string[]): Promise<void> {
  await using running = run(words);
  const { code, stderr } = await running.result();
  assertEquals(code, 0, stderr);
}

/** Starts a server by itself. */
async function startServer(folder: SshFolder, port: number): Promise<Running> {
  const server = run([
    SSHD,
    "-De",
    "-f",
    folder.serverConfig,
    "-o",
    `ListenAddress 127.0.0.1:${port}`,
  ]);
  await server.said(/Server listening/);
  return server;
}

testWith(
  [SSHD, "ssh", "scp"],
  "ssh and scp reach their server through sockpipe, as the recipe says",
  async () => {
    using folder = new SshFolder();
    const port = closedPort();
    await folder.furnish(port);
    const [command = ""] = await recipe("Reach an ssh server");
    await using nobody = folder.shell(command);
    const refused = await nobody.result();
    assertEquals(refused.code, 255);
    assertMatch(refused.stderr, /sockpipe: cannot connect.*refused/);

    await using _server = await startServer(folder, port);
    await using name = folder.shell(`${command} && hostname`);
    const { code, stdout, stderr } = await name.result();
    assertEquals(code, 0, stderr);
    const [there, here] = stdout.split("\n");
    assertEquals(there, here);

    const data = randomBytes(3_000_000, 51);
    await Deno.writeFile(`${folder.path}/sent`, data);
    await using copy = folder.shell(
      `way='ProxyCommand=sockpipe --connect %h:%p --retries 0'
       scp -qo "$way" sent "there:$PWD/there" && scp -qo "$way" "there:$PWD/there" back &&
       ssh -o "$way" there 'cat; exit 7' < sent > answer`,
    );
    const copied = await copy.result();
    assertEquals(copied.code, 7, copied.stderr);
    for (const file of ["there", "back", "answer"]) {
      assertEquals(await Deno.readFile(`${folder.path}/${file}`), data, file);
    }
  },
);

testWith(
  [SSHD, "ssh", "git"],
  "git clones and pushes over ssh through sockpipe",
  async () => {
    using folder = new SshFolder();
    const port = closedPort();
    await folder.furnish(port);
    await using _server = await startServer(folder, port);
    await using git = folder.shell(
      `export HOME=$PWD GIT_SSH_COMMAND='ssh -o "ProxyCommand=sockpipe --connect %h:%p --retries 0"'
       git config --global user.email a@example.com
       git config --global user.name a
       git init -q --bare repository && git clone -q "there:$PWD/repository" clone &&
       cd clone && head -c 2000000 /dev/urandom > file && git add file &&
       git commit -qm one && git push -q origin HEAD && cd .. &&
       git clone -q "there:$PWD/repository" other && cmp clone/file other/file`,
    );
    const { code, stderr } = await git.result();
    assertEquals(code, 0, stderr);
  },
);

testWith(
  [SSHD, "ssh"],
  "sshd serves each client of sockpipe, as the recipe says",
  async () => {
    if (!await canGiveSocket()) return;
    using folder = new SshFolder();
    const port = closedPort();
    await folder.furnish(port);
    const [serve = "", reach = ""] = await recipe(
      "Run an ssh server for each client",
    );
    const there = serve.replace(":32000", `127.0.0.1:${port}`);
    await using server = folder.shell(`exec ${there}`);
    await server.listening();
    await using client = folder.shell(
      `${reach.replace("32000", `${port}`)} && hostname`,
    );
    const { code, stdout, stderr } = await client.result();
    assertEquals(code, 0, `${stderr}${server.stderr.text()}`);
    const [name, own] = stdout.split("\n");
    assertEquals(name, own);
    await using parallel = folder.shell(
      `for i in 1 2 3; do ssh there "cat | wc -c; exit $i" < host & p="$p $!"; done
       for i in $p; do wait $i; echo $?; done`,
    );
    const lines = (await parallel.result()).stdout.trim().split("\n");
    const { size } = await Deno.stat(`${folder.path}/host`);
    assertEquals(
      lines.toSorted(),
      ["1", "2", "3", `${size}`, `${size}`, `${size}`].toSorted(),
    );
  },
);
