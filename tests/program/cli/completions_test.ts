/** Completions in real shells, and the man page in real readers. */

import {
  assertEquals,
  assertLessOrEqual,
  assertStringIncludes,
} from "@std/assert";
import { manPage } from "../../../lib/cli/man_page.ts";
import { SHELLS } from "../../../lib/cli/option_table.ts";
import { testWith } from "../../helpers/conditions.ts";
import { Folder } from "../../helpers/folder.ts";
import { run, shell } from "../../helpers/process.ts";
import { sockpipe } from "../../helpers/program.ts";

const MAN = manPage({ version: "1.2.3", date: "2026-01-31" });

testWith(["bash"], "bash completes options, choices and files", async () => {
  using folder = new Folder();
  await Deno.writeTextFile(`${folder.path}/a file.bin`, "");
  await using bash = shell(
    `source <(sockpipe --completions bash)
    compopt() { :; }
    complete_words() {
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sockpipe; echo "\${COMPREPLY[*]}"
    }
    cd "$1"
    complete_words sockpipe --retry-m
    complete_words sockpipe --listen 1 --receive
    complete_words sockpipe --completions ""
    complete_words sockpipe --completions = f
    complete_words sockpipe --completions =
    complete_words sockpipe --dump a
    complete_words sockpipe --size ""
    complete -p sockpipe`,
    [folder.path],
  );
  assertEquals(await bash.result(), {
    code: 0,
    stdout: [
      "--retry-max-delay",
      "--receive-only",
      "bash zsh fish",
      "fish",
      "bash zsh fish",
      "a file.bin",
      "",
      "complete -F _sockpipe sockpipe",
      "",
    ].join("\n"),
    stderr: "",
  });
});

testWith(["fish"], "fish completes options, choices and files", async () => {
  using folder = new Folder();
  await Deno.writeTextFile(`${folder.path}/data.bin`, "");
  await using fish = run([
    "fish",
    "--no-config",
    "-c",
    `
    sockpipe --completions fish | source
    cd ${folder.path}
    for line in --retry-m '--completions ' '--completions=f' '--dump da' '--size ' ''
      complete -C "sockpipe $line" | string replace -r '\\t.*' ''
      echo .
    end`,
  ]);
  const { code, stdout, stderr } = await fish.result();
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout.split(".\n").slice(0, 5), [
    "--retry-max-delay\n",
    "bash\nfish\nzsh\n",
    "--completions=fish\n",
    "data.bin\n",
    "",
  ]);
});

testWith(
  ["zsh", "script"],
  "zsh completes options and choices at its prompt",
  async () => {
    using folder = new Folder();
    await Deno.writeTextFile(
      `${folder.path}/.zshrc`,
      "autoload -U compinit; compinit -D; PS1=ready; " +
        "source <(sockpipe --completions zsh)\n",
    );
    await using zsh = run(
      [
        "env",
        `ZDOTDIR=${folder.path}`,
        "TERM=dumb",
        "script",
        "-qec",
        "zsh -i",
        "/dev/null",
      ],
      { stdin: "piped" },
    );
    await zsh.stdout.match(/ready/);
    await zsh.feed("sockpipe --listen 1 --accept-t\t");
    await zsh.stdout.match(/--accept-timeout=/);
    await zsh.feed("1s --completions f\t");
    await zsh.stdout.match(/--completions fish/);
    await zsh.feed("\x03exit\n");
    await zsh.endStdin();
  },
);

Deno.test("--completions knows three shells", async () => {
  assertEquals([...SHELLS], ["bash", "zsh", "fish"]);
  await using wrong = sockpipe(["--completions", "tcsh"]);
  assertEquals(await wrong.result(), {
    code: 2,
    stdout: "",
    stderr:
      'sockpipe: --completions "tcsh" is not known: it can be bash or zsh or fish\n',
  });
});

testWith(
  ["man", "mandoc"],
  "the man page is clean for man and mandoc",
  async () => {
    using folder = new Folder();
    const path = `${folder.path}/sockpipe.1`;
    await Deno.writeTextFile(path, MAN);
    await using lint = run(["mandoc", "-T", "lint", path]);
    assertEquals(await lint.result(), { code: 0, stdout: "", stderr: "" });
    await using man = run([
      "env",
      "MANWIDTH=80",
      "LC_ALL=C.UTF-8",
      "man",
      "--warnings",
      "-l",
      path,
    ]);
    const { code, stdout, stderr } = await man.result();
    assertEquals([code, stderr], [0, ""]);
    for (const line of stdout.split("\n")) assertLessOrEqual(line.length, 80);
    assertStringIncludes(stdout, "--retry-max-delay D");
    assertStringIncludes(stdout, "sockpipe 1.2.3");
  },
);
