/** The meter of a run with `--progress`, and what it can know in advance. */

import { Meter, type Size } from "../report/meter.ts";
import type { Options } from "../cli/options.ts";
import type { Reporter } from "../report/reporter.ts";
import { isBroker, readsStdin, sentSize } from "./sent_size.ts";

/** Starts the meter that fits the options and this terminal, or the lack of one. */
export async function startMeter(
  options: Options,
  report: Reporter,
): Promise<Meter> {
  const { size, verbosity } = options;
  const color = (Deno.env.get("NO_COLOR") ?? "") === "";
  const unicode = canShowUnicode();
  const live = Deno.stderr.isTerminal() && Deno.env.get("TERM") !== "dumb" &&
    !sharesTerminalWithWriter(options);
  return new Meter(report, {
    kind: verbosity === "json" ? "events" : live ? "live" : "plain",
    size: size === undefined
      ? await sizeOfSent(options)
      : { bytes: size, direction: "larger" },
    sharesTerminal: writesStdout(options) && Deno.stdout.isTerminal(),
    look: () => ({ columns: terminalColumns(), color, unicode }),
    draw: report.writeRaw,
  });
}

async function sizeOfSent(options: Options): Promise<Size | undefined> {
  const bytes = await sentSize(options);
  return bytes === undefined ? undefined : { bytes, direction: "sent" };
}

/** Whether a person or a command writes on the same terminal at any time. */
function sharesTerminalWithWriter(options: Options): boolean {
  return options.end.kind === "exec" ||
    readsStdin(options) && Deno.stdin.isTerminal();
}

function writesStdout(options: Options): boolean {
  const { end, sendOnly, output } = options;
  return (end.kind === "stdio" || end.kind === "serve") && !sendOnly &&
    output === undefined && !isBroker(options);
}

function canShowUnicode(): boolean {
  if (Deno.build.os === "windows") return true;
  const locale = Deno.env.get("LC_ALL") || Deno.env.get("LC_CTYPE") ||
    Deno.env.get("LANG") || "";
  return /utf-?8/i.test(locale);
}

const USUAL_COLUMNS = 80;

function terminalColumns(): number {
  try {
    return Deno.consoleSize().columns || USUAL_COLUMNS;
  } catch {
    return USUAL_COLUMNS;
  }
}
