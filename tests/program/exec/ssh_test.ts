/**
 * ssh through sockpipe, and its server under sockpipe, with real programs: the
 * recipes of docs/recipes.md, and what goes over ssh.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { randomBytes } from "../../helpers/bytes.ts";
import { testWith } from "../../helpers/conditions.ts";
import { canGiveSocket } from "../../helpers/exec.ts";
import { recipe } from "../../helpers/recipe.ts";
import { SSHD, SshFolder } from "../../helpers/sshd.ts";
import { closedPort } from "../../helpers/tcp.ts";

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

    await using _server = await folder.serve(port);
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
    await using _server = await folder.serve(port);
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
