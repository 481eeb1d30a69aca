/**
 * What this project needs of the `@std` packages, held against the stand-ins in
 * `scripts/npm_only/` and against what the import map names. Where that is the
 * real packages, both must do the same.
 */

import * as mappedAssert from "@std/assert";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { abortable as mappedAbortable } from "@std/async/abortable";
import { delay as mappedDelay } from "@std/async/delay";
import { parseArgs as mappedParseArgs } from "@std/cli/parse-args";
import * as standInAssert from "../../scripts/npm_only/assert.ts";
import {
  abortable as standInAbortable,
  delay as standInDelay,
} from "../../scripts/npm_only/async.ts";
import {
  parseArgs as standInParseArgs,
  type ParseOptions,
} from "../../scripts/npm_only/cli.ts";

/** Both, each once: where the map names the stand-in, there is only that. */
function sources<Mapped, StandIn>(
  mapped: Mapped,
  standIn: StandIn,
): (readonly ["mapped", Mapped] | readonly ["stand-in", StandIn])[] {
  const both = [["mapped", mapped], ["stand-in", standIn]] as const;
  return both.slice(Object.is(mapped, standIn) ? 1 : 0);
}

/** What the real one and the stand-in have in common, types aside. */
type ParseArgs = (
  args: readonly string[],
  options: ParseOptions,
) => Record<string, unknown>;

/** A call as args.ts makes it: every kind of declaration in one. */
function parse(
  parseArgs: ParseArgs,
  args: readonly string[],
  options: ParseOptions = {},
): Record<string, unknown> {
  return parseArgs(args, {
    string: ["listen", "message", "allow", "_"],
    boolean: ["verbose", "quiet"],
    collect: ["allow", "message"],
    alias: { l: "listen", quiet: ["q", "silent"] },
    default: { listen: "32000" },
    ...options,
  });
}

const NOTHING_GIVEN = {
  listen: "32000",
  l: "32000",
  message: [],
  allow: [],
  verbose: false,
  quiet: false,
  q: false,
  silent: false,
  _: [],
};

/** Arguments, and what is then different from {@linkcode NOTHING_GIVEN}. */
const PARSED: [args: string[], difference: Record<string, unknown>][] = [
  [[], {}],
  [["--listen", "5"], { listen: "5", l: "5" }],
  [["--listen=a=b"], { listen: "a=b", l: "a=b" }],
  [["--listen="], { listen: "", l: "" }],
  [["--listen"], { listen: "", l: "" }],
  [["--listen", "--verbose"], { listen: "", l: "", verbose: true }],
  [["--listen", "-"], { listen: "", l: "", _: ["-"] }],
  [["--listen", ""], { listen: "", l: "", _: [""] }],
  [["--listen", "1", "--listen", "2"], { listen: "2", l: "2" }],
  [["-l", "5"], { listen: "5", l: "5" }],
  [["-l5"], { listen: "5", l: "5" }],
  [["-l=5"], { listen: "5", l: "5" }],
  [["-l:32000"], { listen: ":32000", l: ":32000" }],
  [["-l", "unix:/a"], { listen: "unix:/a", l: "unix:/a" }],
  [["-ql", "5"], { quiet: true, q: true, silent: true, listen: "5", l: "5" }],
  [["--silent"], { quiet: true, q: true, silent: true }],
  [["--verbose", "x"], { verbose: true, _: ["x"] }],
  [["--verbose", "false"], { verbose: false }],
  [["--verbose=false"], { verbose: false }],
  [["--verbose=no"], { verbose: true }],
  [["--allow", "a", "--allow", "b"], { allow: ["a", "b"] }],
  [["--message=\nà "], { message: ["\nà "] }],
  [["0123", "x", "-"], { _: ["0123", "x", "-"] }],
  [["x", "--", "--verbose", "-l"], { _: ["x", "--verbose", "-l"] }],
];

