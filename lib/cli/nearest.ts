/**
 * What people probably meant: the option that a mistyped one is near to, and the
 * sockpipe way of a command line that is written as for netcat or socat.
 *
 * Asked only when a command line has been refused; nothing here accepts one.
 */

/** What of an option is needed to read a foreign command line. */
export interface KnownOption {
  /** Without dashes. */
  readonly name: string;
  readonly short?: string;
  readonly kind: string;
}

/** The option that is near enough to what was typed, both without dashes. */
export function nearest(
  typed: string,
  names: readonly string[],
): string | undefined {
  const most = Math.max(1, Math.floor(typed.length / 3));
  const [best] = names
    .map((name) => ({ name, distance: editDistance(typed, name) }))
    .filter(({ distance }) => distance <= most)
    .sort((a, b) => a.distance - b.distance);
  if (best !== undefined) return best.name;
  if (typed.length < 3) return undefined;
  return names.find((name) => name.startsWith(typed));
}

/**
 * How many letters must be added, left out, exchanged or swapped with the next
 * (Damerau 1964, optimal string alignment).
 */
export function editDistance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1];
      const swapped = from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      row.push(Math.min(
        at(i - 1, j) + 1,
        at(i, j - 1) + 1,
        at(i - 1, j - 1) + (same ? 0 : 1),
        swapped ? at(i - 2, j - 2) + 1 : Infinity,
      ));
    }
  }
  return at(from.length, to.length);
}

/** netcat's letters that have a value. */
const NETCAT_VALUES = "pwqsiecoxXIOTmgG";
/** netcat's letters without one. */
const NETCAT_FLAGS = "lkzuUNnv46drtDFhCbSM";

/** ncat's long options that have another name here. */
const NCAT_NAMES: Record<string, string> = {
  "ssl": "tls",
  "ssl-cert": "tls-cert",
  "ssl-key": "tls-key",
  "ssl-trustfile": "tls-ca",
  "ssl-servername": "tls-name",
  "recv-only": "receive-only",
  "sh-exec": "exec",
  "output": "dump",
  "hex-dump": "dump",
  "max-conns": "max-connections",
  "chat": "broker",
};
/** What nothing here stands for, each with a note. */
const NOT_HERE: Record<string, string> = {
  s: "without -s: the system chooses the address to come from",
  i: "without -i: see --idle-timeout and --limit-rate",
  x: "without -x: there are no proxies",
};

/** A command line as netcat would read it. */
interface NetcatCall {
  /** Each letter with its value, or "". */
  readonly letters: Map<string, string>;
  readonly words: string[];
  /** Our own long options, as they were typed. */
  readonly kept: string[];
  /** Whether anything in it is netcat's and not ours. */
  foreign: boolean;
}

/**
 * One sentence with the command line to write instead, if `argv` is written as
 * for netcat (any of them) or socat; `undefined` if it is not.
 */
export function foreignHint(
  argv: readonly string[],
  options: readonly KnownOption[],
): string | undefined {
  const socat = socatHint(argv);
  if (socat !== undefined) return socat;
  const [only = ""] = argv;
  if (argv.length === 1 && /^\d+$/.test(only)) {
    return `"${only}" needs to be told what to do: --listen ${only} waits there, --connect ${only} goes there`;
  }
  const call = readNetcat(argv, options);
  if (!call?.foreign) return undefined;
  if (call.letters.has("u")) return noUdp("-u");
  const address = netcatAddress(call);
  if (address === undefined) return letterHint(call, options);
  const { command, notes } = translated(call, address, options);
  return `That is netcat's way: write ${command}` +
    (notes.length === 0 ? "" : ` (${notes.join("; ")})`);
}

function noUdp(typed: string): string {
  return `sockpipe speaks TCP and unix sockets: for UDP (${typed}) use netcat or socat`;
}

/** What netcat's letters are here, where no whole command line can be told. */
const INSTEAD: Record<string, string> = {
  p: "the port is part of the address: --listen PORT, --connect HOST:PORT",
  N: "drop it, as the end of stdin always ends the sending side",
  q: "drop it, as a run ends when both sides have ended",
  z: "write --connect HOST:PORT --probe, once for each port",
  w: "write --connect-timeout D or --idle-timeout D",
  k: "write --keep-open",
  n: "drop it, as nothing but the address you give is looked up",
  U: "write unix:PATH as the address",
  e: "write --exec COMMAND",
  s: "the host is part of the address: --listen HOST:PORT",
};

function letterHint(
  { letters }: NetcatCall,
  options: readonly KnownOption[],
): string | undefined {
  const exist = (text: string) =>
    [...text.matchAll(/--([a-z-]+)/g)].every(([, name]) =>
      options.some((option) => option.name === name)
    );
  for (const letter of letters.keys()) {
    const instead = INSTEAD[letter];
    if (instead !== undefined && exist(instead)) {
      return `-${letter} is netcat's: ${instead}`;
    }
  }
  return undefined;
}

/** An address of socat's that has an equal here. */
interface SocatAddress {
  readonly verb: "listen" | "connect" | "exec" | "datagram";
  /** Our address, or the command. */
  readonly text: string;
  readonly secure: boolean;
  readonly forks: boolean;
}

function socatHint(argv: readonly string[]): string | undefined {
  const ends = argv.map(readSocat).filter((end) => end !== undefined);
  if (ends.some(({ verb }) => verb === "datagram")) return noUdp("UDP:");
  const main = ends.find(({ verb }) => verb === "listen") ??
    ends.find(({ verb }) => verb === "connect");
  if (main === undefined) return undefined;
  const words = ["sockpipe", `--${main.verb}`, main.text];
  if (main.forks) words.push("--keep-open");
  if (main.secure) words.push("--tls");
  if (main.secure && main.verb === "listen") words.push("--tls-self-signed");
  const other = ends.find((end) => end !== main);
  if (other?.verb === "exec") words.push("--exec", `'${other.text}'`);
  if (other?.verb === "connect") words.push("--forward", other.text);
  return `That is socat's way: write ${words.join(" ")}`;
}

