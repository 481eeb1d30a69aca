/** What comes out of the table of options: parser, help, completions, man page. */

import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertStringIncludes,
} from "@std/assert";
import { UsageError } from "../../../lib/base/errors.ts";
import { completions } from "../../../lib/cli/completions.ts";
import { help, shortHelp } from "../../../lib/cli/help.ts";
import { manPage } from "../../../lib/cli/man_page.ts";
import { OPTIONS } from "../../../lib/cli/option_table.ts";
import { parseCommandLine } from "../../../lib/cli/parse.ts";

/** Every option of the contract. */
const CONTRACT = (
  "listen connect data-size message send-only receive-only " +
  "retry-delay retry-max-delay retries retry-timeout connect-timeout " +
  "accept-timeout idle-timeout probe reuse-port ipv4 ipv6 source " +
  "keepalive no-half-close proxy proxy-password-file reconnect output " +
  "overwrite resume receipt check-receipt reliable resume-timeout " +
  "window keep-open lines slow-client connections max-connections " +
  "broker forward exec exec-socket serve allow deny exit-when-idle " +
  "proxy-protocol accept-proxy-protocol port-file tls tls-ca tls-name " +
  "tls-cert tls-key tls-self-signed tls-pin tls-client-ca " +
  "tls-client-pin tls-insecure secret-file new-secret " +
  "forward-secret-file forward-tls progress limit-rate json verbose " +
  "quiet"
).split(" ");

const MAN = manPage({ version: "1.2.3", date: "2026-01-31" });

Deno.test("every option of the contract is in the table", () => {
  const missing = CONTRACT.filter((name) =>
    !OPTIONS.some((option) => option.name === name)
  );
  assertEquals(missing, []);
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
    assertEquals(examples.trimEnd().split("\n").length, 4);
  }
  assert(help().trimEnd().split("\n\n").at(-1)?.startsWith("Exit codes:"));
});

Deno.test("the examples of the help are valid command lines", () => {
  const calls = [...help().matchAll(/sockpipe (--[^|&\n]+)/g)]
    .map(([, words = ""]) => words.trim().split(/ +/))
    .filter((words) => !words.includes("[options]") && words.length > 1);
  assert(calls.length >= 3);
  for (const words of calls) assertEquals(refusal(words), undefined);
});
