/**
 * What comes out of the table of options: parser, help, completions, man page;
 * and what somebody is told who does not write it our way.
 */

import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { parseCommandLine } from "../../lib/cli/parse.ts";
import { help, shortHelp } from "../../lib/cli/help.ts";
import { OPTIONS, SHELLS } from "../../lib/cli/option_table.ts";
import { completions } from "../../lib/cli/completions.ts";
import { UsageError } from "../../lib/base/errors.ts";
import { manPage } from "../../lib/cli/man_page.ts";
import { editDistance, nearest } from "../../lib/cli/nearest.ts";
import { testWith } from "../helpers/conditions.ts";
import { Folder } from "../helpers/folder.ts";
import { run, shell } from "../helpers/process.ts";
import { sockpipe } from "../helpers/program.ts";

/** Section 2 of the contract. */
const CONTRACT = [
  "listen",
  "connect",
  "data-size",
  "message",
  "send-only",
  "receive-only",
  "retry-delay",
  "retry-max-delay",
  "retries",
  "retry-timeout",
  "connect-timeout",
  "accept-timeout",
  "idle-timeout",
  "probe",
  "reuse-port",
  "reliable",
  "keep-open",
  "tls",
  "progress",
  "limit-rate",
  "json",
  "verbose",
  "quiet",
];

/** What the contract has and this version does not; nothing may be added. */
const NOT_YET: readonly string[] = [];

const MAN = manPage({ version: "1.2.3", date: "2026-01-31" });

Deno.test("every option of the contract is in the table", () => {
  const missing = CONTRACT.filter((name) =>
    !OPTIONS.some((option) => option.name === name)
  );
  assertEquals(missing.filter((name) => !NOT_YET.includes(name)), []);
});

for (const { name, short, kind, choices } of OPTIONS) {
  Deno.test(`--${name} is in parser, help, completions and man page`, () => {
    const text = refusal([
      `--${name}` + (kind === "flag" ? "" : `=${choices?.[0] ?? "1"}`),
    ]);
    assert(!text?.includes("is not an option"), text);
    const word = new RegExp(`(?<![\\w-])--${name}(?![\\w-])`);
    assert(word.test(help()), "help");
    for (const shell of ["bash", "zsh"] as const) {
      assert(word.test(completions(shell)), shell);
    }
    assert(new RegExp(` -l ${name} `).test(completions("fish")), "fish");
    const inMan = `\\-\\-${name.replaceAll("-", "\\-")}"`;
    assertStringIncludes(MAN, inMan);
    if (short !== undefined) {
      assertStringIncludes(help(), `  -${short}, --${name}`);
      assertStringIncludes(MAN, `"\\-${short}, ${inMan.slice(0, -1)}"`);
    }
  });
}

