/** Which tests are run: on what they depend, and how long they may take. */

/** Whether the tests that take long are run as well: `deno task soak`. */
export const SOAK: boolean = Deno.env.has("SOCKPIPE_SOAK");

/** Whether the program moves bytes by the system's calls, and not by Deno's streams. */
const HAS_ENGINE = Deno.env.get("SOCKPIPE_ENGINE") !== "off";

/** Whether a missing peer is a failure and not a reason to skip. */
const CI = Deno.env.get("CI") === "true";

const encoder = new TextEncoder();

/** Prints a line of the test run itself, which is no output of a test. */
export function say(text: string): void {
  Deno.stderr.writeSync(encoder.encode(`${text}\n`));
}

/** Registers a test of what Deno's streams do not see or cannot do. */
export function engineTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !HAS_ENGINE, fn });
}

const installed = new Map<string, boolean>();

function isInstalled(program: string): boolean {
  const known = installed.get(program);
  if (known !== undefined) return known;
  const found = canFind(program);
  installed.set(program, found);
  return found;
}

function canFind(program: string): boolean {
  try {
    return new Deno.Command("sh", {
      args: ["-c", `command -v ${program} || test -e ${program}`],
      stdout: "null",
      stderr: "null",
    }).outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false; // Windows
    throw error;
  }
}

/**
 * Registers a test that needs programs from elsewhere, or paths that only some systems
 * have: `/proc` stands for Linux and its tools. Without them it is skipped with a
 * statement, and fails where CI is `true`.
 */
export function testWith(
  programs: readonly string[],
  name: string,
  fn: () => Promise<void>,
  { needsEngine = false } = {},
): void {
  if (needsEngine && !HAS_ENGINE) return Deno.test({ name, ignore: true, fn });
  const missing = programs.filter((program) => !isInstalled(program));
  if (missing.length > 0 && CI) {
    const needs = `This test needs ${missing.join(", ")}`;
    Deno.test(name, () => Promise.reject(new Error(needs)));
    return;
  }
  const ignore = missing.length > 0;
  if (ignore) say(`skipped, as ${missing.join(", ")} is missing: ${name}`);
  Deno.test({ name, ignore, fn });
}
