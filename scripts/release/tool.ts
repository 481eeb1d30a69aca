/** Programs that the scripts of a release run. */

/** The result of a program. */
export interface Result {
  readonly success: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** The surroundings of a program that is run. */
export interface RunOptions {
  readonly cwd: URL | string;
  /** The additions to the environment. */
  readonly env?: Record<string, string>;
}

/** Runs a program to its end, without colours in what it says. */
export async function run(
  program: string,
  args: readonly string[],
  { cwd, env = {} }: RunOptions,
): Promise<Result> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1", RUST_BACKTRACE: "0", ...env },
  }).output();
  const decoder = new TextDecoder();
  return {
    success,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

/**
 * Runs a program that has to succeed.
 *
 * @returns What it wrote to stdout.
 * @throws {Error} It is not there, or it failed, with what it said of it.
 */
export async function runTool(
  program: string,
  args: readonly string[],
  options: RunOptions,
): Promise<string> {
  const { success, stdout, stderr } = await run(program, args, options);
  if (success) return stdout;
  throw new Error(`Cannot run "${program}": ${stderr.trim()}`);
}
