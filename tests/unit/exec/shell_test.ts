/** Which commands need no shell. */

import { assertEquals } from "@std/assert";
import { plainWords, shellProgram } from "../../../lib/exec/shell.ts";
import { testWith } from "../../helpers/conditions.ts";
import { run } from "../../helpers/process.ts";

Deno.test("a command of plain words needs no shell", () => {
  for (
    const [command, words] of [
      ["cat", ["cat"]],
      ["  cat\t-u   file.txt ", ["cat", "-u", "file.txt"]],
      ["exec cat", ["cat"]],
      ["exec echo a", ["echo", "a"]],
      ["/usr/bin/env A=1 printenv A", ["/usr/bin/env", "A=1", "printenv", "A"]],
      ["dd bs=64k count=1,2+3%4:5@6", ["dd", "bs=64k", "count=1,2+3%4:5@6"]],
    ] as const
  ) assertEquals(plainWords(command), words, command);
});

Deno.test("what a shell would do more than start a program is left to it", () => {
  for (
    const command of [
      "",
      "   ",
      "exec",
      "exec -a name cat",
      "A=1 cat",
      "exec A=1 cat",
      "cat; cat",
      "cat | cat",
      "cat &",
      "cat\ncat",
      "cat >file",
      "cat <file",
      "echo $HOME",
      "cat `name`",
      "cat 'a b'",
      'cat "a"',
      "cat a\\ b",
      "cat *.txt",
      "cat a?",
      "cat [ab]",
      "cat {a,b}",
      "cat ~",
      "cat # all",
      "(cat)",
      "! cat",
      "cat é",
      "echo hello",
      "read line",
      "test -e file",
      "time cat",
      "if true",
      ". ./file",
      ": nothing",
    ]
  ) assertEquals(plainWords(command), undefined, command);
});

testWith(
  ["bash"],
  "whatever the system's shell does itself is left to it",
  async () => {
    await using listing = run(["bash", "-c", "compgen -b; compgen -k"]);
    const { stdout } = await listing.result();
    const words = stdout.split("\n").filter(Boolean);
    assertEquals(words.filter((word) => plainWords(word) !== undefined), []);
  },
);

Deno.test("shellProgram() gives a command to the system's shell in one piece", () => {
  assertEquals(shellProgram("echo 'a b'", "linux"), {
    path: "/bin/sh",
    words: ["/bin/sh", "-c", "echo 'a b'"],
  });
  assertEquals(shellProgram('type "a b"', "windows"), {
    path: "cmd",
    words: ["cmd", "/d", "/s", "/c", '"type "a b""'],
  });
});