/** What the parser says against a command line, if anything. */
function refusal(argv: readonly string[]): string | undefined {
  try {
    parseCommandLine(argv);
    return undefined;
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
}

Deno.test("both helps fit 80 columns and have examples; the long one the exit codes", () => {
  for (const text of [help(), shortHelp()]) {
    for (const line of text.split("\n")) assertLessOrEqual(line.length, 80);
    const examples = text.split("Examples:\n")[1]?.split("\n\n")[0] ?? "";
    assertEquals(examples.trimEnd().split("\n").length, 3);
  }
  assert(help().trimEnd().split("\n\n").at(-1)?.startsWith("Exit codes:"));
});

Deno.test("the examples of the help are valid command lines", () => {
  const calls = [...help().matchAll(/sockpipe (--[^|\n]+)/g)]
    .map(([, words = ""]) => words.trim().split(/ +/))
    .filter((words) => !words.includes("[options]") && words.length > 1);
  assert(calls.length >= 3);
  for (const words of calls) assertEquals(refusal(words), undefined);
});

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
    complete_words sockpipe --listen 1 --rec
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
    await zsh.feed("sockpipe --listen 1 --acce\t");
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

Deno.test("editDistance() counts letters added, left out, exchanged, swapped", () => {
  for (
    const [from, to, distance] of [
      ["", "", 0],
      ["listen", "listen", 0],
      ["listn", "listen", 1],
      ["lissten", "listen", 1],
      ["lisden", "listen", 1],
      ["lisetn", "listen", 1],
      ["", "abc", 3],
      ["kitten", "sitting", 3],
    ] as const
  ) assertEquals(editDistance(from, to), distance);
});

Deno.test("nearest() tells an option that is near, and none that is far", () => {
  const names = OPTIONS.map(({ name }) => name);
  for (
    const [typed, expected] of [
      ["conect", "connect"],
      ["listne", "listen"],
      ["timeout", undefined],
      ["retry", "retry-delay"],
      ["idle-timout", "idle-timeout"],
      ["verboze", "verbose"],
      ["xyz", undefined],
      ["no", undefined],
    ] as const
  ) assertEquals(nearest(typed, names), expected);
});

for (
  const [typed, told] of [
    ["--conect 80", "--conect is not an option: did you mean --connect?"],
    ["--frobnicate", "--frobnicate is not an option: see sockpipe --help"],
    [
      "-l 32000 -N",
      "That is netcat's way: write sockpipe --listen 32000 (:32000 to be reached from other machines; without -N: the end of stdin always ends the sending side)",
    ],
    [
      "host 80",
      "That is netcat's way: write sockpipe --connect host:80",
    ],
    [
      "-l -p 80",
      "That is netcat's way: write sockpipe --listen 80 (:80 to be reached from other machines)",
    ],
    [
      "-zv -w 3 ::1 22",
      "That is netcat's way: write sockpipe --connect [::1]:22 --probe --connect-timeout 3s --verbose",
    ],
    [
      "-w 3 host 80",
      "That is netcat's way: write sockpipe --connect host:80 --connect-timeout 3s --idle-timeout 3s",
    ],
    ["-U /tmp/s", "That is netcat's way: write sockpipe --connect unix:/tmp/s"],
    [
      "-u host 53",
      "sockpipe speaks TCP and unix sockets: for UDP (-u) use netcat or socat",
    ],
    [
      "TCP-LISTEN:8080,fork -",
      "That is socat's way: write sockpipe --listen :8080 --keep-open",
    ],
    ["TCP:host:80 -", "That is socat's way: write sockpipe --connect host:80"],
    [
      "-p 80",
      "-p is netcat's: the port is part of the address: --listen PORT, --connect HOST:PORT",
    ],
    [
      "-z",
      "-z is netcat's: write --connect HOST:PORT --probe, once for each port",
    ],
    [
      "-zv host 20-25",
      "-z is netcat's: write --connect HOST:PORT --probe, once for each port",
    ],
    [
      "-lvnp 4444",
      "That is netcat's way: write sockpipe --listen 4444 --verbose (:4444 to be reached from other machines)",
    ],
    [
      "-lk 80 -e /bin/cat",
      "That is netcat's way: write sockpipe --listen 80 --keep-open --exec '/bin/cat' (:80 to be reached from other machines)",
    ],
    [
      "-x proxy:3128 host 80",
      "That is netcat's way: write sockpipe --connect host:80 (without -x: there are no proxies)",
    ],
    [
      "-s 192.0.2.1 host 80",
      "That is netcat's way: write sockpipe --connect host:80 (without -s: the system chooses the address to come from)",
    ],
    [
      "-o record host 80",
      "That is netcat's way: write sockpipe --connect host:80 --dump record",
    ],
    [
      "--ssl host 443",
      "That is netcat's way: write sockpipe --connect host:443 --tls",
    ],
    [
      "--ssl -l 443",
      "That is netcat's way: write sockpipe --listen 443 --tls-self-signed --tls (:443 to be reached from other machines)",
    ],
    [
      "--recv-only host 80",
      "That is netcat's way: write sockpipe --connect host:80 --receive-only",
    ],
    [
      "-l 80 --sh-exec=date -k",
      "That is netcat's way: write sockpipe --listen 80 --keep-open --exec date (:80 to be reached from other machines)",
    ],
    [
      "--chat -l 80",
      "That is netcat's way: write sockpipe --listen 80 --broker (:80 to be reached from other machines)",
    ],
    ["--proxy a:1 host 2", "--proxy is not an option: see sockpipe --help"],
    [
      "8080",
      '"8080" needs to be told what to do: --listen 8080 waits there, --connect 8080 goes there',
    ],
    [
      "TCP-LISTEN:80,bind=127.0.0.1,fork EXEC:cat",
      "That is socat's way: write sockpipe --listen 127.0.0.1:80 --keep-open --exec 'cat'",
    ],
    [
      "TCP4-LISTEN:80 TCP:there:90",
      "That is socat's way: write sockpipe --listen :80 --forward there:90",
    ],
    [
      "UNIX-CONNECT:/tmp/s -",
      "That is socat's way: write sockpipe --connect unix:/tmp/s",
    ],
    [
      "- OPENSSL:host:443",
      "That is socat's way: write sockpipe --connect host:443 --tls",
    ],
    [
      "UDP:host:53 -",
      "sockpipe speaks TCP and unix sockets: for UDP (UDP:) use netcat or socat",
    ],
    [
      "--listen 80 -N",
      "-N is netcat's: drop it, as the end of stdin always ends the sending side",
    ],
    [
      "-w 3",
      "-w is netcat's: write --connect-timeout D or --idle-timeout D",
    ],
    [
      "-l 80 -q -v",
      "--quiet and --verbose exclude each other: drop one of them",
    ],
    ["-l", "--listen has no value: write --listen ADDRESS"],
  ] as const
) {
  Deno.test(`sockpipe ${typed} is told the sockpipe way`, () => {
    const error = assertThrows(
      () => parseCommandLine(typed.split(" ")),
      UsageError,
    );
    assertEquals(error.message, told);
    const [, proposed] = /write sockpipe ([^(]+)/.exec(told) ?? [];
    if (proposed === undefined) return;
    assertEquals(refusal(proposed.trim().split(" ")), undefined, proposed);
  });
}
