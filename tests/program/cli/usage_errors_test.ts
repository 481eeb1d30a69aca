/** Usage errors, help and version: nothing is opened. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { sockpipe } from "../../helpers/program.ts";
import { accept, dial, rawListener } from "../../helpers/tcp.ts";

for (const option of ["--help", "-h", "--version", "-V"]) {
  Deno.test(`exit 0 for ${option}, which speaks on stdout`, async () => {
    await using help = sockpipe([option]);
    const { code, stdout, stderr } = await help.result();
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /sockpipe|\d+\.\d+\.\d+/);
    assert(stdout.endsWith("\n"));
  });
}

Deno.test("--help names every option of the contract within 80 columns", async () => {
  await using help = sockpipe(["--help"]);
  const { stdout } = await help.result();
  const options = "listen connect data-size message send-only receive-only " +
    "retry-delay retry-max-delay retries retry-timeout connect-timeout " +
    "accept-timeout idle-timeout probe reuse-port verbose quiet";
  for (const option of options.split(" ")) {
    assertMatch(stdout, RegExp(`--${option}\\b`));
  }
  const longest = Math.max(...stdout.split("\n").map((line) => line.length));
  assert(longest <= 80, `a line of ${longest} columns`);
});

Deno.test("exit 2 and a short help on stderr without --listen and --connect", async () => {
  await using bare = sockpipe([]);
  const { code, stdout, stderr } = await bare.result();
  assertEquals([code, stdout], [2, ""]);
  assertMatch(stderr, /--listen ADDRESS/);
  assertMatch(stderr, /--connect ADDRESS/);
  assertMatch(stderr, /--help/);
});

/** One mistake of each kind; tests/unit/cli has them all. PORT is busy. */
const USAGE_ERRORS: readonly (readonly [line: string, sentence: RegExp])[] = [
  ["--listen PORT --baffle", /--baffle/],
  ["--connect PORT --message", /--message/],
  ["--connect PORT --message -x", /--message has no value.*--message=TEXT/],
  ["--listen PORT --listen PORT", /--listen/],
  ["--listen PORT --connect PORT", /--listen.*--connect/],
  ["PORT", /--listen/],
  ["--listen PORT --data-size 17M", /--data-size "17M".*16M/],
  ["--connect localhost", /--connect "localhost"/],
  ["--listen PORT --max-connections=3", /--max-connections belongs to/],
];

Deno.test("exit 2 and one sentence for a usage error, before any socket is opened", async (t) => {
  // The port is taken by this test: a program that tries to listen gets exit 4,
  // and one that connects is seen here.
  using raw = rawListener();
  for (const [line, sentence] of USAGE_ERRORS) {
    await t.step(`sockpipe ${line}`, async () => {
      const args = line.replaceAll("PORT", `${raw.port}`).split(" ");
      await using process = sockpipe(args, { stdin: "not to be read" });
      const { code, stdout, stderr } = await process.result();
      assertMatch(stderr, /^sockpipe: [^\n]*[^.\n]\n$/);
      assertMatch(stderr, sentence);
      assertEquals([code, stdout], [2, ""], stderr);
    });
  }
  await t.step("nobody connected meanwhile", async () => {
    using own = await dial(raw.port);
    using first = await accept(raw);
    assertEquals(first.remoteAddr.port, own.localAddr.port);
  });
});
