/**
 * The command line: one table of options, out of which come the parser, the
 * checks, the help, the completions and the man page, so that they agree.
 *
 * argv → {@linkcode parseCommandLine} → a {@linkcode Command}, or a UsageError.
 * Nothing is opened or looked up here.
 */

import { parseArgs } from "@std/cli/parse-args";
import { type Address, parseAddress } from "./address.ts";
import { type AccessRules, parseAccessRule } from "./access.ts";
import { UsageError } from "./errors.ts";
import { MAX_DATA_SIZE } from "./framing.ts";
import { parsePin, type Pin } from "./pin.ts";
import { foreignHint, nearest } from "./suggest.ts";
import {
  formatDuration,
  formatSize,
  MAX_DURATION_MS,
  parseDuration,
  parseSize,
} from "./units.ts";

/** How the value of an option is read; a flag has none. */
type Kind = "flag" | "address" | "size" | "duration" | "count" | "text";

/** One option, as everything that speaks of options needs to know it. */
export interface Option {
  /** The long name without dashes. */
  readonly name: string;
  readonly short?: string;
  readonly kind: Kind;
  /** What stands for the value in the help: ADDRESS, SIZE, N, D, TEXT. */
  readonly value?: string;
  /** The least and the most that a size, duration (in ms) or count may be. */
  readonly range?: readonly [number, number];
  readonly group: Group;
  /** One sentence for the help, without a period. */
  readonly help: string;
  /** What holds when the option is absent, for the help. */
  readonly default?: string;
  /** The mode without which the option makes no sense. */
  readonly only?: "listen" | "connect";
  /** The option without which it makes no sense. */
  readonly needs?: string;
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
  "Encryption",
  "When the server is not there yet",
  "When to give up",
  "What to say",
] as const;
type Group = typeof GROUPS[number];