for (
  const [source, parseArgs] of sources<ParseArgs, ParseArgs>(
    mappedParseArgs,
    standInParseArgs,
  )
) {
  Deno.test(`parseArgs() (${source}) reads what args.ts declares`, () => {
    for (const [args, difference] of PARSED) {
      const expected = { ...NOTHING_GIVEN, ...difference };
      assertEquals(parse(parseArgs, args), expected, args.join(" "));
    }
  });

  Deno.test(`parseArgs() (${source}) shows unknown() what is not declared`, () => {
    const shown: unknown[] = [];
    const unknown = (...call: [string, string?]) => {
      shown.push(call.slice(0, 2));
      return false;
    };
    const args = ["--nope=1", "--no-verbose", "-qz", "x", "--listen", "5"];
    const parsed = parse(parseArgs, args, { unknown });
    assertEquals(shown, [
      ["--nope=1", "nope"],
      ["--no-verbose", "no-verbose"],
      ["-qz", "z"],
    ]);
    assertEquals(parsed, {
      ...NOTHING_GIVEN,
      ...{ quiet: true, q: true, silent: true },
      ...{ listen: "5", l: "5" },
    });
  });

  Deno.test(`parseArgs() (${source}) calls unknown() for positional arguments`, () => {
    const shown: string[] = [];
    const unknown = (arg: string) => {
      shown.push(arg);
    };
    assertEquals(parse(parseArgs, ["x", "--", "y"], { unknown })._, ["x", "y"]);
    assertEquals(shown, ["x"]);
  });

  Deno.test(`parseArgs() (${source}) keeps what follows -- apart when told to`, () => {
    const parsed = parseArgs(["1", "--", "-v"], { "--": true });
    assertEquals(parsed._, [1]);
    assertEquals(parsed["--"], ["-v"]);
  });

  Deno.test(`parseArgs() (${source}) stops early when told to`, () => {
    const parsed = parseArgs(["-v", "x", "-q", "--", "y"], {
      boolean: ["v", "q"],
      stopEarly: true,
    });
    assertEquals(parsed, { v: true, q: false, _: ["x", "-q", "y"] });
  });
}

Deno.test("parseArgs() types what is declared by name", () => {
  const parsed = mappedParseArgs(["--port=1"], {
    string: ["port", "host", "tag", "_"],
    boolean: ["verbose"],
    collect: ["tag"],
    default: { host: "::1" },
  });
  const port: string | undefined = parsed.port;
  const host: unknown = parsed.host;
  const tag: string[] = parsed.tag;
  const verbose: boolean = parsed.verbose;
  assertEquals([port, host, tag, verbose], ["1", "::1", [], false]);
});

for (const [source, delay] of sources(mappedDelay, standInDelay)) {
  Deno.test(`delay() (${source}) waits, if only for 0 ms`, async () => {
    for (const ms of [5, 0, -1, NaN]) {
      let over = false;
      const waited = delay(ms).then(() => over = true);
      await Promise.resolve();
      assert(!over, `${ms} ms were over at once`);
      await waited;
    }
  });

  Deno.test(`delay() (${source}) rejects with the reason when aborted before`, async () => {
    const reason = new TypeError("not today");
    const signal = AbortSignal.abort(reason);
    const error = await assertRejects(() => delay(60_000, { signal }));
    assertStrictEquals(error, reason);
  });

  Deno.test(`delay() (${source}) rejects with the reason when aborted meanwhile`, async () => {
    // Longer than a timer can hold, which would then fire within the 5 ms.
    for (const ms of [60_000, 2 ** 31, Infinity]) {
      const controller = new AbortController();
      const waited = delay(ms, { signal: controller.signal });
      await delay(5);
      controller.abort("any value");
      const error = await waited.then(() => "waited", (error) => error);
      assertEquals(error, "any value", `${ms} ms`);
    }
  });
}

// Not for the real one: what 1.2.0 does for it has no effect on Deno 2.9.6.
Deno.test("delay() (stand-in) keeps the process alive only if persistent", async () => {
  const module = import.meta.resolve("../../scripts/npm_only/async.ts");
  const code = `import { delay } from "${module}";
    delay(60_000, { persistent: false }).then(() => Deno.exit(1));
    delay(1, { persistent: true }).then(() => Deno.exitCode = 3);`;
  const { code: exitCode } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", code],
    signal: AbortSignal.timeout(30_000),
  }).output();
  assertEquals(exitCode, 3);
});

/** What the real one and the stand-in have in common: promises, no iterables. */
type Abortable = <T>(promise: Promise<T>, signal: AbortSignal) => Promise<T>;

for (
  const [source, abortable] of sources<Abortable, Abortable>(
    mappedAbortable,
    standInAbortable,
  )
) {
  const { signal } = new AbortController();

  Deno.test(`abortable() (${source}) settles as the promise does`, async () => {
    assertEquals(await abortable(Promise.resolve(5), signal), 5);
    const failed = abortable(rejected("no port"), signal);
    await assertRejects(() => failed, TypeError, "no port");
  });

  Deno.test(`abortable() (${source}) rejects with the reason when aborted before`, async () => {
    const reason = new TypeError("not today");
    const late = abortable(Promise.resolve(5), AbortSignal.abort(reason));
    assertStrictEquals(await assertRejects(() => late), reason);
  });

  Deno.test(`abortable() (${source}) rejects with the reason when aborted meanwhile`, async () => {
    const controller = new AbortController();
    const late = abortable(new Promise(() => {}), controller.signal);
    controller.abort("any value");
    const error = await late.then(() => "waited", (error) => error);
    assertEquals(error, "any value");
  });

  Deno.test(`abortable() (${source}) leaves no listener at the signal`, async () => {
    let listeners = 0;
    const signal = Object.assign(new AbortController().signal, {
      addEventListener: () => listeners++,
      removeEventListener: () => listeners--,
    });
    await abortable(Promise.resolve(), signal);
    await abortable(rejected("x"), signal).catch(() => {});
    assertEquals(listeners, 0);
  });
}

