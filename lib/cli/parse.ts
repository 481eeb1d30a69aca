/**
 * The command line: its words become values (`arguments.ts`), the values are
 * checked together (`conflicts.ts`) and become the options of a run.
 *
 * Nothing is opened here but the system's list of services.
 */

import { UsageError } from "../base/errors.ts";
import { type AccessRules, parseAccessRule } from "../net/access_list.ts";
import {
  type Address,
  formatAddress,
  isLoopback,
  parseAddress,
  parseListenAddress,
  toAscii,
} from "../net/address.ts";
import { isIPv6 } from "../net/ip_address.ts";
import { familyOfAddress, type IpFamily } from "../net/resolve.ts";
import {
  checkTarget,
  parseProxy,
  type ProxySettings,
} from "../net/proxy_settings.ts";
import type { RouteSettings } from "../net/route.ts";
import {
  familyOfSource,
  parseSource,
  type SourceAddress,
} from "../net/source_address.ts";
import type { ReliableSettings } from "../reliable/settings.ts";
import { parsePin } from "../tls/pin.ts";
import type { CertificateSettings, TlsSettings } from "../tls/settings.ts";
import { readArguments } from "./arguments.ts";
import { formatCommand } from "./command_line.ts";
import { checkAlone, checkConflicts } from "./conflicts.ts";
import type { Shell } from "./option_table.ts";
import type { ReceiptKeyFiles } from "./receipt_key.ts";
import type {
  EndOptions,
  KeepOpenOptions,
  Options,
  OutputSettings,
  RetryOptions,
} from "./options.ts";
import type { Values } from "./values.ts";

/** A command line, understood. */
export type Command =
  | { readonly kind: "help" | "version" }
  | { readonly kind: "completions"; readonly shell: Shell }
  | { readonly kind: "new-secret"; readonly path: string }
  | {
    readonly kind: "check-receipt";
    readonly path: string;
    readonly keyFiles: ReceiptKeyFiles;
  }
  | { readonly kind: "run"; readonly options: Options };

/**
 * Reads a command line.
 *
 * @param argv The words after the program's name.
 * @throws {UsageError} One sentence that names the option and the fix.
 */
export function parseCommandLine(argv: readonly string[]): Command {
  checkEncoding(argv);
  const values = readArguments(argv);
  if (values.has("help")) return { kind: "help" };
  if (values.has("version")) return { kind: "version" };
  const shell = values.choice("completions");
  if (shell !== undefined) return { kind: "completions", shell };
  const secret = values.text("new-secret");
  if (secret !== undefined) {
    checkAlone(values, "new-secret");
    return { kind: "new-secret", path: secret };
  }
  const path = values.text("check-receipt");
  if (path !== undefined) {
    checkAlone(values, "check-receipt", ["secret-file", "token-file"]);
    const secretFile = values.text("secret-file");
    const tokenFile = values.text("token-file");
    const keyFiles = { secretFile, tokenFile };
    return { kind: "check-receipt", path, keyFiles };
  }
  checkConflicts(values);
  return { kind: "run", options: runOptions(values, argv) };
}

/** Refuses words that are not UTF-8, which the runtime gives with U+FFFD in them. */
function checkEncoding(argv: readonly string[]): void {
  const word = argv.find((word) => word.includes("\uFFFD"));
  if (word === undefined) return;
  throw new UsageError(
    `"${word}" is not UTF-8: give such bytes on stdin, and files names in UTF-8`,
  );
}

function runOptions(values: Values, argv: readonly string[]): Options {
  const common = {
    end: endOptions(values),
    route: routeSettings(values),
    dataSize: values.number("data-size"),
    message: values.text("message"),
    sendOnly: values.has("send-only"),
    receiveOnly: values.has("receive-only"),
    noHalfClose: values.has("no-half-close"),
    idleTimeoutMs: values.number("idle-timeout"),
    keepaliveMs: values.number("keepalive"),
    output: outputSettings(values, argv),
    reliable: reliableSettings(values, argv),
    tls: tlsSettings(values),
    limitRate: values.number("limit-rate"),
    dump: values.text("dump"),
    progress: values.has("progress"),
    size: values.number("size"),
    verbosity: verbosityOf(values),
  };
  if (!values.has("listen")) {
    return {
      ...common,
      mode: "connect",
      address: addressOf("connect", values),
      probe: values.has("probe"),
      reconnect: values.has("reconnect")
        ? values.number("connections") ?? Infinity
        : undefined,
      retry: retryOptions(values),
    };
  }
  return {
    ...common,
    mode: "listen",
    address: parseListenAddress(values.text("listen") ?? "", familyOf(values)),
    reusePort: values.has("reuse-port"),
    portFile: values.text("port-file"),
    acceptTimeoutMs: values.number("accept-timeout"),
    access: accessRules(values),
    trustedProxies: values.texts("accept-proxy-protocol")
      .map((text) => parseAccessRule("--accept-proxy-protocol", text)),
    keepOpen: keepOpenOptions(values),
  };
}