/** The shells that completions can be made for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = typeof SHELLS[number];

const DURATION_RANGE = [1, MAX_DURATION_MS] as const;

/** Every option there is, in the order of the help. */
export const OPTIONS: readonly Option[] = [
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
    name: "data-size",
    kind: "size",
    value: "SIZE",
    range: [1, MAX_DATA_SIZE],
    group: "What to send and receive",
    help: "DATA_SIZE, the most that one read may take",
    default: "64k, and more for bulk",
  },
  {
    name: "limit-rate",
    kind: "size",
    value: "SIZE",
    range: [1, Number.MAX_SAFE_INTEGER],
    group: "What to send and receive",
    help: "At most SIZE bytes a second, each way",
    default: "no limit",
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
    needs: "reliable",
    help: "The most that may be unconfirmed, and so the memory",
    default: "8M",
  },
  {
    name: "heartbeat",
    kind: "duration",
    value: "D",
    range: [300, MAX_DURATION_MS],
    group: "Did it arrive",
    needs: "reliable",
    help: "How long the peer may be silent before the connection is dead",
    default: "15s",
  },
  {
    name: "resume-timeout",
    kind: "duration",
    value: "D",
    range: DURATION_RANGE,
    group: "Did it arrive",
    needs: "reliable",
    help: "How long to be without a connection",
    default: "60s",
  },
  {
    name: "digest",
    kind: "text",
    value: "sha256",
    choices: ["sha256"],
    group: "Did it arrive",
    needs: "reliable",
    help: "Verify the streams with SHA-256 as well; both sides",
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
    needs: "keep-open",
    help: "Pass on whole lines only, never parts of two clients' mixed",
  },
  {
    name: "connections",
    kind: "count",
    value: "N",
    range: [1, Number.MAX_SAFE_INTEGER],
    group: "A listener for many",
    needs: "keep-open",
    help: "End when N clients have come and gone",
    default: "no end",
  },
  {
    name: "max-connections",
    kind: "count",
    value: "N",
    range: [1, Number.MAX_SAFE_INTEGER],
    group: "A listener for many",
    needs: "keep-open",
    help: "At most N clients at once; the next one waits",
    default: "no limit",
  },
  {
    name: "slow-client",
    kind: "text",
    value: "WHAT",
    choices: ["wait", "disconnect"],
    group: "A listener for many",
    needs: "keep-open",
    help: "Let all wait for one whose queue is full, or disconnect it after 2s",
    default: "disconnect",
  },
  {
    name: "queue",
    kind: "size",
    value: "SIZE",
    range: [1, 1024 ** 3],
    group: "A listener for many",
    needs: "keep-open",
    help: "What may wait to be sent to one client",
    default: "1M",
  },
  {
    name: "grace",
    kind: "duration",
    value: "D",
    range: [0, MAX_DURATION_MS],
    group: "A listener for many",
    needs: "keep-open",
    help: "Time to finish what is under way after SIGINT or SIGTERM",
    default: "2s",
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
    only: "connect",
    needs: "tls",
    help: "Trust the CAs in FILE (PEM), besides those of the system",
  },
  {
    name: "tls-name",
    kind: "text",
    value: "NAME",
    group: "Encryption",
    only: "connect",
    needs: "tls",
    help: "The name that the peer's certificate has to be for",
    default: "that of ADDRESS",
  },
  {
    name: "tls-pin",
    kind: "text",
    value: "PIN",
    group: "Encryption",
    only: "connect",
    needs: "tls",
    help: "Trust this key alone, whatever its certificate says: sha256:HEX",
  },
  {
    name: "tls-insecure",
    kind: "flag",
    group: "Encryption",
    only: "connect",
    needs: "tls",
    help: "Trust anybody",
  },
  {
    name: "tls-cert",
    kind: "text",
    value: "FILE",
    group: "Encryption",
    needs: "tls",
    help: "Our certificate (PEM), with those up to its CA behind it",
  },
  {
    name: "tls-key",
    kind: "text",
    value: "FILE",
    group: "Encryption",
    needs: "tls-cert",
    help: "Its private key (PEM)",
    default: "in the certificate's file",
  },
  {
    name: "tls-self-signed",
    kind: "flag",
    group: "Encryption",
    only: "listen",
    needs: "tls",
    help:
      "Make a key for this run, and print the pin that the other side needs",
  },
  {
    name: "tls-client-ca",
    kind: "text",
    value: "FILE",
    group: "Encryption",
    only: "listen",
    needs: "tls",
    help: "Let in only clients with a certificate of a CA in FILE (PEM)",
  },
  {
    name: "tls-client-pin",
    kind: "text",
    value: "PIN",
    repeatable: true,
    group: "Encryption",
    only: "listen",
    needs: "tls",
    help: "Let in only clients with this key; may be given several times",
  },
  {
    name: "tls-alpn",
    kind: "text",
    value: "NAMES",
    group: "Encryption",
    needs: "tls",
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
    default: "3s",
  },
  {
    name: "retry-max-delay",
    kind: "duration",
    value: "D",
    range: [10, MAX_DURATION_MS],
    group: "When the server is not there yet",
    only: "connect",
    help: "Double the pause up to D, with jitter",
    default: "the retry delay",
  },
  {
    name: "retries",
    kind: "count",
    value: "N",
    range: [0, Number.MAX_SAFE_INTEGER],
    group: "When the server is not there yet",
    only: "connect",
    help: "Attempts after the first; 0 is one attempt",
    default: "no limit",
  },
  {
    name: "retry-timeout",
    kind: "duration",
    value: "D",
    range: DURATION_RANGE,
    group: "When to give up",
    only: "connect",
    help: "Total time for all attempts",
    default: "no limit",
  },
  {
    name: "connect-timeout",
    kind: "duration",
    value: "D",
    range: DURATION_RANGE,
    group: "When to give up",
    only: "connect",
    help: "Time for one attempt",
    default: "10s",
  },
  {
    name: "accept-timeout",
    kind: "duration",
    value: "D",
    range: DURATION_RANGE,
    group: "When to give up",
    only: "listen",
    help: "Time until a peer has come",
    default: "no limit",
  },
  {
    name: "idle-timeout",
    kind: "duration",
    value: "D",
    range: DURATION_RANGE,
    group: "When to give up",
    help: "Time without a byte either way",
    default: "no limit",
  },
  {
    name: "progress",
    kind: "flag",
    group: "What to say",
    help:
      "Show bytes, rate and time on a terminal; elsewhere a line every 5 seconds",
  },
  {
    name: "size",
    kind: "size",
    value: "SIZE",
    range: [1, Number.MAX_SAFE_INTEGER],
    group: "What to say",
    needs: "progress",
    help: "How much it will be, for the percentage and the time left",
    default: "that of stdin, if it is a file",
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
    help: "Say each step on stderr",
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
];

