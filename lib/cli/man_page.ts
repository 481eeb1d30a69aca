/** The man page, out of the table of options. */

import { wrap } from "./help.ts";
import { GROUPS, type Option, OPTIONS } from "./option_table.ts";

/** What of a release the man page says. */
export interface Release {
  readonly version: string;
  /** The day of the release, as YYYY-MM-DD. */
  readonly date: string;
}

const EXIT_STATUS: readonly (readonly [string, string])[] = [
  ["0", "Everything was delivered, and both sides have ended."],
  ["1", "The connection broke before everything was delivered."],
  ["2", "Usage error; nothing was opened."],
  [
    "3",
    "Could not connect: refused, unreachable, unknown name, attempts used up.",
  ],
  ["4", "Could not listen: address in use, no permission, unknown address."],
  ["5", "A time limit was reached; the message says which."],
  [
    "6",
    "The stream is incomplete or damaged, or the peer does not speak the protocol.",
  ],
  ["7", "Refused for security."],
  ["8", "Local input or output failed."],
  ["129, 130, 143", "Ended by SIGHUP, SIGINT, SIGTERM."],
  ["141", "The reader of stdout went away."],
];

const EXAMPLES: readonly (readonly [string, string])[] = [
  ["Send a directory:", "tar c photos | sockpipe --connect nas.local:32000"],
  ["Receive it:", "sockpipe --listen :32000 | tar x"],
  [
    "Wait for a service:",
    "sockpipe --connect db.local:5432 --probe --retry-timeout 30s",
  ],
];

/** The source of `sockpipe.1`, in the man macros of man(7). */
export function manPage({ version, date }: Release): string {
  return [
    `.TH SOCKPIPE 1 ${date} "sockpipe ${version}" "User Commands"`,
    ".SH NAME",
    "sockpipe \\- a TCP pipe between two machines",
    ".SH SYNOPSIS",
    ...["listen", "connect"].flatMap((mode, index) => [
      ...index === 0 ? [] : [".br"],
      `.B sockpipe \\-\\-${mode}`,
      ".I ADDRESS",
      "[options]",
    ]),
    ".SH DESCRIPTION",
    "What comes in on standard input goes to the peer over TCP, what the peer",
    "sends comes out on standard output, all talk goes to standard error, and the",
    "exit status tells whether the data was delivered.",
    "One side listens, the other connects and tries again until the listener is",
    "there.",
    "When standard input ends, the sending side is closed and receiving goes on",
    "until the peer has ended too.",
    ".SH ADDRESSES",
    ...definitions([
      ["PORT", "On 127.0.0.1. Port 0 lets the system choose."],
      ["HOST:PORT", "A name or an IPv4 address."],
      ["[IPV6]:PORT", "An IPv6 address."],
      [":PORT", "Every interface, IPv4 and IPv6; only to listen."],
      ["unix:PATH", "A unix domain socket."],
    ]),
    ".SH OPTIONS",
    "SIZE is like 1024, 64k or 4M (powers of 1024); D is a duration like 250ms,",
    "3s or 2m.",
    ...GROUPS.flatMap((group) => [
      `.SS ${escaped(group)}`,
      ...OPTIONS.filter((option) => option.group === group).flatMap(
        optionLines,
      ),
    ]),
    ".SH EXIT STATUS",
    ...definitions(EXIT_STATUS),
    ".SH SIGNALS",
    ...definitions([
      [
        "SIGUSR2, SIGUSR1, SIGINFO",
        "Say on standard error how much has gone each way.",
      ],
      ["SIGINT, SIGTERM, SIGHUP", "End; the peer sees a broken connection."],
    ]),
    ".SH ENVIRONMENT",
    ...definitions([
      ["NO_COLOR", "When set and not empty, nothing is colored."],
      ["TERM", "When it is dumb, the progress is written as plain lines."],
    ]),
    ".SH EXAMPLES",
    ...EXAMPLES.flatMap(([text, command], index) => [
      ...index === 0 ? [] : [".PP"],
      escaped(text),
      ".PP",
      ".RS",
      ".nf",
      escaped(command),
      ".fi",
      ".RE",
    ]),
    ".SH SEE ALSO",
    ".BR nc (1),",
    ".BR ncat (1),",
    ".BR socat (1)",
  ].join("\n") + "\n";
}

function optionLines(option: Option): string[] {
  const short = option.short === undefined ? "" : `\\-${option.short}, `;
  const name = `${short}\\-\\-${escaped(option.name)}`;
  const value = option.value === undefined
    ? ""
    : ` " " "${escaped(option.value)}"`;
  const notes = [
    ...option.default === undefined ? [] : [`Default: ${option.default}.`],
    ...option.choices === undefined
      ? []
      : [`One of: ${option.choices.join(", ")}.`],
    ...option.only === undefined ? [] : [`Only with \\-\\-${option.only}.`],
    ...option.needs === undefined ? [] : [`Only with \\-\\-${option.needs}.`],
  ];
  return [
    ".TP",
    value === "" ? `.B "${name}"` : `.BI "${name}"${value}`,
    ...wrap(`${escaped(option.help)}.`, 80),
    ...notes.map((note) => note.replace(/(?<!\\)-/g, "\\-")),
  ];
}

function definitions(
  entries: readonly (readonly [string, string])[],
): string[] {
  return entries.flatMap(([term, text]) => [
    ".TP",
    `.B "${escaped(term)}"`,
    ...escaped(text).split(/(?<=\.) /),
  ]);
}

/** A text as roff reads it: no escapes, no hyphens for dashes, no requests. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-")
    .replaceAll('"', "\\(dq").replace(/^[.']/, "\\&$&");
}