function verbosityOf(values: Values): Options["verbosity"] {
  if (values.has("json")) return "json";
  if (values.has("quiet")) return "quiet";
  return values.has("verbose") ? "verbose" : "normal";
}

function reliableSettings(
  values: Values,
  argv: readonly string[],
): ReliableSettings | undefined {
  if (!values.has("reliable")) return undefined;
  return {
    window: values.number("window"),
    heartbeatMs: values.number("heartbeat"),
    resumeTimeoutMs: values.number("resume-timeout"),
    digest: values.has("digest") || values.has("resume"),
    resume: values.has("resume"),
    again: commandToGoOn(values, argv),
    receiptFile: values.text("receipt"),
    // The same command goes on where a run was killed, maybe after its receipt.
    overwritesReceipt: values.has("overwrite") || values.has("resume"),
    tokenFile: values.text("token-file"),
  };
}

function outputSettings(
  values: Values,
  argv: readonly string[],
): OutputSettings | undefined {
  const path = values.text("output");
  if (path === undefined) return undefined;
  return {
    path,
    overwrite: values.has("overwrite"),
    resume: values.has("resume"),
    size: values.number("size"),
    again: values.has("serve") ? undefined : commandToGoOn(values, argv),
  };
}

/**
 * Writes the same command line, with what it takes to go on where this run has
 * ended.
 */
function commandToGoOn(values: Values, argv: readonly string[]): string {
  const missing = (["reliable", "resume"] as const)
    .filter((name) => !values.has(name));
  const words = argv.filter((word) => word !== "--no-half-close");
  return formatCommand([...missing.map((name) => `--${name}`), ...words]);
}

function endOptions(values: Values): EndOptions {
  const path = values.text("serve");
  const command = values.text("exec");
  if (path !== undefined) return { kind: "serve", path };
  if (command !== undefined) {
    return { kind: "exec", command, socket: values.has("exec-socket") };
  }
  if (!values.has("forward")) return { kind: "stdio" };
  checkForLoop(values);
  return {
    kind: "forward",
    address: addressOf("forward", values),
    tls: forwardTlsSettings(values),
    proxyProtocol: values.choice("proxy-protocol"),
  };
}

/** Refuses a listener that would forward its clients to itself, again and again. */
function checkForLoop(values: Values): void {
  const listen = values.text("listen");
  if (listen === undefined || values.has("proxy")) return;
  const from = parseListenAddress(listen, familyOf(values));
  const to = addressOf("forward", values);
  const isEverywhere = from.transport === "tcp" && from.hostname === "*" &&
    to.transport === "tcp" && from.port === to.port && isLoopback(to.hostname);
  if (!isEverywhere && formatAddress(from) !== formatAddress(to)) return;
  throw new UsageError(
    `--forward "${
      values.text("forward")
    }" leads back to --listen: give the address of the service that is meant`,
  );
}

function addressOf(
  name: "connect" | "forward",
  values: Values,
): Address {
  const text = values.text(name) ?? "";
  return parseAddress(`--${name}`, text, familyOf(values));
}

function routeSettings(values: Values): RouteSettings | undefined {
  const family = familyOf(values);
  const source = sourceAddress(values);
  const proxy = proxySettings(values);
  const wanted = [family, source, proxy];
  if (wanted.every((part) => part === undefined)) return undefined;
  const proxyPasswordFile = values.text("proxy-password-file");
  return { family, source, proxy, proxyPasswordFile };
}

function proxySettings(values: Values): ProxySettings | undefined {
  const url = values.text("proxy");
  if (url === undefined) return undefined;
  const proxy = parseProxy(url);
  const target = targetOf(values);
  if (target.transport === "tcp") checkTarget(proxy, target);
  return proxy;
}

function sourceAddress(values: Values): SourceAddress | undefined {
  const text = values.text("source");
  if (text === undefined) return undefined;
  const source = parseSource(text);
  const family = familyOfSource(source);
  const target = targetOf(values);
  const goesTo = values.has("proxy") || target.transport === "unix"
    ? undefined
    : familyOfAddress(target.hostname);
  const others = [familyOf(values), goesTo];
  const fits = others.every((other) => (other ?? family) === family);
  if (family === undefined || fits) return source;
  const other = family === 4 ? 6 : 4;
  throw new UsageError(
    `--source "${text}" is an IPv${family} address, and the connection goes over IPv${other}: give an IPv${other} address`,
  );
}

