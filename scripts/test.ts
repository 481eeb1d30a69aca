/**
 * Runs `deno test` as all our runs of it are, and prints the slowest tests at the
 * end. What follows is for `deno test`; without files or folders, all tests run.
 *
 *     deno run --quiet -A scripts/test.ts tests/unit
 *     deno run --quiet -A scripts/test.ts --trace-leaks --filter TLS
 *
 * Tests wait more than they compute: by default twice as many modules run at once
 * as there are processors. DENO_JOBS says another number. With SOCKPIPE_SOAK, the
 * tests that take long run as well, and one module at a time.
 *
 * In CI, tests that failed run once more, one at a time: what fails again has
 * failed, and what passes is printed as flaky, which is a bug to be found.
 * The last line printed is `tests: N passed, N failed`.
 *
 * Types are not checked here; `task check` does that.
 */

import { mapFlags, runDeno } from "./deno.ts";

/** The number of slow tests that are listed at the end. */
const LISTED = 20;
/** If more tests than so many have failed, it is no matter of chance. */
const MOST_AGAIN = 8;

/** A test that was run, or a step of one. */
export interface Timed {
  readonly name: string;
  /** The module, as `deno test` names it. */
  readonly module: string;
  readonly seconds: number;
  readonly failed: boolean;
}

/** Reads what `deno test --junit-path` wrote. */
export function readJunit(xml: string): Timed[] {
  const cases = xml.matchAll(
    /<testcase name="([^"]*)" classname="([^"]*)" time="([^"]*)"[^>]*>\s*(<failure|<error)?/g,
  );
  return [...cases].map(([, name = "", module = "", seconds, failure]) => ({
    name: unescapeXml(name),
    module: unescapeXml(module).replace(/^\.\/tests\//, ""),
    seconds: Number(seconds),
    failed: failure !== undefined,
  }));
}

function unescapeXml(text: string): string {
  const characters: Record<string, string> = {
    lt: "<",
    gt: ">",
    quot: '"',
    apos: "'",
    amp: "&",
  };
  return text.replace(
    /&(?:#(\d+)|(\w+));/g,
    (entity, code, name) =>
      code === undefined
        ? characters[name] ?? entity
        : String.fromCodePoint(Number(code)),
  );
}

/** A list of the slowest tests, the slowest first. */
export function slowest(tests: readonly Timed[], count: number): string {
  const listed = tests.toSorted((a, b) => b.seconds - a.seconds)
    .slice(0, count)
    .map(({ name, module, seconds }) => {
      // Deno names the caller of Deno.test, which may be a helper.
      const where = module.startsWith("helpers/") ? "" : `${module}: `;
      return `${seconds.toFixed(1).padStart(7)} s  ${where}${name}\n`;
    });
  return `The slowest ${listed.length} of ${tests.length} tests:\n${
    listed.join("")
  }`;
}

/** The outcome of a run of `deno test`. */
interface Outcome {
  readonly code: number;
  readonly tests: readonly Timed[];
}

async function runTests(args: readonly string[]): Promise<Outcome> {
  const junit = await Deno.makeTempFile({ prefix: "sockpipe-test-" });
  try {
    const code = await runDeno([
      "test",
      ...await mapFlags(),
      "--allow-all",
      "--no-check",
      `--junit-path=${junit}`,
      ...args,
    ]);
    return { code, tests: readJunit(await Deno.readTextFile(junit)) };
  } finally {
    await Deno.remove(junit);
  }
}

/**
 * Runs the tests that failed once more, in CI, one at a time.
 *
 * @returns The outcome of that, or the first one where there is none.
 */
async function runAgain(first: Outcome): Promise<Outcome> {
  const failed = first.tests.filter(({ failed }) => failed);
  const isChance = failed.length > 0 && failed.length <= MOST_AGAIN;
  if (first.code === 0 || !isChance || Deno.env.get("CI") !== "true") {
    return first;
  }
  const list = failed.map(({ module, name }) => `    ${module}: ${name}\n`)
    .join("");
  print(`\nOnce more, one at a time:\n${list}`);
  const names = failed.map(({ name }) => RegExp.escape(name));
  const again = await runTests([`--filter=/^(?:${names.join("|")})$/`]);
  if (again.code !== 0 || again.tests.length < failed.length) return first;
  print(`Flaky, a bug to be found:\n${list}`);
  return again;
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

async function main(args: readonly string[]): Promise<number> {
  const soak = Deno.env.has("SOCKPIPE_SOAK");
  if (!Deno.env.has("DENO_JOBS")) {
    Deno.env.set("DENO_JOBS", String(2 * navigator.hardwareConcurrency));
  }
  Deno.env.set("DENO_TEST_SANITIZE_OPS", "1");
  Deno.env.set("DENO_TEST_SANITIZE_RESOURCES", "1");
  const first = await runTests([...soak ? [] : ["--parallel"], ...args]);
  const { tests } = first;
  if (tests.length > LISTED) print(`\n${slowest(tests, LISTED)}`);
  const last = await runAgain(first);
  const failed = last.code === 0
    ? 0
    : Math.max(1, tests.filter(({ failed }) => failed).length);
  print(`tests: ${tests.length - failed} passed, ${failed} failed\n`);
  return last.code;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