function readSocat(word: string): SocatAddress | undefined {
  const [, type = "", rest = ""] = /^([a-z][a-z0-9-]+):(.+)$/i.exec(word) ?? [];
  const [text = "", ...extras] = rest.split(",");
  const [, family = "", role = ""] =
    /^(tcp|openssl|ssl|unix|udp|exec|system)[46]?(?:-(.+))?$/i.exec(type) ?? [];
  const forks = extras.includes("fork");
  const secure = /ssl/i.test(family);
  switch (family.toLowerCase()) {
    case "exec":
    case "system":
      return { verb: "exec", text: rest, secure, forks };
    case "udp":
      return { verb: "datagram", text, secure, forks };
    case "tcp":
    case "openssl":
    case "ssl":
    case "unix": {
      const listens = /^l/i.test(role);
      // Ours is written the same way, in small letters: unix:PATH.
      if (type === "unix") return undefined;
      const bound = extras.find((extra) => extra.startsWith("bind="))?.slice(5);
      return {
        verb: listens ? "listen" : "connect",
        text: /unix/i.test(family)
          ? `unix:${text}`
          : listens
          ? `${bound ?? ""}:${text}`
          : text,
        secure,
        forks,
      };
    }
    default:
      return undefined;
  }
}

function readNetcat(
  argv: readonly string[],
  options: readonly KnownOption[],
): NetcatCall | undefined {
  const letters = new Map<string, string>();
  const call: NetcatCall = { letters, words: [], kept: [], foreign: false };
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    const next = argv[i + 1];
    if (word.startsWith("--")) {
      const [typed = "", inline] = word.slice(2).split(/=(.*)/s);
      const name = NCAT_NAMES[typed] ?? typed;
      const known = options.find((option) => option.name === name);
      if (known === undefined) return undefined;
      if (name !== typed) call.foreign = true;
      call.kept.push(`--${name}`);
      if (known.kind === "flag") continue;
      const value = inline ?? argv[++i] ?? "";
      call.kept.push(/[^\w:.,/@+-]/.test(value) ? `'${value}'` : value);
    } else if (/^-./.test(word)) {
      const taken = readLetters(word, next, { call, options });
      if (taken === undefined) return undefined;
      i += taken;
    } else {
      call.words.push(word);
      const before = argv[i - 1] ?? "";
      if (before !== "-l") call.foreign = true;
    }
  }
  return call;
}

/** @returns How many further words it has taken; `undefined` for no such letter. */
function readLetters(
  word: string,
  next: string | undefined,
  { call, options }: { call: NetcatCall; options: readonly KnownOption[] },
): number | undefined {
  for (let i = 1; i < word.length; i++) {
    const letter = word[i] ?? "";
    const ours = options.some(({ short }) => short === letter);
    const rest = word.slice(i + 1);
    if (word.length > 2 || !ours) call.foreign = true;
    // Ours is quiet; netcat's has a number of seconds.
    if (letter === "q" && !/^\d+$/.test(rest || (next ?? ""))) {
      call.kept.push("--quiet");
    } else if (NETCAT_VALUES.includes(letter)) {
      if (rest !== "") {
        call.letters.set(letter, rest);
        return 0;
      }
      if (next === undefined) return undefined;
      call.letters.set(letter, next);
      return 1;
    } else if (NETCAT_FLAGS.includes(letter)) {
      call.letters.set(letter, "");
      if (letter === "l" && !/^[^-]/.test(next ?? "")) call.foreign = true;
    } else return undefined;
  }
  return 0;
}

/** The address as ours is written. */
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

function translated(
  { letters, kept }: NetcatCall,
  address: string,
  options: readonly KnownOption[],
): { command: string; notes: string[] } {
  const has = (name: string) => options.some((option) => option.name === name);
  const listens = letters.has("l");
  const words = ["sockpipe", listens ? "--listen" : "--connect", address];
  const notes: string[] = [];
  if (listens && /^\d+$/.test(address)) {
    notes.push(`:${address} to be reached from other machines`);
  }
  if (letters.has("z")) words.push("--probe");
  if (letters.has("k")) {
    if (has("keep-open")) words.push("--keep-open");
    else notes.push("it serves one peer, not many");
  }
  const seconds = letters.get("w") ?? "";
  if (/^\d+$/.test(seconds)) {
    if (!listens) words.push("--connect-timeout", `${seconds}s`);
    if (!letters.has("z")) words.push("--idle-timeout", `${seconds}s`);
  }
  const command = letters.get("e") ?? (has("exec") ? letters.get("c") : "");
  if (command && command !== address && has("exec")) {
    words.push("--exec", `'${command}'`);
  }
  const record = letters.get("o");
  if (record !== undefined) words.push("--dump", record);
  if (letters.has("v")) words.push("--verbose");
  if (kept.includes("--tls") && listens && !kept.includes("--tls-cert")) {
    words.push("--tls-self-signed");
  }
  if (letters.has("N") || letters.has("q")) {
    const letter = letters.has("N") ? "-N" : "-q";
    notes.push(
      `without ${letter}: the end of stdin always ends the sending side`,
    );
  }
  for (const [letter, note] of Object.entries(NOT_HERE)) {
    if (letters.has(letter) && !(letter === "s" && listens)) notes.push(note);
  }
  return { command: [...words, ...kept].join(" "), notes };
}