/** When and how often to try to connect; durations in ms. */
export interface RetryOptions {
  readonly delayMs: number;
  /** Never below `delayMs`. */
  readonly maxDelayMs: number;
  /** Attempts after the first; `undefined` is no limit. */
  readonly retries: number | undefined;
  readonly timeoutMs: number | undefined;
  readonly connectTimeoutMs: number;
}

/** `--reliable` and what belongs to it; durations in ms. */
export interface ReliableSettings {
  /** Bytes that may be unconfirmed. */
  readonly window: number;
  readonly heartbeatMs: number;
  readonly resumeTimeoutMs: number;
  readonly digest: boolean;
}

/** What a connection is joined with. */
export type EndOptions =
  | { readonly kind: "stdio" }
  | { readonly kind: "serve"; readonly path: string }
  | { readonly kind: "forward"; readonly address: Address }
  | { readonly kind: "exec"; readonly command: string };

/** `--keep-open` and what belongs to it. */
export interface KeepOpenOptions {
  readonly broker: boolean;
  readonly lines: boolean;
  readonly slowClient: "wait" | "disconnect";
  /** Bytes that may wait for one client. */
  readonly queueSize: number;
  /** How many clients there are in all, and at once. */
  readonly connections: number | undefined;
  readonly maxConnections: number | undefined;
  readonly graceMs: number;
}

/** `--tls` and what belongs to it. The modes' own are empty in the other mode. */
export interface TlsSettings {
  readonly certFile: string | undefined;
  /** The certificate's file when absent. */
  readonly keyFile: string | undefined;
  readonly alpn: readonly string[];
  // connect
  readonly caFile: string | undefined;
  readonly name: string | undefined;
  readonly pin: Pin | undefined;
  readonly insecure: boolean;
  // listen; with no certificate, one is made
  readonly clientCaFile: string | undefined;
  readonly clientPins: readonly Pin[];
}

/** What both modes have. */
interface CommonOptions {
  readonly address: Address;
  readonly end: EndOptions;
  /** What the user typed as ADDRESS's number of bytes for one read, if anything. */
  readonly dataSize: number | undefined;
  readonly message: string | undefined;
  readonly sendOnly: boolean;
  readonly receiveOnly: boolean;
  readonly idleTimeoutMs: number | undefined;
  readonly reliable: ReliableSettings | undefined;
  readonly tls: TlsSettings | undefined;
  /** Bytes a second, each way. */
  readonly limitRate: number | undefined;
  /** The file of `--dump`. */
  readonly dump: string | undefined;
  readonly progress: boolean;
  /** How much the larger direction will come to, in bytes. */
  readonly size: number | undefined;
  readonly talk: "quiet" | "normal" | "verbose" | "json";
}

export interface ListenOptions extends CommonOptions {
  readonly mode: "listen";
  readonly reusePort: boolean;
  readonly acceptTimeoutMs: number | undefined;
  /** Who may connect; everybody when `undefined`. */
  readonly access: AccessRules | undefined;
  /** `undefined` for a listener for one peer. */
  readonly keepOpen: KeepOpenOptions | undefined;
}

