/** The texts of `--help` and of `sockpipe` alone, out of the tables. */

import { EXAMPLES } from "./examples.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import { formatDefault, GROUPS, type Option, OPTIONS } from "./option_table.ts";

const SYNOPSIS = `Usage: sockpipe --listen ADDRESS [options]
       sockpipe --connect ADDRESS [options]`;

const ADDRESS_HELP =
  `ADDRESS is PORT (on 127.0.0.1), HOST:PORT, [IPV6]:PORT, unix:PATH, or :PORT to
listen on every interface, or systemd for the sockets it passes on. Port 0 lets
the system choose. SIZE is like 1024, 64k or 4M; D is like 250ms, 3s or 2m.`;

/** The examples, without their purposes: the commands speak for themselves. */
const EXAMPLES_HELP = `Examples:
${EXAMPLES.map(({ command }) => `  ${command}`).join("\n")}`;

/** Writes what `sockpipe` alone says. */
export function shortHelp(): string {
  return `sockpipe: a TCP pipe between two machines\n\n${SYNOPSIS}\n\n${EXAMPLES_HELP}\n\nsockpipe --help shows every option.\n`;
}

/** Writes what `--help` says; 80 columns. */
export function help(): string {
  const groups = GROUPS.map((group) =>
    `${group}:\n${
      OPTIONS.filter((option) => option.group === group).map(helpLines).join("")
    }`
  );
  return [
    "sockpipe: a TCP pipe between two machines. stdin goes to the peer, what the\npeer sends comes out on stdout, and the exit code tells the truth.",
    SYNOPSIS,
    ADDRESS_HELP,
    ...groups.map((group) => group.trimEnd()),
    EXAMPLES_HELP,
    exitCodesHelp(),
  ].join("\n\n") + "\n";
}

const HELP_COLUMN = 29;
const HELP_WIDTH = 80;

function helpLines(option: Option): string {
  const short = option.short === undefined ? "    " : `-${option.short}, `;
  const value = option.value === undefined ? "" : ` ${option.value}`;
  const head = `  ${short}--${option.name}${value}`;
  const absent = formatDefault(option);
  const text = absent === undefined
    ? option.help
    : `${option.help} (${absent})`;
  const lines = wrap(text, HELP_WIDTH - HELP_COLUMN);
  const [first = "", ...rest] = head.length < HELP_COLUMN
    ? lines
    : ["", ...lines];
  return [
    `${head.padEnd(HELP_COLUMN)}${first}`.trimEnd(),
    ...rest.map((line) => " ".repeat(HELP_COLUMN) + line),
  ].join("\n") + "\n";
}

/**
 * Writes the exit codes: the small ones in two columns, those of signals and pipes
 * below.
 */
function exitCodesHelp(): string {
  const cells = EXIT_CODES.map(({ codes, short }) =>
    `${codes.join(", ")} ${short}`
  );
  const single = cells.filter((cell) => /^\d /.test(cell));
  const half = Math.ceil(single.length / 2);
  const rows = single.slice(0, half).map((cell, index) =>
    `  ${cell.padEnd(HELP_COLUMN - 4)} ${single[half + index] ?? ""}`.trimEnd()
  );
  const others = cells.filter((cell) => !single.includes(cell)).join("; ");
  return ["Exit codes:", ...rows, `  ${others}`].join("\n");
}

/** Breaks a sentence into lines of at most `width` characters. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
