/**
 * The table of options, out of which come the parser, the checks, the help, the
 * completions and the man page, so that they agree.
 *
 * A new option is a row here, a field in `options.ts`, its reading in `parse.ts`,
 * and what it does not go with in `conflicts.ts`.
 */

import { PROXY_VERSIONS } from "../net/proxy_versions.ts";
import { MAX_DATA_SIZE } from "../../framing.ts";
import { formatDuration, formatSize, MAX_DURATION_MS } from "../base/units.ts";

/** The kind of an option's value, which is how it is read; a flag has none. */
export type Kind = "flag" | "address" | "size" | "duration" | "count" | "text";

/** One row of the table. */
interface OptionRow {
  /** The long name without dashes. */
  readonly name: string;
  readonly short?: string;
  readonly kind: Kind;
  /** The word that stands for the value in the help: ADDRESS, SIZE, N, D, TEXT. */
  readonly value?: string;
  /** The least and the most that a size, duration (in ms) or count may be. */
  readonly range?: readonly [number, number];
  readonly group: Group;
  /** One sentence for the help, without a period. */
  readonly help: string;
  /** The value when the option is absent: bytes, ms, a count or one of the choices. */
  readonly default?: number | string;
  /** A few words for the help on a run without the option, where it has no default. */
  readonly absent?: string;
  /** The mode without which the option makes no sense. */
  readonly only?: "listen" | "connect";
  /** The options without any of which it makes no sense. */
  readonly needs?: readonly string[];
  /** The only values it may have. */
  readonly choices?: readonly string[];
  /** Whether it may be given several times, each adding to the others. */
  readonly repeatable?: boolean;
}

/** The groups of the help, in its order. */
export const GROUPS = [
  "What to do",
  "What to send and receive",
  "Did it arrive",
  "A listener for many",
  "The network",
  "Encryption",
  "When the server is not there yet",
  "When to give up",
  "What to say",
] as const;
export type Group = typeof GROUPS[number];