export interface ConnectOptions extends CommonOptions {
  readonly mode: "connect";
  readonly probe: boolean;
  readonly retry: RetryOptions;
}

/** What a run is to do. */
export type Options = ListenOptions | ConnectOptions;

/** What the command line asks for. */
export type Command =
  | { readonly kind: "help" | "version" }
  | { readonly kind: "completions"; readonly shell: Shell }
  | { readonly kind: "run"; readonly options: Options };

/** The values of a command line, checked one by one but not yet together. */
class Values {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  text(name: string): string | undefined {
    return this.#values.get(name)?.[0];
  }

  /** All values of an option that may be repeated. */
  texts(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  number(name: string): number | undefined {
    const text = this.text(name);
    const option = OPTIONS.find((option) => option.name === name);
    return text === undefined || option === undefined
      ? undefined
      : readNumber(option, text);
  }
}

/**
 * Reads a command line.
 *
 * @param argv The words after the program's name.
 * @throws {UsageError} One sentence that names the option and the fix.
 */
export function parseCommandLine(argv: readonly string[]): Command {
  try {
    return readCommand(argv);
  } catch (error) {
    const hint = error instanceof UsageError
      ? foreignHint(argv, OPTIONS)
      : undefined;
    throw hint === undefined ? error : new UsageError(hint);
  }
}

function readCommand(argv: readonly string[]): Command {
  const values = readValues(argv);
  if (values.has("help")) return { kind: "help" };
  if (values.has("version")) return { kind: "version" };
  const shell = SHELLS.find((shell) => shell === values.text("completions"));
  if (shell !== undefined) return { kind: "completions", shell };
  checkTogether(values);
  const common = {
    end: endOptions(values),
    dataSize: values.number("data-size"),
    message: values.text("message"),
    sendOnly: values.has("send-only"),
    receiveOnly: values.has("receive-only"),
    idleTimeoutMs: values.number("idle-timeout"),
    reliable: reliableSettings(values),
    tls: tlsSettings(values),
    limitRate: values.number("limit-rate"),
    dump: values.text("dump"),
    progress: values.has("progress"),
    size: values.number("size"),
    talk: values.has("json")
      ? "json"
      : values.has("quiet")
      ? "quiet"
      : values.has("verbose")
      ? "verbose"
      : "normal",
  } as const;
  const listen = values.text("listen");
  if (listen !== undefined) {
    return {
      kind: "run",
      options: {
        ...common,
        mode: "listen",
        address: parseAddress("--listen", listen),
        reusePort: values.has("reuse-port"),
        acceptTimeoutMs: values.number("accept-timeout"),
        access: accessRules(values),
        keepOpen: keepOpenOptions(values),
      },
    };
  }
  return {
    kind: "run",
    options: {
      ...common,
      mode: "connect",
      address: parseAddress("--connect", values.text("connect") ?? ""),
      probe: values.has("probe"),
      retry: retryOptions(values),
    },
  };
}

function reliableSettings(values: Values): ReliableSettings | undefined {
  if (!values.has("reliable")) return undefined;
  return {
    window: values.number("window") ?? 8 * 1024 ** 2,
    heartbeatMs: values.number("heartbeat") ?? 15_000,
    resumeTimeoutMs: values.number("resume-timeout") ?? 60_000,
    digest: values.has("digest"),
  };
}

function endOptions(values: Values): EndOptions {
  const path = values.text("serve");
  const forward = values.text("forward");
  const command = values.text("exec");
  if (path !== undefined) return { kind: "serve", path };
  if (command !== undefined) return { kind: "exec", command };
  if (forward === undefined) return { kind: "stdio" };
  return { kind: "forward", address: parseAddress("--forward", forward) };
}

function accessRules(values: Values): AccessRules | undefined {
  const rules = (name: "allow" | "deny") =>
    values.texts(name).map((text) => parseAccessRule(`--${name}`, text));
  const [allow, deny] = [rules("allow"), rules("deny")];
  if (allow.length + deny.length === 0) return undefined;
  if (values.text("listen")?.startsWith("unix:")) {
    throw new UsageError(
      "--allow and --deny are for IP addresses: give the unix socket's folder the permissions you want",
    );
  }
  return { allow, deny };
}

function keepOpenOptions(values: Values): KeepOpenOptions | undefined {
  if (!values.has("keep-open") && !values.has("broker")) return undefined;
  return {
    broker: values.has("broker"),
    lines: values.has("lines"),
    slowClient: values.text("slow-client") === "wait" ? "wait" : "disconnect",
    queueSize: values.number("queue") ?? 1024 ** 2,
    connections: values.number("connections"),
    maxConnections: values.number("max-connections"),
    graceMs: values.number("grace") ?? 2000,
  };
}

function tlsSettings(values: Values): TlsSettings | undefined {
  if (!values.has("tls")) return undefined;
  const pin = values.text("tls-pin");
  const alpn = values.text("tls-alpn");
  return {
    certFile: values.text("tls-cert"),
    keyFile: values.text("tls-key"),
    alpn: alpn === undefined ? [] : parseProtocols(alpn),
    caFile: values.text("tls-ca"),
    name: values.text("tls-name"),
    pin: pin === undefined ? undefined : parsePin("--tls-pin", pin),
    insecure: values.has("tls-insecure"),
    clientCaFile: values.text("tls-client-ca"),
    clientPins: values.texts("tls-client-pin")
      .map((text) => parsePin("--tls-client-pin", text)),
  };
}

/** Names as RFC 7301 section 3.1 has them: 1 to 255 bytes each. */
function parseProtocols(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.every((name) => /^[!-~]{1,255}$/.test(name))) return names;
  throw new UsageError(
    `--tls-alpn "${text}" is not a list of protocols: write names with commas between them, like h2,http/1.1`,
  );
}

