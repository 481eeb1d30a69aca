/**
 * sockpipe: a TCP pipe for the shell.
 *
 * argv → options → run → exit code. Only this module reads Deno.args and ends the
 * process.
 */

// First: loading it takes over SIGUSR1 and SIGUSR2, which would end the process.
import { setStatusAnswer } from "./lib/cli/status_signals.ts";
import { type Command, parseCommandLine } from "./lib/cli/parse.ts";
import type { Options } from "./lib/cli/options.ts";
import {
  BrokenError,
  EXIT,
  reasonOf,
  SIGNAL_EXIT,
  SignalError,
  SockpipeError,
  UsageError,
} from "./lib/base/errors.ts";
import { Reporter, writeToStderr } from "./lib/report/reporter.ts";
import { dieOf, onEndSignal } from "./lib/cli/signals.ts";

/**
 * Runs the program.
 *
 * @param argv The words after the program's name.
 * @returns The exit code. Everything opened has been closed; a read of stdin may
 * still be pending.
 */
export async function main(argv: readonly string[]): Promise<number> {
  if (argv.length === 0) {
    writeToStderr((await import("./lib/cli/help.ts")).shortHelp());
    return EXIT.usage;
  }
  let report = new Reporter(argv.includes("--json") ? "json" : "normal");
  const fail = (error: unknown): number => {
    const known = foreseen(error);
    if (known !== error && argv.includes("--verbose")) {
      writeToStderr(`${error instanceof Error ? error.stack : error}\n`);
    }
    report.end(known.exitCode, known);
    return known.exitCode;
  };
  onUncaught((error) => Deno.exit(fail(error)));
  try {
    const command = await readCommandLine(argv);
    if (command.kind === "new-secret") {
      const { makeSecret } = await import("./lib/cli/new_secret.ts");
      writeToStderr(`sockpipe: ${await makeSecret(command.path)}\n`);
      return EXIT.ok;
    }
    if (command.kind !== "run") {
      const { writeToStdout } = await import("./lib/io/stdio.ts");
      await writeToStdout(await textOf(command));
      return EXIT.ok;
    }
    report = new Reporter(command.options.verbosity);
    await runUntilSignal(command.options, report);
    report.end(EXIT.ok);
    return EXIT.ok;
  } catch (error) {
    return fail(error);
  }
}

/** Makes a sentence even of what no module foresaw, which is a mistake of ours. */
function foreseen(error: unknown): SockpipeError {
  if (error instanceof SockpipeError) return error;
  const reason = reasonOf(error).replaceAll(/\s+/g, " ");
  return new BrokenError(`Unexpected error (a bug): ${reason}`, {
    cause: error,
  });
}

/** Calls back for errors that nobody caught, for as long as the process lives. */
function onUncaught(callback: (error: unknown) => void): void {
  addEventListener("error", (event) => {
    event.preventDefault();
    callback(event.error);
  });
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    callback(event.reason);
  });
}

/** Reads the command line; a refused one may be netcat's, which is then said. */
async function readCommandLine(argv: readonly string[]): Promise<Command> {
  try {
    return parseCommandLine(argv);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const { foreignHint } = await import("./lib/cli/foreign_hint.ts");
    const hint = foreignHint(argv);
    throw hint === undefined ? error : new UsageError(hint, { cause: error });
  }
}

/** Finds the text for stdout when there is nothing to run. */
async function textOf(
  command: Exclude<Command, { kind: "run" | "new-secret" }>,
): Promise<string> {
  switch (command.kind) {
    case "help":
      return (await import("./lib/cli/help.ts")).help();
    case "version":
      return (await import("./lib/cli/version.ts")).versionText();
    case "check-receipt": {
      const { receiptText } = await import("./lib/cli/receipt_command.ts");
      return await receiptText(command.path, command.keyFiles);
    }
    case "completions": {
      const { completions } = await import("./lib/cli/completions.ts");
      return completions(command.shell);
    }
  }
}

async function runUntilSignal(
  options: Options,
  report: Reporter,
): Promise<void> {
  const controller = new AbortController();
  using _signals = onEndSignal((name) => {
    const error = new SignalError(name);
    if (controller.signal.aborted) {
      // Whoever asks twice waits for nothing.
      report.end(error.exitCode, error);
      exit(error.exitCode);
    } else controller.abort(error);
  });
  setStatusAnswer(() => report.status());
  const { signal } = controller;
  // Only what this run needs is loaded, so that none waits for the rest.
  if (options.mode === "listen") {
    const { runServer } = await import("./server.ts");
    // Later there may be no descriptor left to load it with.
    if (options.end.kind === "forward") await import("./client.ts");
    await runServer(options, {
      signal,
      report,
      prepareDial: async (...args) =>
        await (await import("./client.ts")).prepareDial(...args),
    });
  } else {
    const { prepareDial, runClient } = await import("./client.ts");
    await runClient(options, { signal, report, prepareDial });
  }
}

/**
 * Ends the process; after a signal by that signal. Not by `Deno.exitCode`: a
 * pending read of stdin would keep the process alive.
 */
function exit(code: number): never {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    if (code === SIGNAL_EXIT[signal]) dieOf(signal);
  }
  Deno.exit(code);
}

if (import.meta.main) exit(await main(Deno.args));
