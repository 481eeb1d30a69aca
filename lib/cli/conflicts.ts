/** Combinations of options that make no sense, each with a sentence and the fix. */

import { UsageError } from "../base/errors.ts";
import { type OptionName, OPTIONS } from "./option_table.ts";
import type { Values } from "./values.ts";

/**
 * Checks the options together.
 *
 * @param os The system they are for.
 * @throws {UsageError} For the first combination that makes no sense.
 */
export function checkConflicts(values: Values, os = Deno.build.os): void {
  checkMode(values);
  checkSecret(values);
  checkNeeds(values);
  for (const [first, second, why] of EXCLUSIONS) {
    if (values.has(first) && values.has(second)) {
      throw new UsageError(
        `--${first} and --${second} exclude each other: ${why}`,
      );
    }
  }
  for (const { isBroken, sentence } of RULES) {
    if (isBroken(values, os)) throw new UsageError(sentence);
  }
}

function checkMode(values: Values): void {
  if (values.has("listen") && values.has("connect")) {
    throw new UsageError(
      "--listen and --connect exclude each other: one side listens, the other connects",
    );
  }
  if (!values.has("listen") && !values.has("connect")) {
    throw new UsageError(
      "Nothing to do: give --listen ADDRESS or --connect ADDRESS",
    );
  }
}

/**
 * Checks that an option stands alone, or with the allowed ones.
 *
 * @throws {UsageError} There are others.
 */
export function checkAlone(
  values: Values,
  name: OptionName,
  allowed: readonly OptionName[] = [],
): void {
  const other = OPTIONS.find((option) =>
    option.name !== name && values.has(option.name) &&
    !allowed.includes(option.name)
  );
  if (other === undefined) return;
  throw new UsageError(
    `--${name} is all that such a run does: drop --${other.name}`,
  );
}

/**
 * Refuses options of `--tls` and the token beside a secret; before `needs` would
 * ask for `--tls`.
 */
function checkSecret(values: Values): void {
  if (!values.has("secret-file")) return;
  const isForwarded = values.has("forward-tls");
  for (const { name } of OPTIONS) {
    if (!values.has(name) || !/^(tls|token-file)/.test(name)) continue;
    if (isForwarded && (name === "tls-ca" || name === "tls-name")) continue;
    throw new UsageError(
      `--secret-file and --${name} exclude each other: the secret encrypts, and proves both sides; drop --${name}`,
    );
  }
}

/** Checks the columns `needs` and `only` of the table. */
function checkNeeds(values: Values): void {
  for (const { name, only, needs } of OPTIONS) {
    if (!values.has(name)) continue;
    if (needs !== undefined && !needs.some((other) => values.has(other))) {
      const list = needs.map((other) => `--${other}`).join(" or ");
      throw new UsageError(
        `--${name} belongs to ${list}: drop it or add ${list}`,
      );
    }
    if (only !== undefined && !values.has(only)) {
      throw new UsageError(
        `--${name} belongs to --${only}: drop it or use --${only}`,
      );
    }
  }
}

/** Two options and why they exclude each other. */
type Exclusion = readonly [OptionName, OptionName, string];

const DROP = "drop one of them";