function retryOptions(values: Values): RetryOptions {
  const delayMs = values.number("retry-delay") ?? 3000;
  return {
    delayMs,
    maxDelayMs: Math.max(delayMs, values.number("retry-max-delay") ?? 0),
    retries: values.number("retries"),
    timeoutMs: values.number("retry-timeout"),
    connectTimeoutMs: values.number("connect-timeout") ?? 10_000,
  };
}

/** Everything that makes no sense together, each with its fix. */
function checkTogether(values: Values): void {
  const modes = ["listen", "connect"].filter((name) => values.has(name));
  if (modes.length === 0) {
    throw new UsageError(
      "Nothing to do: give --listen ADDRESS or --connect ADDRESS",
    );
  }
  if (modes.length === 2) {
    throw new UsageError(
      "--listen and --connect exclude each other: one side listens, the other connects",
    );
  }
  const mode = modes[0];
  for (const { name, only, needs } of OPTIONS) {
    if (needs !== undefined && values.has(name) && !isThere(needs, values)) {
      throw new UsageError(
        `--${name} belongs to --${needs}: drop it or add --${needs}`,
      );
    }
    if (only !== undefined && only !== mode && values.has(name)) {
      throw new UsageError(
        `--${name} belongs to --${only}: drop it or use --${only}`,
      );
    }
  }
  for (const [first, second, why] of EXCLUSIONS) {
    if (values.has(first) && values.has(second)) {
      throw new UsageError(
        `--${first} and --${second} exclude each other: ${why}`,
      );
    }
  }
  checkTls(values);
}

function isThere(name: string, values: Values): boolean {
  return values.has(name) || name === "keep-open" && values.has("broker");
}

