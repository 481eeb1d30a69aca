/** Which meter a run with `--progress` has, and what it can know in advance. */

import { Meter, type Size } from "../report/meter.ts";
import { fileOffset } from "../base/descriptors.ts";
import { libc } from "../base/libc.ts";
import type { Options } from "../cli/options.ts";
import type { Reporter } from "../report/reporter.ts";

/** What is sent, as far as its size can be asked for. */
type Sent = "stdin" | { readonly path: string } | undefined;

/** Starts the meter that fits the options and this terminal, or the lack of one. */
export async function startMeter(
  options: Options,
  report: Reporter,
): Promise<Meter> {
  const { size, talk } = options;
  const color = (Deno.env.get("NO_COLOR") ?? "") === "";
  const unicode = canShowUnicode();
  const live = Deno.stderr.isTerminal() && Deno.env.get("TERM") !== "dumb" &&
    !hasCompany(options);
  return new Meter(report, {
    kind: talk === "json" ? "events" : live ? "live" : "plain",
    size: size === undefined
      ? await sizeOf(sentBy(options))
      : { bytes: size, of: "larger" },
    sharesTerminal: writesStdout(options) && Deno.stdout.isTerminal(),
    look: () => ({ columns: terminalColumns(), color, unicode }),
    draw: report.writeRaw,
  });
}

/** What is sent; to how many clients it will go is not known. */
function sentBy(options: Options): Sent {
  const { end } = options;
  if (options.mode === "listen" && options.keepOpen !== undefined) return;
  if (end.kind === "serve") return end;
  return readsStdin(options) ? "stdin" : undefined;
}

/** Whether a person or a command writes on the same terminal at any time. */
function hasCompany(options: Options): boolean {
  return options.end.kind === "exec" ||
    readsStdin(options) && Deno.stdin.isTerminal();
}

function readsStdin(options: Options): boolean {
  const { end, message, receiveOnly } = options;
  return end.kind === "stdio" && message === undefined && !receiveOnly &&
    !isBroker(options);
}

function writesStdout(options: Options): boolean {
  const { end, sendOnly } = options;
  return (end.kind === "stdio" || end.kind === "serve") && !sendOnly &&
    !isBroker(options);
}

function isBroker(options: Options): boolean {
  return options.mode === "listen" && options.keepOpen?.broker === true;
}

/** What is still to be read of what is sent, when it is a file. */
async function sizeOf(sends: Sent): Promise<Size | undefined> {
  if (sends === undefined) return undefined;
  // node:fs is loaded only here, since that takes milliseconds.
  const { fstatSync, statSync } = await import("node:fs");
  try {
    const stat = sends === "stdin" ? fstatSync(0) : statSync(sends.path);
    if (!stat.isFile()) return undefined;
    const c = sends === "stdin" ? libc() : undefined;
    const before = c === undefined ? 0 : fileOffset(c, 0) ?? 0;
    return { bytes: Math.max(0, stat.size - before), of: "sent" };
  } catch {
    return undefined;
  }
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