const EXCLUSIONS: readonly Exclusion[] = [
  ...exclude(
    "send-only",
    ["receive-only"],
    "without both, data goes both ways",
  ),
  ...exclude("message", ["receive-only"], `a message is sent; ${DROP}`),
  ...exclude(
    "probe",
    ["message", "send-only"],
    `a probe sends nothing; ${DROP}`,
  ),
  ...exclude("probe", ["receive-only"], `a probe receives nothing; ${DROP}`),
  ...exclude(
    "probe",
    ["idle-timeout"],
    "a probe ends as soon as it is connected",
  ),
  ...exclude("probe", ["data-size"], `a probe reads nothing; ${DROP}`),
  ...exclude(
    "probe",
    ["reliable"],
    "a probe sends nothing, and a reliable listener waits for more",
  ),
  ...exclude(
    "probe",
    ["dump", "limit-rate", "progress"],
    `a probe moves nothing; ${DROP}`,
  ),
  ...exclude(
    "probe",
    ["serve", "forward", "exec"],
    `a probe sends and receives nothing; ${DROP}`,
  ),
  ...exclude(
    "reliable",
    ["keep-open", "broker", "serve", "forward", "exec"],
    `a session is for one peer and stdin and stdout; ${DROP}`,
  ),
  ...exclude(
    "message",
    ["serve", "forward", "exec", "broker"],
    "one of them is what is sent; drop the other",
  ),
  ...exclude(
    "serve",
    ["forward", "exec", "broker", "receive-only"],
    `the file is what is sent; ${DROP}`,
  ),
  ...exclude(
    "broker",
    ["forward", "exec", "send-only", "receive-only"],
    `clients are joined with each other; ${DROP}`,
  ),
  ...exclude(
    "forward",
    ["exec", "send-only", "receive-only", "lines", "slow-client", "queue"],
    `all of it goes elsewhere, both ways; ${DROP}`,
  ),
  ...exclude(
    "exec",
    ["send-only", "receive-only", "lines", "slow-client", "queue"],
    `the command has it all, both ways; ${DROP}`,
  ),
  ...exclude(
    "no-half-close",
    ["receive-only", "forward", "exec", "probe"],
    `it is about the end of stdin; ${DROP}`,
  ),
  ...exclude(
    "no-half-close",
    ["reliable"],
    "a session says by itself where a stream ends; drop --no-half-close",
  ),
  ...exclude("reconnect", ["probe"], `a probe is over when there; ${DROP}`),
  ...exclude(
    "reconnect",
    ["reliable"],
    "a session of --reliable comes back by itself; drop --reconnect",
  ),
  ...exclude(
    "output",
    ["keep-open", "broker", "reconnect"],
    `FILE is what one peer sends; ${DROP}`,
  ),
  ...exclude("output", ["send-only"], `nothing is received; ${DROP}`),
  ...exclude(
    "output",
    ["forward", "exec"],
    `what is received goes there; ${DROP}`,
  ),
  ...exclude("output", ["probe"], `a probe receives nothing; ${DROP}`),
  ...exclude("quiet", ["verbose", "progress"], DROP),
  ...exclude("json", ["quiet"], `events are all or none; ${DROP}`),
  ...exclude(
    "json",
    ["verbose"],
    "the events are all there anyway; drop --verbose",
  ),
  ...exclude("tls-pin", ["tls-insecure"], `a pin verifies the peer; ${DROP}`),
  ...exclude("tls-pin", ["tls-ca"], `a pinned key needs no CA; ${DROP}`),
  ...exclude("tls-ca", ["tls-insecure"], `a CA verifies the peer; ${DROP}`),
  ...exclude(
    "tls-self-signed",
    ["tls-cert"],
    `it makes a certificate; ${DROP}`,
  ),
  ...exclude("ipv4", ["ipv6"], `both is what holds without them; ${DROP}`),
  ...exclude(
    "forward-secret-file",
    ["forward-tls"],
    `either encrypts the way on; ${DROP}`,
  ),
  ...exclude("tls-client-ca", ["tls-client-pin"], `either is enough; ${DROP}`),
];

/** Makes the exclusions of one option by others, for the same reason. */
function exclude(
  first: OptionName,
  others: readonly OptionName[],
  why: string,
): Exclusion[] {
  return others.map((second) => [first, second, why]);
}

/** A rule that takes more than two names to tell. */
interface Rule {
  isBroken(values: Values, os: typeof Deno.build.os): boolean;
  readonly sentence: string;
}

/** Options for what can be done once more, with another connection. */
const REPEATABLE = ["forward", "exec", "serve", "receive-only"] as const;

/** Options that name a file to write, and the one to read that must not be written. */
const FILES = ["output", "receipt", "dump", "port-file", "serve"] as const;

/** Options that whoever opens the socket decides. */
const OPENING: readonly OptionName[] = [
  "reuse-port",
  "ipv4",
  "ipv6",
  "port-file",
];