const EXCLUSIONS: readonly (readonly [string, string, string])[] = [
  [
    "send-only",
    "receive-only",
    "without both, data goes both ways",
  ],
  [
    "message",
    "receive-only",
    "a message is sent; drop one of them",
  ],
  ["probe", "message", "a probe sends nothing; drop one of them"],
  ["probe", "send-only", "a probe sends nothing; drop one of them"],
  ["probe", "receive-only", "a probe receives nothing; drop one of them"],
  ["probe", "idle-timeout", "a probe ends as soon as it is connected"],
  ["probe", "data-size", "a probe reads nothing; drop one of them"],
  [
    "probe",
    "reliable",
    "a probe sends nothing, and a reliable listener waits for more",
  ],
  ...exclusive(
    ["progress", "it is about one transfer; drop one of them"],
    ["keep-open", "broker", "serve", "forward", "exec"],
  ),
  ["probe", "dump", "a probe moves nothing; drop one of them"],
  ["probe", "limit-rate", "a probe moves nothing; drop one of them"],
  ["probe", "progress", "a probe moves nothing; drop one of them"],
  ...exclusive(
    [
      "reliable",
      "a session is for one peer and stdin and stdout; drop one of them",
    ],
    ["keep-open", "broker", "serve", "forward", "exec"],
  ),
  ...exclusive(
    ["probe", "a probe sends and receives nothing; drop one of them"],
    ["serve", "forward", "exec"],
  ),
  ...exclusive(
    ["message", "one of them is what is sent; drop the other"],
    ["serve", "forward", "exec", "broker"],
  ),
  ...exclusive(
    ["serve", "the file is what is sent; drop one of them"],
    ["forward", "exec", "broker", "receive-only"],
  ),
  ...exclusive(
    ["broker", "clients are joined with each other; drop one of them"],
    ["forward", "exec", "send-only", "receive-only"],
  ),
  ...exclusive(
    ["forward", "all of it goes elsewhere, both ways; drop one of them"],
    ["exec", "send-only", "receive-only", "lines", "slow-client", "queue"],
  ),
  ...exclusive(
    ["exec", "the command has it all, both ways; drop one of them"],
    ["send-only", "receive-only", "lines", "slow-client", "queue"],
  ),
  ["quiet", "verbose", "drop one of them"],
  ["quiet", "progress", "drop one of them"],
  ["json", "quiet", "events are all or none; drop one of them"],
  ["json", "verbose", "the events are all there anyway; drop --verbose"],
  ["tls-pin", "tls-insecure", "a pin verifies the peer; drop one of them"],
  ["tls-pin", "tls-ca", "a pinned key needs no CA; drop one of them"],
  ["tls-ca", "tls-insecure", "a CA verifies the peer; drop one of them"],
  ["tls-self-signed", "tls-cert", "it makes a certificate; drop one of them"],
  ["tls-client-ca", "tls-client-pin", "either is enough; drop one of them"],
];

/** One option that excludes several others, for one reason. */
function exclusive(
  [first, why]: readonly [string, string],
  others: readonly string[],
): [string, string, string][] {
  return others.map((second) => [first, second, why]);
}

/** What TLS needs that other options decide. */
function checkTls(values: Values): void {
  if (!values.has("tls")) return;
  const address = values.text("listen") ?? values.text("connect") ?? "";
  if (address.startsWith("unix:")) {
    throw new UsageError(
      "--tls goes over TCP: drop it, since what a unix socket carries does not leave this machine",
    );
  }
  const hasKey = values.has("tls-cert") || values.has("tls-self-signed");
  if (values.has("listen") && !hasKey) {
    throw new UsageError(
      "--tls with --listen needs a key: give --tls-cert FILE and --tls-key FILE, or --tls-self-signed",
    );
  }
}

