/** The parser: its types, its defaults, and words that make no sense. */

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { UsageError } from "../../../lib/base/errors.ts";
import { OPTIONS } from "../../../lib/cli/option_table.ts";
import type { ListenOptions, Options } from "../../../lib/cli/options.ts";
import { parseCommandLine } from "../../../lib/cli/parse.ts";
import { Values } from "../../../lib/cli/values.ts";
import { seeded } from "../../helpers/seeded.ts";

function optionsOf(line: string): Options {
  const command = parseCommandLine(line.split(" "));
  assert(command.kind === "run");
  return command.options;
}

Deno.test("a mistyped option, or one of another kind, does not compile", () => {
  const values = new Values(new Map());
  // @ts-expect-error: no such option
  assert(!values.has("conect"));
  // @ts-expect-error: a flag has no number
  assertEquals(values.number("probe"), undefined);
  // @ts-expect-error: a size is no text
  assertEquals(values.text("window"), undefined);
  // @ts-expect-error: it has no choices
  assertEquals(values.choice("message"), undefined);
  // Where there is a default, there is a value.
  const window: number = values.number("window");
  const slow: "wait" | "disconnect" = values.choice("slow-client");
  assertEquals([window, slow], [8 * 1024 ** 2, "disconnect"]);
});

Deno.test("words that were not UTF-8 are refused, and not changed in silence", () => {
  for (const option of ["--message", "--exec", "--serve"]) {
    const { message } = assertThrows(
      () => parseCommandLine(["--listen", "0", option, "a\uFFFD"]),
      UsageError,
    );
    assertMatch(message, /is not UTF-8/);
  }
});

Deno.test("the defaults of the table are what a run gets", () => {
  const listen = optionsOf("--listen 1 --keep-open") as ListenOptions;
  assertEquals([listen.keepOpen?.queueSize, listen.keepOpen?.graceMs], [
    1024 ** 2,
    2000,
  ]);
  const connect = optionsOf("--connect 1 --reliable");
  assert(connect.mode === "connect");
  assertEquals(
    [connect.retry.delayMs, connect.retry.connectTimeoutMs],
    [3000, 10_000],
  );
  assertEquals(
    [connect.reliable?.heartbeatMs, connect.reliable?.resumeTimeoutMs],
    [15_000, 60_000],
  );
});

Deno.test("an empty value is named with its option", () => {
  for (const { name, kind, value } of OPTIONS) {
    if (kind === "flag") continue;
    for (
      const argv of [["--listen", "1", `--${name}`, ""], [`--${name}=`]]
    ) {
      const { message } = assertThrows(
        () => parseCommandLine(argv),
        UsageError,
      );
      assertMatch(message, RegExp(`^--${name} has no value: .*${value}`));
    }
  }
});

Deno.test("the parser throws nothing but a UsageError of one line, for 5,000 random lines", () => {
  const random = seeded(7);
  const below = (n: number) => Math.floor(random() * n);
  const texts =
    ("0 1 -1 1.5 64k 4M 3s 250ms 99999999999h host host:80 :80 *:80 " +
      "[::1]:80 [::1%lo]:1 [::ffff:01.2.3.4]:1 unix: unix:@name unix:/s systemd -- - = " +
      "127.0.0.01 ::ffff:01.2.3.4 10.0.0.0/8 1.2.3.4/33 fe80::1%lo sha256:aa " +
      "bücher.example xn--a \u{1f600} \0 \x1b[31m __proto__ constructor toString " +
      "--__proto__ --constructor=1 --no-tls --a.b=1 -vq -vvv -l80 -k=1 true false")
      .split(" ").concat("", " ", "two\nlines", "a".repeat(300));
  const word = () => {
    const option = OPTIONS[below(OPTIONS.length)];
    const text = texts[below(texts.length)] ?? "";
    return [
      `--${option?.name}`,
      `--${option?.name}=${text}`,
      option?.short === undefined ? text : `-${option.short}`,
      text,
      String.fromCodePoint(
        ...Array.from({ length: below(8) }, () => 1 + below(0xd7ff)),
      ),
    ][below(5)] ?? "";
  };
  for (let round = 0; round < 5000; round++) {
    const start = [[], ["--listen", "1"], ["--connect", "1"]][below(3)] ?? [];
    const argv = [...start, ...Array.from({ length: below(5) }, word)];
    try {
      parseCommandLine(argv);
    } catch (error) {
      assert(error instanceof UsageError, `${JSON.stringify(argv)}: ${error}`);
    }
  }
});

Deno.test("--tls-name and ADDRESS take names beyond ASCII as DNS has them", () => {
  const options = optionsOf(
    "--connect bücher.example:1 --tls --tls-name Ünïcode.example",
  );
  assertEquals(options.address, {
    transport: "tcp",
    hostname: "xn--bcher-kva.example",
    port: 1,
  });
  assert(options.tls?.kind === "certificates");
  assertEquals(options.tls.name, "xn--ncode-cta3g.example");
  const wrong = "a b|ü b|ü/x|a@b||a..b|-|a-.b|\u{fffd}.".split("|");
  for (const name of [...wrong, "a".repeat(64), "a.".repeat(200)]) {
    const argv = ["--connect", "a:1", "--tls", `--tls-name=${name}`];
    assertThrows(() => parseCommandLine(argv), UsageError, "--tls-name", name);
  }
});
