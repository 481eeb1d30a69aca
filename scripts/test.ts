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
 * Types are not checked here; `task check` does that.
 */

import { mapFlags, runDeno } from "./deno.ts";

/** How many tests are listed at the end. */
const LISTED = 20;

/** A test that was run, or a step of one. */
export interface Timed {
  readonly name: string;
  /** The module, as `deno test` names it. */
  readonly module: string;
  readonly seconds: number;
}

/** Reads what `deno test --junit-path` wrote. */
export function readJunit(xml: string): Timed[] {
  const cases = xml.matchAll(
    /<testcase name="([^"]*)" classname="([^"]*)" time="([^"]*)"/g,
  );
  return [...cases].map(([, name = "", module = "", seconds]) => ({
    name: unescapeXml(name),
    module: unescapeXml(module).replace(/^\.\/tests\//, ""),
    seconds: Number(seconds),
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
    .map(({ name, module, seconds }) =>
      `${seconds.toFixed(1).padStart(7)} s  ${module}: ${name}\n`
    );
  return `The slowest ${listed.length} of ${tests.length} tests:\n${
    listed.join("")
  }`;
}

async function main(args: readonly string[]): Promise<number> {
  const soak = Deno.env.has("SOCKPIPE_SOAK");
  if (!Deno.env.has("DENO_JOBS")) {
    Deno.env.set("DENO_JOBS", String(2 * navigator.hardwareConcurrency));
  }
  Deno.env.set("DENO_TEST_SANITIZE_OPS", "1");
  Deno.env.set("DENO_TEST_SANITIZE_RESOURCES", "1");
  const junit = await Deno.makeTempFile({ prefix: "sockpipe-test-" });
  try {
    const code = await runDeno([
      "test",
      ...await mapFlags(),
      "--allow-all",
      "--no-check",
      ...soak ? [] : ["--parallel"],
      `--junit-path=${junit}`,
      ...args,
    ]);
    const tests = readJunit(await Deno.readTextFile(junit));
    if (tests.length > LISTED) {
      await Deno.stdout.write(
        new TextEncoder().encode(`\n${slowest(tests, LISTED)}`),
      );
    }
    return code;
  } finally {
    await Deno.remove(junit);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