/** Reads the words into values, each checked for itself. */
function readValues(argv: readonly string[]): Values {
  for (const [index, word] of argv.entries()) {
    if (word === "--") break;
    refuseFlagValue(word, argv[index + 1]);
  }
  const withValue = OPTIONS.filter((option) => option.kind !== "flag");
  const parsed = parseArgs([...argv], {
    string: [...withValue.map((option) => option.name), "_"],
    boolean: OPTIONS.filter((option) => option.kind === "flag")
      .map((option) => option.name),
    collect: withValue.map((option) => option.name),
    alias: Object.fromEntries(
      OPTIONS.flatMap(({ name, short }) =>
        short === undefined ? [] : [[short, name]]
      ),
    ),
    unknown: refuseUnknown,
  });
  const positional = parsed._[0];
  if (positional !== undefined) refuseUnknown(String(positional));

  const values = new Map<string, readonly string[]>();
  const given: Record<string, unknown> = parsed;
  for (const option of OPTIONS) {
    const value = given[option.name];
    if (option.kind === "flag") {
      if (value === true) values.set(option.name, []);
      continue;
    }
    const texts = Array.isArray(value) ? value.map(String) : [];
    const text = oneValue(option, texts);
    if (text === undefined) continue;
    if (option.range !== undefined) readNumber(option, text);
    if (option.choices?.includes(text) === false) {
      throw new UsageError(
        `--${option.name} "${text}" is not known: it can be ${
          option.choices.join(" or ")
        }`,
      );
    }
    values.set(option.name, texts);
  }
  return new Values(values);
}

function oneValue(
  option: Option,
  texts: readonly string[],
): string | undefined {
  if (texts.length > 1 && !option.repeatable) {
    throw new UsageError(
      `--${option.name} is given ${
        texts.length === 2 ? "twice" : `${texts.length} times`
      }: give it once`,
    );
  }
  const text = texts.includes("") ? "" : texts[0];
  if (text === "") {
    throw new UsageError(
      `--${option.name} has no value: write --${option.name} ${option.value}` +
        (option.kind === "text"
          ? `, or --${option.name}=${option.value} when it begins with a dash`
          : ""),
    );
  }
  return text;
}

/** The parser would take both `--flag=value` and `--flag true`. */
function refuseFlagValue(word: string, next: string | undefined): void {
  const [, name, value] = /^--?([^=]+)(=.*)?$/s.exec(word) ?? [];
  const option = OPTIONS.find((option) =>
    option.name === name || option.short === name
  );
  if (option?.kind !== "flag") return;
  if (value !== undefined) {
    throw new UsageError(
      `--${option.name} takes no value: write --${option.name} alone`,
    );
  }
  if (next === "true" || next === "false") refuseUnknown(next);
}

function refuseUnknown(word: string): never {
  if (!word.startsWith("-") || word === "-") {
    throw new UsageError(
      `"${word}" is not expected: addresses follow --listen or --connect, and text for the peer --message`,
    );
  }
  const name = word.replace(/=.*$/s, "");
  const near = nearest(
    name.replace(/^-+/, ""),
    name.startsWith("--") ? OPTIONS.map((option) => option.name) : [],
  );
  throw new UsageError(
    near === undefined
      ? `${name} is not an option: see sockpipe --help`
      : `${name} is not an option: did you mean --${near}?`,
  );
}

/** Reads a size, a duration in ms or a count, within the option's range. */
function readNumber(option: Option, text: string): number {
  const [least, most] = option.range ?? [0, Number.MAX_SAFE_INTEGER];
  const [number, format, example] = option.kind === "size"
    ? [parseSize(text), formatSize, "a size like 1024, 64k or 4M"] as const
    : option.kind === "duration"
    ? [
      parseDuration(text),
      formatDuration,
      "a duration like 250ms, 3s or 2m",
    ] as const
    : [
      /^\d+$/.test(text) ? Number(text) : undefined,
      String,
      "a whole number",
    ] as const;
  const range = most === Number.MAX_SAFE_INTEGER
    ? `${format(least)} or more`
    : `from ${format(least)} to ${
      option.kind === "duration" ? "24 days" : format(most)
    }`;
  if (number === undefined) {
    throw new UsageError(
      `--${option.name} "${text}" is not ${example}: it goes ${range}`
        .replace("it goes 0 or more", "it is 0 or more"),
    );
  }
  if (number < least || number > most) {
    throw new UsageError(
      `--${option.name} "${text}" is out of range: it goes ${range}`,
    );
  }
  return number;
}

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