const RULES: readonly Rule[] = [
  {
    isBroken: (values) => {
      const files = FILES.flatMap((name) => values.text(name) ?? []);
      return new Set(files).size < files.length;
    },
    sentence:
      "--output, --receipt, --dump, --port-file and --serve need a file each: one would overwrite the other",
  },
  {
    isBroken: (values, os) => values.has("reuse-port") && os !== "linux",
    sentence: "--reuse-port needs Linux, which spreads clients: drop it",
  },
  {
    isBroken: (values, os) =>
      os === "windows" &&
      (isUnix(values) || values.text("forward")?.startsWith("unix:") === true),
    sentence:
      "Unix sockets are not to be had on Windows: give a TCP address such as 127.0.0.1:32000",
  },
  {
    isBroken: (values) =>
      values.has("reconnect") && !REPEATABLE.some((name) => values.has(name)),
    sentence:
      "--reconnect needs something that can begin again, which stdin cannot: add --forward, --exec, --serve or --receive-only",
  },
  {
    isBroken: (values) => values.has("port-file") && isUnix(values),
    sentence: "--port-file is for TCP: a unix socket has no port, drop it",
  },
  {
    isBroken: (values) => values.has("token-file") && !values.has("tls"),
    sentence:
      "--token-file belongs to --tls, without which anybody on the way could go on in the peer's place: drop it or add --tls",
  },
  {
    isBroken: (values) => values.has("secret-file") && isUnix(values),
    sentence:
      "--secret-file goes over TCP: drop it, since what a unix socket carries does not leave this machine; its folder's permissions say who may connect",
  },
  {
    isBroken: (values) =>
      (values.has("forward-secret-file") || values.has("forward-tls")) &&
      isUnixAddress(values.text("forward")),
    sentence:
      "--forward-secret-file and --forward-tls go over TCP: drop them, since what a unix socket carries does not leave this machine",
  },
  {
    isBroken: (values) =>
      (values.has("tls-ca") || values.has("tls-name")) &&
      values.has("listen") && !values.has("forward-tls"),
    sentence:
      "--tls-ca and --tls-name are for a server that is connected to: drop them, or use --connect or --forward-tls",
  },
  {
    isBroken: (values) =>
      values.has("tls") && values.has("connect") && values.has("forward-tls") &&
      values.has("tls-name"),
    sentence:
      "--tls-name is for one of two servers, those of --connect and --forward, and it is not clear for which: drop it",
  },
  {
    isBroken: (values) => values.has("tls") && isUnix(values),
    sentence:
      "--tls goes over TCP: drop it, since what a unix socket carries does not leave this machine",
  },
  {
    isBroken: (values) =>
      values.has("tls") && values.has("listen") &&
      !values.has("tls-cert") && !values.has("tls-self-signed"),
    sentence:
      "--tls with --listen needs a key: give --tls-cert FILE and --tls-key FILE, or --tls-self-signed",
  },
  {
    isBroken: (values) =>
      (values.has("allow") || values.has("deny")) && isUnix(values),
    sentence:
      "--allow and --deny are for IP addresses: give the unix socket's folder the permissions you want",
  },
  {
    isBroken: (values) =>
      (values.has("ipv4") || values.has("ipv6")) && hasNoTcp(values),
    sentence:
      "--ipv4 and --ipv6 are for IP addresses, and a unix socket has none: drop them",
  },
  {
    isBroken: (values) =>
      values.text("listen") === "systemd" &&
      OPENING.some((name) => values.has(name)),
    sentence:
      "--listen systemd takes sockets as they were opened: drop --reuse-port, --ipv4, --ipv6 and --port-file, and say it in the socket unit",
  },
  {
    isBroken: (values) =>
      values.has("accept-proxy-protocol") &&
      (isUnix(values) || values.has("tls") || values.has("secret-file")),
    sentence:
      "--accept-proxy-protocol is for plain TCP: drop it, or --tls and --secret-file, since the runtime begins with TLS before a header could be read",
  },
  {
    isBroken: (values) =>
      values.has("proxy-protocol") &&
      (values.has("forward-tls") || values.has("forward-secret-file")),
    sentence:
      "--proxy-protocol cannot be had with TLS on the way on, as its header goes first and in plain text: drop one of them",
  },
  {
    isBroken: (values) => values.has("keepalive") && hasNoTcp(values),
    sentence:
      "--keepalive is for TCP: drop it, since a unix socket ends with its peer",
  },
  {
    isBroken: (values) =>
      values.has("proxy") && isUnixAddress(targetText(values)),
    sentence:
      "--proxy goes to a TCP port: drop it, since a unix socket is on this machine",
  },
  {
    isBroken: (values) =>
      values.has("source") && isUnixAddress(targetText(values)),
    sentence:
      "--source is for TCP: drop it, since a unix socket is on this machine",
  },
  {
    isBroken: (values) =>
      (values.has("proxy") || values.has("source")) &&
      values.has("connect") && values.has("tls-cert") &&
      !values.has("tls-pin") && !values.has("tls-insecure"),
    sentence:
      "--proxy and --source cannot be had with --tls-cert and a peer that a CA verifies, as the runtime shows our certificate only on connections of its own: give --tls-pin",
  },
];

function isUnix(values: Values): boolean {
  return isUnixAddress(values.text("listen") ?? values.text("connect"));
}

/** Whether unix sockets are all that there is. */
function hasNoTcp(values: Values): boolean {
  return isUnix(values) &&
    (!values.has("forward") || isUnixAddress(values.text("forward")));
}

/** Finds the address that is connected to, as it was given. */
function targetText(values: Values): string | undefined {
  return values.text("connect") ?? values.text("forward");
}

function isUnixAddress(address: string | undefined): boolean {
  return address?.startsWith("unix:") ?? false;
}