/** The shells that completions can be made for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = typeof SHELLS[number];

const DURATION_RANGE = [1, MAX_DURATION_MS] as const;

const TABLE = [
  {
    name: "listen",
    short: "l",
    kind: "address",
    value: "ADDRESS",
    group: "What to do",
    help: "Wait for one peer at ADDRESS",
  },
  {
    name: "connect",
    short: "c",
    kind: "address",
    value: "ADDRESS",
    group: "What to do",
    help: "Go to the peer at ADDRESS; try every address that the name has",
  },
  {
    name: "probe",
    kind: "flag",
    group: "What to do",
    only: "connect",
    help: "Connect, say so, exit 0: wait for a service in scripts",
  },
  {
    name: "reuse-port",
    kind: "flag",
    group: "What to do",
    only: "listen",
    help: "Let several listeners share one port (Linux)",
  },
  {
    name: "port-file",
    kind: "text",
    value: "FILE",
    group: "What to do",
    only: "listen",
    help: "Write the port into FILE once it is open, for scripts",
  },
  {
    name: "reconnect",
    kind: "flag",
    group: "What to do",
    only: "connect",
    help: "When a session has ended, connect again, until stopped",
  },
  {
    name: "message",
    kind: "text",
    value: "TEXT",
    group: "What to send and receive",
    help: "Send TEXT (UTF-8) instead of stdin, then end the sending side",
  },
  {
    name: "send-only",
    kind: "flag",
    group: "What to send and receive",
    help: "Write nothing to stdout; what the peer sends is read and dropped",
  },
  {
    name: "receive-only",
    kind: "flag",
    group: "What to send and receive",
    help: "Leave stdin alone; the sending side ends after the peer's",
  },
  {
    name: "no-half-close",
    kind: "flag",
    group: "What to send and receive",
    help:
      "When stdin ends, keep the sending side open until the peer has ended",
  },
  {
    name: "output",
    kind: "text",
    value: "FILE",
    group: "What to send and receive",
    help: "Write to FILE, not stdout; it appears when all is on the disk",
  },
  {
    name: "overwrite",
    kind: "flag",
    needs: ["output", "receipt"],
    group: "What to send and receive",
    help: "Replace FILE, and that of --receipt, if they exist",
  },
  {
    name: "serve",
    kind: "text",
    value: "FILE",
    group: "What to send and receive",
    help: "Send FILE instead of stdin, to each client the whole of it",
  },
  {
    name: "forward",
    kind: "address",
    value: "ADDRESS",
    group: "What to send and receive",
    help: "Join the connection with a new one to ADDRESS",
  },
  {
    name: "exec",
    kind: "text",
    value: "COMMAND",
    group: "What to send and receive",
    help:
      "Join the connection with COMMAND, which /bin/sh runs (cmd on Windows)",
  },
  {
    name: "exec-socket",
    kind: "flag",
    needs: ["exec"],
    group: "What to send and receive",
    help: "Give COMMAND one socket as stdin and stdout, as inetd does (Linux)",
  },
  {
    name: "data-size",
    kind: "size",
    value: "SIZE",
    range: [1, MAX_DATA_SIZE],
    group: "What to send and receive",
    help: "DATA_SIZE, the most that one read may take",
    absent: "64k, and more for bulk",
  },
  {
    name: "limit-rate",
    kind: "size",
    value: "SIZE",
    range: [1, Number.MAX_SAFE_INTEGER],
    group: "What to send and receive",
    help: "At most SIZE bytes a second, each way of each connection",
    absent: "no limit",
  },
  {
    name: "reliable",
    kind: "flag",
    group: "Did it arrive",
    help:
      "Verify the streams and resume them over broken connections; both sides",
  },
  {
    name: "window",
    kind: "size",
    value: "SIZE",
    range: [1, 1024 ** 3],
    group: "Did it arrive",
    needs: ["reliable"],
    help: "The most that may be unconfirmed, and so the memory",
    default: 8 * 1024 ** 2,
  },
  {
    name: "heartbeat",
    kind: "duration",
    value: "D",
    range: [300, MAX_DURATION_MS],
    group: "Did it arrive",
    needs: ["reliable"],
    help: "How long the peer may be silent before the connection is dead",
    default: 15_000,
  },
  {
    name: "resume-timeout",
    kind: "duration",
    value: "D",
    range: DURATION_RANGE,
    group: "Did it arrive",
    needs: ["reliable"],
    help: "How long to be without a connection",
    default: 60_000,
  },
  {
    name: "digest",
    kind: "text",
    value: "sha256",
    choices: ["sha256"],
    group: "Did it arrive",
    needs: ["reliable"],
    help: "Verify the streams with SHA-256 as well; both sides",
  },
  {
    name: "resume",
    kind: "flag",
    group: "Did it arrive",
    needs: ["reliable"],
    help: "Go on where a run that was killed has left FILE.part; both sides",
  },
  {
    name: "receipt",
    kind: "text",
    value: "FILE",
    group: "Did it arrive",
    needs: ["reliable"],
    help:
      "Write to FILE what was delivered: lengths, SHA-256, times, addresses",
  },
  {
    name: "check-receipt",
    kind: "text",
    value: "FILE",
    group: "Did it arrive",
    help:
      "Check a receipt, with --secret-file also its proof, and do nothing else",
  },
  {
    name: "token-file",
    kind: "text",
    value: "FILE",
    group: "Did it arrive",
    needs: ["reliable"],
    help:
      "Talk only to a peer that knows the secret in FILE; both sides, with TLS",
  },
  {
    name: "keep-open",
    short: "k",
    kind: "flag",
    group: "A listener for many",
    only: "listen",
    help: "Serve everybody who comes, at the same time, until stopped",
  },
  {
    name: "broker",
    kind: "flag",
    group: "A listener for many",
    only: "listen",
    help: "Give what one client sends to all others; implies --keep-open",
  },
  {
    name: "lines",
    kind: "flag",
    group: "A listener for many",
    needs: ["keep-open", "broker"],
    help: "Pass on whole lines only, never parts of two clients' mixed",
  },
  {
    name: "connections",
    kind: "count",
    value: "N",
    range: [1, Number.MAX_SAFE_INTEGER],
    group: "A listener for many",
    needs: ["keep-open", "broker", "reconnect"],
    help: "End when N clients have come and gone, or N sessions have ended",
    absent: "no end",
  },
  {
    name: "exit-when-idle",
    kind: "duration",
    value: "D",
    range: DURATION_RANGE,
    group: "A listener for many",
    needs: ["keep-open", "broker"],
    help: "End, and well, when no client has been there for D",
    absent: "no end",
  },
  {
    name: "max-connections",
    kind: "count",
    value: "N",
    range: [1, Number.MAX_SAFE_INTEGER],
    group: "A listener for many",
    needs: ["keep-open", "broker"],
    help: "At most N clients at once; the next one waits",
    absent: "no limit",
  },
  {
    name: "slow-client",
    kind: "text",
    value: "WHAT",
    choices: ["wait", "disconnect"],
    group: "A listener for many",
    needs: ["keep-open", "broker"],
    help: "Let all wait for one whose queue is full, or disconnect it after 2s",
    default: "disconnect",
  },
  {
    name: "queue",
    kind: "size",
    value: "SIZE",
    range: [1, 1024 ** 3],
    group: "A listener for many",
    needs: ["keep-open", "broker"],
    help: "What may wait to be sent to one client",
    default: 1024 ** 2,
  },
  {
    name: "grace",
    kind: "duration",
    value: "D",
    range: [0, MAX_DURATION_MS],
    group: "A listener for many",
    needs: ["keep-open", "broker"],
    help: "Time to finish what is under way after SIGINT or SIGTERM",
    default: 2000,
  },
  {
    name: "allow",
    kind: "text",
    value: "ADDRESS",
    group: "A listener for many",
    only: "listen",
    repeatable: true,
    help: "Let in only this IP address or block, like 192.0.2.0/24; repeatable",
  },
  {
    name: "deny",
    kind: "text",
    value: "ADDRESS",
    group: "A listener for many",
    only: "listen",
    repeatable: true,
    help: "Keep this address or block out, even if allowed; repeatable",
  },
  {
    name: "ipv4",
    short: "4",
    kind: "flag",
    group: "The network",
    help: "Use IPv4 addresses alone, to connect, listen and forward",
  },
  {
    name: "ipv6",
    short: "6",
    kind: "flag",
    group: "The network",
    help: "Use IPv6 addresses alone",
  },
  {
    name: "source",
    kind: "text",
    value: "ADDRESS",
    group: "The network",
    needs: ["connect", "forward"],
    help: "Connect from this address, ADDRESS:PORT or :PORT (Linux)",
    absent: "the system's choice",
  },
  {
    name: "keepalive",
    kind: "duration",
    value: "D",
    range: [0, MAX_DURATION_MS],
    group: "The network",
    help:
      "Ask a silent peer after D, then 4 times more, D/4 apart, and give up; 0 is off",
    default: 60_000,
  },
  {
    name: "proxy-protocol",
    kind: "text",
    value: "VERSION",
    choices: PROXY_VERSIONS,
    group: "The network",
    only: "listen",
    needs: ["forward"],
    help: "Tell where --forward goes who the client is, by a PROXY header",
  },
  {
    name: "accept-proxy-protocol",
    kind: "text",
    value: "ADDRESS",
    repeatable: true,
    group: "The network",
    only: "listen",
    help:
      "Read a PROXY header from this IP address or block; its client is the peer",
  },
  {
    name: "proxy",
    kind: "text",
    value: "URL",
    group: "The network",
    needs: ["connect", "forward"],
    help:
      "Go through a proxy: socks5h://, socks5://, socks4a:// or http://, then [USER@]HOST[:PORT]",
  },
  {
    name: "proxy-password-file",
    kind: "text",
    value: "FILE",
    group: "The network",
    needs: ["proxy"],
    help: "The password for the proxy is the first line of FILE",
    absent: "that in SOCKPIPE_PROXY_PASSWORD",
  },
  {
    name: "secret-file",
    kind: "text",
    value: "FILE",
    group: "Encryption",
    help:
      "Encrypt, and talk only to a peer that has the secret in FILE; both sides",
  },
  {
    name: "new-secret",
    kind: "text",
    value: "FILE",
    group: "Encryption",
    help: "Make a secret and write it to FILE, which must not be there; no run",
  },
  {
    name: "forward-secret-file",
    kind: "text",
    value: "FILE",
    group: "Encryption",
    needs: ["forward"],
    help: "The same for the connection of --forward",
  },
  {
    name: "forward-tls",
    kind: "flag",
    group: "Encryption",
    needs: ["forward"],
    help: "Encrypt the connection of --forward, and verify the server",
  },
  {
    name: "tls",
    kind: "flag",
    group: "Encryption",
    help: "Encrypt with TLS 1.2 or 1.3, and verify the peer; both sides",
  },
  {
    name: "tls-ca",
    kind: "text",
    value: "FILE",
    group: "Encryption",
    needs: ["tls", "forward-tls"],
    help: "Trust the CAs in FILE (PEM), besides those of the system",
  },
  {
    name: "tls-name",
    kind: "text",
    value: "NAME",
    group: "Encryption",
    needs: ["tls", "forward-tls"],
    help: "The name that the peer's certificate has to be for",
    absent: "that of ADDRESS",
  },
  {
    name: "tls-pin",
    kind: "text",
    value: "PIN",
    group: "Encryption",
    only: "connect",
    needs: ["tls"],
    help: "Trust this key alone, whatever its certificate says: sha256:HEX",
  },
  {
    name: "tls-insecure",
    kind: "flag",
    group: "Encryption",
    only: "connect",
    needs: ["tls"],
    help: "Trust anybody",
  },
  {
    name: "tls-cert",
    kind: "text",
    value: "FILE",
    group: "Encryption",
    needs: ["tls"],
    help: "Our certificate (PEM), with those up to its CA behind it",
  },
  {
    name: "tls-key",
    kind: "text",
    value: "FILE",
    group: "Encryption",
    needs: ["tls-cert"],
    help: "Its private key (PEM)",
    absent: "in the certificate's file",
  },
  {
    name: "tls-self-signed",
    kind: "flag",
    group: "Encryption",
    only: "listen",
    needs: ["tls"],
    help:
      "Make a key for this run, and print the pin that the other side needs",
  },
  {
    name: "tls-client-ca",
    kind: "text",
    value: "FILE",
    group: "Encryption",
    only: "listen",
    needs: ["tls"],
    help: "Let in only clients with a certificate of a CA in FILE (PEM)",
  },
  {
    name: "tls-client-pin",
    kind: "text",
    value: "PIN",
    repeatable: true,
    group: "Encryption",
    only: "listen",
    needs: ["tls"],
    help: "Let in only clients with this key; may be given several times",
  },
  {
    name: "tls-alpn",
    kind: "text",
    value: "NAMES",
    group: "Encryption",
    needs: ["tls"],
    help: "Protocols to agree on, like http/1.1; the first is liked best",
  },
  {
    name: "retry-delay",
    kind: "duration",
    value: "D",
    range: [10, MAX_DURATION_MS],
    group: "When the server is not there yet",
    only: "connect",
    help: "Pause before the next attempt",
    default: 3000,
  },
  {
    name: "retry-max-delay",
    kind: "duration",
    value: "D",
    range: [10, MAX_DURATION_MS],
    group: "When the server is not there yet",
    only: "connect",
    help: "Double the pause up to D, with jitter",
    absent: "the retry delay",
  },
  {
    name: "retries",
    kind: "count",
    value: "N",
    range: [0, Number.MAX_SAFE_INTEGER],
    group: "When the server is not there yet",
    only: "connect",
    help: "Attempts after the first; 0 is one attempt",
    absent: "no limit",
  },
  {
    name: "retry-timeout",
    kind: "duration",
    value: "D",
    range: DURATION_RANGE,
    group: "When to give up",
    only: "connect",
    help: "Total time for all attempts",
    absent: "no limit",
  },
  {
    name: "connect-timeout",
    kind: "duration",
    value: "D",
    range: DURATION_RANGE,
    group: "When to give up",
    only: "connect",
    help: "Time for one attempt",
    default: 10_000,
  },
  {
    name: "accept-timeout",
    kind: "duration",
    value: "D",
    range: DURATION_RANGE,
    group: "When to give up",
    only: "listen",
    help: "Time until a peer has come",
    absent: "no limit",
  },
  {
    name: "idle-timeout",
    kind: "duration",
    value: "D",
    range: DURATION_RANGE,
    group: "When to give up",
    help: "Time without a byte either way",
    absent: "no limit",
  },
  {
    name: "progress",
    kind: "flag",
    group: "What to say",
    help:
      "Show bytes, rate, time and what is slow on a terminal; elsewhere a line every 5 seconds",
  },
  {
    name: "size",
    kind: "size",
    value: "SIZE",
    range: [1, Number.MAX_SAFE_INTEGER],
    group: "What to say",
    needs: ["progress", "output"],
    help:
      "How much it will be, for the percentage, the time left and the room on disk",
    absent: "that of what is sent, if it is a file",
  },
  {
    name: "dump",
    kind: "text",
    value: "FILE",
    group: "What to say",
    help: "Record the traffic in FILE: hex and text, direction, time",
  },
  {
    name: "verbose",
    short: "v",
    kind: "flag",
    group: "What to say",
    help: "Say each step on stderr, and at the end what was waited for",
  },
  {
    name: "quiet",
    short: "q",
    kind: "flag",
    group: "What to say",
    help: "Say only errors",
  },
  {
    name: "json",
    kind: "flag",
    group: "What to say",
    help: "Say every event as one JSON object a line",
  },
  {
    name: "help",
    short: "h",
    kind: "flag",
    group: "What to say",
    help: "Show this help",
  },
  {
    name: "version",
    short: "V",
    kind: "flag",
    group: "What to say",
    help: "Show the version",
  },
  {
    name: "completions",
    kind: "text",
    value: "SHELL",
    choices: SHELLS,
    group: "What to say",
    help: "Write the completions for bash, zsh or fish to stdout",
  },
] as const satisfies readonly OptionRow[];

type Row = typeof TABLE[number];

/** The name of an option. A mistyped one does not compile. */
export type OptionName = Row["name"];
/** The name of an option without a value. */
export type FlagName = Extract<Row, { kind: "flag" }>["name"];
/** The name of an option with a size, a duration or a count. */
export type NumberName = Extract<
  Row,
  { kind: "size" | "duration" | "count" }
