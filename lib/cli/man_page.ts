/** The man page, out of the table of options. */

import { type Example, EXAMPLES } from "./examples.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import { wrap } from "./help.ts";
import { formatDefault, GROUPS, type Option, OPTIONS } from "./option_table.ts";

/** A release, as the man page names it. */
export interface Release {
  readonly version: string;
  /** The day of the release, as YYYY-MM-DD. */
  readonly date: string;
}

/** Writes the source of `sockpipe.1`, in the man macros of man(7). */
export function manPage(release: Release): string {
  return [
    ...introduction(release),
    ".SH ADDRESSES",
    ...definitions(ADDRESSES),
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
    ...definitions(EXIT_CODES.map(({ codes, meaning }) => [
      codes.join(", "),
      `${upperFirst(meaning.replaceAll("`", ""))}.`,
    ])),
    ".SH SIGNALS",
    ...definitions(SIGNALS),
    ".SH ENVIRONMENT",
    ...definitions(ENVIRONMENT),
    ".SH EXAMPLES",
    ...EXAMPLES.flatMap(exampleLines),
    ".SH SEE ALSO",
    ".BR nc (1),",
    ".BR ncat (1),",
    ".BR socat (1)",
  ].join("\n") + "\n";
}

type Definition = readonly [term: string, text: string];

const ADDRESSES: readonly Definition[] = [
  ["PORT", "On 127.0.0.1. Port 0 lets the system choose."],
  ["HOST:PORT", "A name or an IPv4 address."],
  ["[IPV6]:PORT", "An IPv6 address, perhaps with a zone: [fe80::1%eth0]:9000."],
  [":PORT", "Every interface, IPv4 and IPv6; only to listen."],
  ["unix:PATH", "A unix domain socket."],
  ["unix:@NAME", "A name of the abstract namespace of Linux."],
  [
    "systemd",
    "The sockets that were passed on (LISTEN_FDS, LISTEN_PID); only to listen.",
  ],
];

const SIGNALS: readonly Definition[] = [
  [
    "SIGUSR2, SIGUSR1, SIGINFO",
    "Say on standard error how much has gone each way, and what was waited for most of the time.",
  ],
  [
    "SIGINT, SIGTERM, SIGHUP",
    "End; the peer sees a broken connection. Where one was ignored at the start, it stays ignored.",
  ],
];

const ENVIRONMENT: readonly Definition[] = [
  [
    "SOCKPIPE_PROXY_PASSWORD",
    "The password for --proxy. No other variable about proxies is read.",
  ],
  [
    "NOTIFY_SOCKET",
    "Told READY=1 when the listener listens, or the client is connected.",
  ],
  ["NO_COLOR", "When set and not empty, nothing is colored."],
  ["TERM", "When it is dumb, the progress is written as plain lines."],
];

function introduction({ version, date }: Release): string[] {
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
  ];
}

function exampleLines({ purpose, command }: Example, index: number): string[] {
  return [
    ...index === 0 ? [] : [".PP"],
    escaped(`${purpose}:`),
    ".PP",
    ".RS 4",
    ".nf",
    escaped(command),
    ".fi",
    ".RE",
  ];
}

function optionLines(option: Option): string[] {
  const short = option.short === undefined ? "" : `\\-${option.short}, `;
  const name = `${short}\\-\\-${escaped(option.name)}`;
  const value = option.value === undefined
    ? ""
    : ` " " "${escaped(option.value)}"`;
  const absent = formatDefault(option);
  const notes = [
    ...absent === undefined ? [] : [`Default: ${absent}.`],
    ...option.choices === undefined
      ? []
      : [`One of: ${option.choices.join(", ")}.`],
    ...option.only === undefined ? [] : [`Only with \\-\\-${option.only}.`],
    ...option.needs === undefined
      ? []
      : [`Only with ${option.needs.map((name) => `--${name}`).join(" or ")}.`],
  ];
  return [
    ".TP",
    value === "" ? `.B "${name}"` : `.BI "${name}"${value}`,
    ...wrap(`${escaped(option.help)}.`, 80),
    ...notes.map((note) => note.replace(/(?<!\\)-/g, "\\-")),
  ];
}

function definitions(entries: readonly Definition[]): string[] {
  return entries.flatMap(([term, text]) => [
    ".TP",
    `.B "${escaped(term)}"`,
    ...escaped(text).split(/(?<=\.) /).flatMap((line) => wrap(line, 80)),
  ]);
}

/** Escapes a text for roff: no escapes, no hyphens for dashes, no requests. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-")
    .replaceAll('"', "\\(dq").replace(/^[.']/, "\\&$&");
}

function upperFirst(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