/** Reads the address that is connected to: that of --connect or of --forward. */
function targetOf(values: Values): Address {
  return addressOf(values.has("connect") ? "connect" : "forward", values);
}

/** Reads the family of --ipv4 or --ipv6. */
function familyOf(values: Values): IpFamily | undefined {
  if (values.has("ipv4")) return 4;
  return values.has("ipv6") ? 6 : undefined;
}

function accessRules(values: Values): AccessRules | undefined {
  const rules = (name: "allow" | "deny") =>
    values.texts(name).map((text) => parseAccessRule(`--${name}`, text));
  const [allow, deny] = [rules("allow"), rules("deny")];
  if (allow.length + deny.length === 0) return undefined;
  return { allow, deny };
}

function keepOpenOptions(values: Values): KeepOpenOptions | undefined {
  if (!values.has("keep-open") && !values.has("broker")) return undefined;
  return {
    broker: values.has("broker"),
    lines: values.has("lines"),
    slowClient: values.choice("slow-client"),
    queueSize: values.number("queue"),
    connections: values.number("connections"),
    maxConnections: values.number("max-connections"),
    graceMs: values.number("grace"),
    exitWhenIdleMs: values.number("exit-when-idle"),
  };
}

function tlsSettings(values: Values): TlsSettings | undefined {
  const file = values.text("secret-file");
  if (file !== undefined) {
    return { kind: "secret", option: "--secret-file", file };
  }
  return values.has("tls") ? certificateSettings(values) : undefined;
}

/** Reads the settings of TLS between us and the target of --forward. */
function forwardTlsSettings(values: Values): TlsSettings | undefined {
  const file = values.text("forward-secret-file");
  if (file !== undefined) {
    return { kind: "secret", option: "--forward-secret-file", file };
  }
  if (!values.has("forward-tls")) return undefined;
  const { caFile, name } = certificateSettings(values);
  return { ...NO_CERTIFICATES, caFile, name };
}

/** The settings of `--tls` alone. */
const NO_CERTIFICATES: CertificateSettings = {
  kind: "certificates",
  certFile: undefined,
  keyFile: undefined,
  alpn: [],
  caFile: undefined,
  name: undefined,
  pin: undefined,
  insecure: false,
  hasToken: false,
  clientCaFile: undefined,
  clientPins: [],
};

function certificateSettings(values: Values): CertificateSettings {
  const pin = values.text("tls-pin");
  const name = values.text("tls-name");
  const alpn = values.text("tls-alpn");
  return {
    kind: "certificates",
    certFile: values.text("tls-cert"),
    keyFile: values.text("tls-key"),
    alpn: alpn === undefined ? [] : parseProtocols(alpn),
    caFile: values.text("tls-ca"),
    name: name === undefined ? undefined : parseName(name),
    pin: pin === undefined ? undefined : parsePin("--tls-pin", pin),
    insecure: values.has("tls-insecure"),
    hasToken: values.has("token-file"),
    clientCaFile: values.text("tls-client-ca"),
    clientPins: values.texts("tls-client-pin")
      .map((text) => parsePin("--tls-client-pin", text)),
  };
}

/**
 * The form of host names in certificates: labels of 63 letters at most, 253
 * together.
 */
const HOST_NAME =
  /^(?=.{1,253}\.?$)((?!-)[\w-]{1,63}(?<!-)\.)*(?!-)[\w-]{1,63}(?<!-)\.?$/;

/** Reads a host's name, also one with letters beyond ASCII, or an IP address. */
function parseName(text: string): string {
  const name = toAscii(text);
  if (name !== undefined && HOST_NAME.test(name)) return name;
  if (isIPv6(text) && !text.includes("%")) return text;
  throw new UsageError(
    `--tls-name "${text}" is not a name: write one like example.com, or an IP address`,
  );
}

/** Reads names as RFC 7301 section 3.1 has them: 1 to 255 bytes each. */
function parseProtocols(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.every((name) => /^[!-~]{1,255}$/.test(name))) return names;
  throw new UsageError(
    `--tls-alpn "${text}" is not a list of protocols: write names with commas between them, like h2,http/1.1`,
  );
}

function retryOptions(values: Values): RetryOptions {
  const delayMs = values.number("retry-delay");
  return {
    delayMs,
    maxDelayMs: Math.max(delayMs, values.number("retry-max-delay") ?? 0),
    retries: values.number("retries"),
    timeoutMs: values.number("retry-timeout"),
    connectTimeoutMs: values.number("connect-timeout"),
  };
}