/** What tests import, whose AssertionError they only recognise. */
type Assertions =
  & Omit<typeof standInAssert, "AssertionError">
  & { AssertionError: abstract new (...args: never[]) => Error };

/** Per assertion: a call that passes, and one that fails. */
const ASSERTIONS: Record<
  string,
  (a: Assertions) => [pass: () => unknown, fail: () => unknown]
> = {
  assert: (a) => [() => a.assert(1), () => a.assert(0)],
  assertFalse: (a) => [() => a.assertFalse(""), () => a.assertFalse("0")],
  assertEquals: (a) => [
    () =>
      a.assertEquals({ a: [new Uint8Array(3)] }, { a: [new Uint8Array(3)] }),
    () =>
      a.assertEquals({ a: [new Uint8Array(3)] }, { a: [new Uint8Array(4)] }),
  ],
  assertNotEquals: (a) => [
    () => a.assertNotEquals([1], [2]),
    () => a.assertNotEquals([1], [1]),
  ],
  assertStrictEquals: (a) => [
    () => a.assertStrictEquals(NaN, NaN),
    () => a.assertStrictEquals({}, {}),
  ],
  assertExists: (a) => [() => a.assertExists(0), () => a.assertExists(null)],
  assertInstanceOf: (a) => [
    () => a.assertInstanceOf(new TypeError(), Error),
    () => a.assertInstanceOf(new Error(), TypeError),
  ],
  assertGreater: (a) => [
    () => a.assertGreater(2, 1),
    () => a.assertGreater(1, 1),
  ],
  assertGreaterOrEqual: (a) => [
    () => a.assertGreaterOrEqual(1, 1),
    () => a.assertGreaterOrEqual(0, 1),
  ],
  assertLess: (a) => [() => a.assertLess(1, 2), () => a.assertLess(1, 1)],
  assertLessOrEqual: (a) => [
    () => a.assertLessOrEqual(1, 1),
    () => a.assertLessOrEqual(1, 0),
  ],
  assertStringIncludes: (a) => [
    () => a.assertStringIncludes("abc", "bc"),
    () => a.assertStringIncludes("abc", "d"),
  ],
  assertMatch: (a) => [
    () => a.assertMatch("abc", /^a/),
    () => a.assertMatch("abc", /^b/),
  ],
  assertNotMatch: (a) => [
    () => a.assertNotMatch("abc", /^b/),
    () => a.assertNotMatch("abc", /^a/),
  ],
  assertThrows: (a) => [
    () => a.assertThrows(() => thrown("no port"), TypeError, "port"),
    () => a.assertThrows(() => thrown("no port"), TypeError, "host"),
  ],
  "assertThrows, of another class": (a) => [
    () => a.assertThrows(() => thrown("x"), Error),
    () => a.assertThrows(() => thrown("x"), RangeError),
  ],
  "assertThrows, of anything": (a) => [
    () => a.assertThrows(() => thrown("x")),
    () => a.assertThrows(() => {}, "a message"),
  ],
  assertRejects: (a) => [
    () => a.assertRejects(() => rejected("no port"), TypeError, "port"),
    () => a.assertRejects(() => rejected("no port"), TypeError, "host"),
  ],
  "assertRejects, of anything": (a) => [
    () => a.assertRejects(() => rejected("x")),
    () => a.assertRejects(() => Promise.resolve()),
  ],
  "assertRejects, not throws": (a) => [
    () => a.assertRejects(() => rejected("x"), TypeError),
    () => a.assertRejects(() => thrown("x"), TypeError),
  ],
  fail: (a) => [() => {}, () => a.fail("always")],
};

function thrown(message: string): never {
  throw new TypeError(message);
}

function rejected(message: string): Promise<never> {
  return Promise.reject(new TypeError(message));
}

for (
  const [source, assertions] of sources<Assertions, Assertions>(
    mappedAssert,
    standInAssert,
  )
) {
  for (const [name, calls] of Object.entries(ASSERTIONS)) {
    Deno.test(`${name}() (${source}) passes and fails`, async () => {
      const [pass, fail] = calls(assertions);
      await pass();
      let error: unknown;
      try {
        await fail();
      } catch (caught) {
        error = caught;
      }
      // Not with an assertion, as that is what is under test.
      if (!(error instanceof assertions.AssertionError)) {
        throw new Error(`${name} did not fail: ${Deno.inspect(error)}`);
      }
    });
  }
}
