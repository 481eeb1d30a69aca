/** What `--help` and `sockpipe` alone say, out of the table of options. */

import { GROUPS, type Option, OPTIONS } from "./option_table.ts";

const SYNOPSIS = `Usage: sockpipe --listen ADDRESS [options]
       sockpipe --connect ADDRESS [options]`;

const ADDRESS_HELP =
  `ADDRESS is PORT (on 127.0.0.1), HOST:PORT, [IPV6]:PORT, unix:PATH, or :PORT to
listen on every interface. Port 0 lets the system choose. SIZE is like 1024,
64k or 4M; D is like 250ms, 3s or 2m.`;

const EXAMPLES = `Examples:
  tar c photos | sockpipe --connect nas.local:32000
  sockpipe --listen :32000 | tar x
  sockpipe --connect db.local:5432 --probe --retry-timeout 30s`;

const EXIT_HELP = `Exit codes:
  0 everything delivered     5 a time limit was reached
  1 the connection broke     6 the stream is incomplete or damaged
  2 usage error              7 refused for security
  3 could not connect        8 local input or output failed
  4 could not listen         129, 130, 143 a signal; 141 stdout's reader is gone`;

/** What `sockpipe` alone says. */
export function shortHelp(): string {
  return `sockpipe: a TCP pipe between two machines\n\n${SYNOPSIS}\n\n${EXAMPLES}\n\nsockpipe --help shows every option.\n`;
}

/** What `--help` says; 80 columns. */
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
    EXAMPLES,
    EXIT_HELP,
  ].join("\n\n") + "\n";
}

const HELP_COLUMN = 29;
const HELP_WIDTH = 80;

function helpLines(option: Option): string {
  const short = option.short === undefined ? "    " : `-${option.short}, `;
  const value = option.value === undefined ? "" : ` ${option.value}`;
  const head = `  ${short}--${option.name}${value}`;
  const text = option.default === undefined
    ? option.help
    : `${option.help} (${option.default})`;
  const lines = wrap(text, HELP_WIDTH - HELP_COLUMN);
  const [first = "", ...rest] = head.length < HELP_COLUMN
    ? lines
    : ["", ...lines];
  return [
    `${head.padEnd(HELP_COLUMN)}${first}`.trimEnd(),
    ...rest.map((line) => " ".repeat(HELP_COLUMN) + line),
  ].join("\n") + "\n";
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
