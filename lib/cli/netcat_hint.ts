/** netcat's command lines in our words: those of OpenBSD, of Hobbit and of Nmap. */

import type { Translation } from "./translation.ts";
import { optionOf, OPTIONS } from "./option_table.ts";

/** A command line as netcat would read it. */
interface NetcatCall {
  /** Each letter with its value, or "". */
  readonly letters: ReadonlyMap<string, string>;
  /** The words that are no options: host and port. */
  readonly words: readonly string[];
  /** Our own long options, as they were typed. */
  readonly kept: readonly string[];
  /** Whether anything in it is netcat's and not ours. */
  readonly isForeign: boolean;
}

/** One of netcat's letters. */
interface Letter {
  /** Whether a value follows it. */
  readonly hasValue?: true;
  /** Translates it to our words; to none where ours does it anyway. */
  words?(value: string, call: NetcatCall): readonly string[];
  /** Writes a note: the loss without the letter, or why it is not needed. */
  note?(call: NetcatCall): string | undefined;
  /** The advice where no whole command line can be told. */
  readonly instead?: string;
}

const listens = ({ letters }: NetcatCall) => letters.has("l");
const withNote = (note: string): Pick<Letter, "note"> => ({ note: () => note });
const NONE = "there is no such thing here";

/** Every letter is here, so that none is dropped without a word. */
const LETTERS: Record<string, Letter> = {
  4: { words: () => ["--ipv4"] },
  6: { words: () => ["--ipv6"] },
  b: withNote(NONE),
  c: {
    hasValue: true,
    words: (value, call) =>
      value === netcatAddress(call) ? [] : ["--exec", value],
  },
  C: withNote("lines are sent as they are"),
  d: { words: () => ["--receive-only"] },
  D: withNote(NONE),
  e: {
    hasValue: true,
    words: (value) => ["--exec", value],
    instead: "write --exec COMMAND",
  },
  F: withNote(NONE),
  g: { hasValue: true, ...withNote(NONE) },
  G: { hasValue: true, ...withNote(NONE) },
  i: { hasValue: true, ...withNote("see --idle-timeout and --limit-rate") },
  I: { hasValue: true, ...withNote("the system chooses the sizes of buffers") },
  k: { words: () => ["--keep-open"], instead: "write --keep-open" },
  l: {
    note: (call) => {
      const port = netcatAddress(call) ?? "";
      return /^\d+$/.test(port)
        ? `:${port} to be reached from other machines`
        : undefined;
    },
  },
  m: { hasValue: true, ...withNote("see --max-connections") },
  M: { hasValue: true, ...withNote(NONE) },
  n: {
    words: () => [],
    instead: "drop it, as nothing but the address you give is looked up",
  },
  N: {
    note: () => "without -N: the end of stdin always ends the sending side",
    instead: "drop it, as the end of stdin always ends the sending side",
  },
  o: { hasValue: true, words: (value) => ["--dump", value] },
  O: { hasValue: true, ...withNote("the system chooses the sizes of buffers") },
  p: {
    hasValue: true,
    words: (port, call) =>
      hasSourceOptions(call) && !call.letters.has("s")
        ? ["--source", `:${port}`]
        : [],
    instead:
      "the port is part of the address: --listen PORT, --connect HOST:PORT",
  },
  q: {
    hasValue: true,
    note: () => "without -q: the end of stdin always ends the sending side",
    instead: "drop it, as a run ends when both sides have ended",
  },
  r: withNote(NONE),
  s: {
    hasValue: true,
    words: (address, call) => {
      if (!hasSourceOptions(call)) return [];
      const port = call.letters.get("p");
      const host = address.includes(":") ? `[${address}]` : address;
      return ["--source", port === undefined ? host : `${host}:${port}`];
    },
    instead: "the host is part of the address: --listen HOST:PORT",
  },
  S: withNote(NONE),
  t: withNote("telnet's questions are not answered"),
  T: { hasValue: true, ...withNote(NONE) },
  u: {},
  U: { words: () => [], instead: "write unix:PATH as the address" },
  v: { words: () => ["--verbose"] },
  w: {
    hasValue: true,
    words: timeouts,
    instead: "write --connect-timeout D or --idle-timeout D",
  },
  x: {
    hasValue: true,
    words: (proxy, { letters }) => [
      "--proxy",
      `${PROXIES.get(letters.get("X") ?? "5") ?? "socks5h"}://${proxy}`,
    ],
  },
  X: { hasValue: true, words: () => [] },
  z: {
    words: () => ["--probe"],
    instead: "write --connect HOST:PORT --probe, once for each port",
  },
};

/** The protocols of `-X`. */
const PROXIES: ReadonlyMap<string, string> = new Map([
  ["4", "socks4a"],
  ["5", "socks5h"],
  ["connect", "http"],
]);

/** Whether it connects, so that -p and -s are about its source. */
function hasSourceOptions(call: NetcatCall): boolean {
  return !listens(call) && call.words.length >= 2;
}

function timeouts(seconds: string, call: NetcatCall): string[] {
  if (!/^\d+$/.test(seconds)) return [];
  return [
    ...listens(call) ? [] : ["--connect-timeout", `${seconds}s`],
    ...call.letters.has("z") ? [] : ["--idle-timeout", `${seconds}s`],
  ];
}

