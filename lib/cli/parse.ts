/**
 * The command line, read by the table of `options.ts` and checked as a whole.
 *
 * argv → {@linkcode parseCommandLine} → a {@linkcode Command}, or a UsageError.
 * Nothing is opened or looked up here.
 */

import { parseArgs } from "@std/cli/parse-args";
import { parseAddress } from "../net/address.ts";
import { type AccessRules, parseAccessRule } from "../net/access_list.ts";
import { UsageError } from "../base/errors.ts";
import { type Option, OPTIONS, type Shell, SHELLS } from "./option_table.ts";
import { parsePin } from "../tls/pin.ts";
import type { ReliableSettings } from "../reliable/settings.ts";
import type { TlsSettings } from "../tls/settings.ts";
import { foreignHint, nearest } from "./nearest.ts";
import type {
  EndOptions,
  KeepOpenOptions,
  Options,
  RetryOptions,
} from "./options.ts";
import {
  formatDuration,
  formatSize,
  parseDuration,
  parseSize,
} from "../base/units.ts";

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
    tokenFile: values.text("token-file"),
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
  if (!values.has("tls")) {
    if (!values.has("token-file")) return;
    throw new UsageError(
      "--token-file belongs to --tls, without which anybody on the way could go on in the peer's place: drop it or add --tls",
    );
  }
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