>["name"];
/** The name of an option with a few words to choose from. */
export type ChoiceName = Extract<Row, { choices: readonly string[] }>["name"];
/** The name of an option with an address or any other text. */
export type TextName = Exclude<OptionName, FlagName | NumberName>;

/** The row of the option with this name. */
export type RowOf<Name extends OptionName> = Extract<Row, { name: Name }>;

/** One option, as everything that speaks of options needs to know it. */
export interface Option extends OptionRow {
  readonly name: OptionName;
  readonly needs?: readonly OptionName[];
}

/** Every option there is, in the order of the help. */
export const OPTIONS: readonly Option[] = TABLE;

const BY_NAME = new Map(OPTIONS.map((option) => [option.name, option]));

/** Finds the option with this name, which has no dashes. */
export function optionOf(name: OptionName): Option;
export function optionOf(name: string): Option | undefined;
export function optionOf(name: string): Option | undefined {
  const names: ReadonlyMap<string, Option> = BY_NAME;
  return names.get(name);
}

/** Writes the default of an option as it would be typed; or what holds without it. */
export function formatDefault(option: Option): string | undefined {
  if (option.default === undefined) return option.absent;
  return formatValue(option, option.default);
}

/** Writes a size, a duration or a count as it would be typed for this option. */
export function formatValue({ kind }: Option, value: number | string): string {
  if (typeof value === "string" || kind === "count") return `${value}`;
  return kind === "duration" ? formatDuration(value) : formatSize(value);
}