/** ncat's long options that have another name here. */
const NCAT_NAMES: Record<string, string> = {
  "ssl": "tls",
  "ssl-cert": "tls-cert",
  "ssl-key": "tls-key",
  "ssl-trustfile": "tls-ca",
  "ssl-servername": "tls-name",
  "recv-only": "receive-only",
  "sh-exec": "exec",
  "hex-dump": "dump",
  "max-conns": "max-connections",
  "chat": "broker",
};

/**
 * Translates a command line of netcat's.
 *
 * @returns A sentence where there is no whole command line to tell; `undefined`
 * when it is not netcat's.
 */
export function netcatHint(
  argv: readonly string[],
): Translation | string | undefined {
  const call = readNetcat(argv);
  if (!call?.isForeign) return undefined;
  if (call.letters.has("u")) {
    return "sockpipe speaks TCP and unix sockets: for UDP (-u) use netcat or socat";
  }
  const address = netcatAddress(call);
  return address === undefined ? insteadOf(call) : translated(call, address);
}

function insteadOf({ letters }: NetcatCall): string | undefined {
  for (const letter of letters.keys()) {
    const instead = LETTERS[letter]?.instead;
    if (instead !== undefined) return `-${letter} is netcat's: ${instead}`;
  }
  return undefined;
}

function translated(call: NetcatCall, address: string): Translation {
  const { letters, kept } = call;
  const words = [listens(call) ? "--listen" : "--connect", address];
  const notes: string[] = [];
  for (const [letter, value] of letters) {
    const { words: own, note } = LETTERS[letter] ?? {};
    words.push(...own?.(value, call) ?? []);
    const said = note?.(call);
    if (said === undefined) continue;
    notes.push(
      /^(without|:)/.test(said) ? said : `without -${letter}: ${said}`,
    );
  }
  if (kept.includes("--tls") && listens(call) && !kept.includes("--tls-cert")) {
    words.push("--tls-self-signed");
  }
  return { source: "netcat's way", words: [...words, ...kept], notes };
}

/** Writes the address of a netcat call in our form; `undefined` when it has none. */
function netcatAddress({ letters, words }: NetcatCall): string | undefined {
  const [first, second] = words;
  if (letters.has("U")) return first && `unix:${first}`;
  if (words.length === 1 && /:\d+$|^unix:/.test(first ?? "")) return first;
  const connectsTo = letters.get("c") ?? "";
  if (words.length === 0 && /:\d+$|^\d+$/.test(connectsTo)) return connectsTo;
  const port = second ?? letters.get("p") ??
    (letters.has("l") ? first : undefined);
  const host = second === undefined && port === first
    ? letters.get("s")
    : first ?? letters.get("s");
  if (words.length > 2 || !/^\d+$/.test(port ?? "")) return undefined;
  if (host === undefined) return letters.has("l") ? port : undefined;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Reads the words one by one; `undefined` at the first that is not netcat's. */
function readNetcat(argv: readonly string[]): NetcatCall | undefined {
  const letters = new Map<string, string>();
  const words: string[] = [];
  const kept: string[] = [];
  let isForeign = false;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    const next = argv[i + 1];
    const read = word.startsWith("--")
      ? readLong(word, next)
      : /^-./.test(word)
      ? readLetters(word, next)
      : { words: [word], isForeign: argv[i - 1] !== "-l" };
    if (read === undefined) return undefined;
    for (const [letter, value] of read.letters ?? []) {
      letters.set(letter, value);
    }
    words.push(...read.words ?? []);
    kept.push(...read.kept ?? []);
    isForeign ||= read.isForeign;
    if (read.takesNext) i++;
  }
  return { letters, words, kept, isForeign };
}

/** One word, read: its part of a call. */
interface Reading extends Partial<Omit<NetcatCall, "isForeign">> {
  readonly isForeign: boolean;
  /** Whether the next word was its value. */
  readonly takesNext?: boolean;
}

function readLong(word: string, next: string | undefined): Reading | undefined {
  const [typed = "", inline] = word.slice(2).split(/=(.*)/s);
  const name = Object.hasOwn(NCAT_NAMES, typed)
    ? NCAT_NAMES[typed] ?? typed
    : typed;
  const known = optionOf(name);
  if (known === undefined) return undefined;
  const isForeign = name !== typed;
  if (known.kind === "flag") return { kept: [`--${name}`], isForeign };
  return {
    kept: [`--${name}`, inline ?? next ?? ""],
    isForeign,
    takesNext: inline === undefined,
  };
}

/** Reads letters that stand in one word: `-lvnp`, whose last one may have a value. */
function readLetters(
  word: string,
  next: string | undefined,
): Reading | undefined {
  const letters = new Map<string, string>();
  const kept: string[] = [];
  const isOurs = OPTIONS.some(({ short }) => `-${short}` === word);
  let isForeign = !isOurs;
  for (let i = 1; i < word.length; i++) {
    const letter = word[i] ?? "";
    const rest = word.slice(i + 1);
    const known = Object.hasOwn(LETTERS, letter) ? LETTERS[letter] : undefined;
    if (letter === "q" && !/^\d+$/.test(rest || (next ?? ""))) {
      // Ours is quiet; netcat's has a number of seconds.
      kept.push("--quiet");
    } else if (known === undefined) {
      return undefined;
    } else if (known.hasValue) {
      const value = rest === "" ? next : rest;
      if (value === undefined) return undefined;
      letters.set(letter, value);
      return { letters, kept, isForeign, takesNext: rest === "" };
    } else {
      letters.set(letter, "");
      isForeign ||= letter === "l" && !/^[^-]/.test(next ?? "");
    }
  }
  return { letters, kept, isForeign };
}
