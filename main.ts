/**
 * sockpipe: a TCP pipe for the shell.
 *
 * argv → options → run → exit code. Only this module touches Deno.args,
 * Deno.exit and signals.
 */

import { help, type Options, parseCommandLine, shortHelp } from "./args.ts";
import { EXIT, ReaderGoneError, SignalError, SockpipeError } from "./errors.ts";
import { Reporter, writeToStderr } from "./report.ts";
import { writeToStdout } from "./stdio.ts";
import { versionText } from "./version.ts";

/**
 * Runs the program.
 *
 * @param argv The words after the program's name.
 * @returns The exit code. Everything opened has been closed; a read of stdin may
 * still be pending.
 */
export async function main(argv: readonly string[]): Promise<number> {
  if (argv.length === 0) {
    writeToStderr(shortHelp());
    return EXIT.usage;
  }
  let report = new Reporter("normal");
  try {
    const command = parseCommandLine(argv);
    if (command.kind === "run") {
      report = new Reporter(command.options.talk);
      await runUntilSignal(command.options, report);
    } else {
      await writeToStdout(command.kind === "help" ? help() : versionText());
    }
    return EXIT.ok;
  } catch (error) {
    if (!isSilent(error)) report.fail(error);
    return error instanceof SockpipeError ? error.exitCode : crash(error);
  }
}

/** The shell shows a signal itself, and a reader that went away wants no more. */
function isSilent(error: unknown): boolean {
  return error instanceof ReaderGoneError || error instanceof SignalError;
}

/** A failure that no module foresaw: ours to mend, so all there is is shown. */
function crash(error: unknown): number {
  if (error instanceof Error) writeToStderr(`${error.stack}\n`);
  return EXIT.broken;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

async function runUntilSignal(
  options: Options,
  report: Reporter,
): Promise<void> {
  const controller = new AbortController();
  const handlers = SIGNALS.map((name) => {
    const handler = () => controller.abort(new SignalError(name));
    Deno.addSignalListener(name, handler);
    return () => Deno.removeSignalListener(name, handler);
  });
  try {
    // Loaded here, so that --help and a usage error need not wait for it.
    const { run } = await import("./run.ts");
    await run(options, { signal: controller.signal, report });
  } finally {
    for (const remove of handlers) remove();
  }
}

if (import.meta.main) {
  // Not Deno.exitCode: a pending read of stdin would keep the process alive.
  Deno.exit(await main(Deno.args));
}
