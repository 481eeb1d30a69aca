/** socat's command lines in our words. */

import type { Translation } from "./translation.ts";

/** An address of socat's that has an equal here. */
interface SocatAddress {
  readonly verb: "listen" | "connect" | "exec" | "datagram" | "stdio";
  /** Our address, or the command. */
  readonly text: string;
  readonly isSecure: boolean;
  readonly forks: boolean;
  /** Its options that have no equal. */
  readonly dropped: readonly string[];
}

/**
 * Translates a command line of socat's.
 *
 * @returns A sentence where nothing here can do it; `undefined` when it is not
 * socat's, or has an address that has no equal.
 */
export function socatHint(
  argv: readonly string[],
): Translation | string | undefined {
  const flags = argv.filter((word) => /^-[^-]/.test(word));
  const texts = argv.filter((word) => !flags.includes(word));
  const addresses = texts.map(readAddress);
  if (addresses.some((address) => address?.verb === "datagram")) {
    return "sockpipe speaks TCP and unix sockets: for UDP (UDP:) use netcat or socat";
  }
  const [first, second] = addresses;
  if (texts.length > 2 || first === undefined) return undefined;
  if (texts.length === 2 && second === undefined) return undefined;
  const main = [first, second].find((end) => end?.verb === "listen") ??
    [first, second].find((end) => end?.verb === "connect");
  if (main === undefined) return undefined;
  const other = main === first ? second : first;
  const otherWords = wordsOfOther(other);
  if (otherWords === undefined) return undefined;
  return {
    source: "socat's way",
    words: [
      ...wordsOfMain(main),
      ...otherWords,
      ...flags.flatMap((flag) => wordsOfFlag(flag, main === first) ?? []),
    ],
    notes: [
      ...main.dropped,
      ...other?.dropped ?? [],
      ...flags.filter((flag) =>
        wordsOfFlag(flag, main === first) === undefined
      ),
    ].map((dropped) => `without ${dropped}`),
  };
}

function wordsOfMain({ verb, text, isSecure, forks }: SocatAddress): string[] {
  return [
    `--${verb}`,
    text,
    ...forks ? ["--keep-open"] : [],
    ...isSecure ? ["--tls"] : [],
    ...isSecure && verb === "listen" ? ["--tls-self-signed"] : [],
  ];
}

function wordsOfOther(other: SocatAddress | undefined): string[] | undefined {
  switch (other?.verb) {
    case undefined:
    case "stdio":
      return [];
    case "exec":
      return ["--exec", other.text];
    case "connect":
      return other.isSecure ? undefined : ["--forward", other.text];
    default:
      return undefined;
  }
}

/**
 * Translates a flag: `-u` moves data from the first address to the second, `-U` the
 * other way; `undefined` when it has no equal.
 */
function wordsOfFlag(
  flag: string,
  mainIsFirst: boolean,
): string[] | undefined {
  if (/^-d+$/.test(flag)) return ["--verbose"];
  if (!/^-u$/i.test(flag)) return undefined;
  return [mainIsFirst === (flag === "-u") ? "--receive-only" : "--send-only"];
}

/** Options of socat that ask for what is done here anyway. */
const NEEDLESS = /^(fork|reuseaddr|bind=.*|end-close)$/;

function readAddress(word: string): SocatAddress | undefined {
  if (/^(-|stdio|stdin|stdout)$/i.test(word)) {
    const nothing = { text: "", isSecure: false, forks: false, dropped: [] };
    return { verb: "stdio", ...nothing };
  }
  const [, type = "", rest = ""] =
    /^([a-z][a-z0-9-]+):(?!\/\/)(.+)$/is.exec(word) ?? [];
  // Ours is written the same way, in small letters: unix:PATH.
  if (type === "unix") return undefined;
  const [text = "", ...extras] = rest.split(",");
  const [, family = "", role = ""] =
    /^(tcp|openssl|ssl|unix|udp|exec|system)[46]?(?:-(.+))?$/i.exec(type) ?? [];
  const common = {
    isSecure: /ssl/i.test(family),
    forks: extras.includes("fork"),
    dropped: extras.filter((extra) => !NEEDLESS.test(extra)),
  };
  if (family === "") return undefined;
  if (/udp/i.test(family)) return { verb: "datagram", text, ...common };
  if (/exec|system/i.test(family)) return { verb: "exec", text, ...common };
  const listens = /^l/i.test(role);
  const bound = extras.find((extra) => extra.startsWith("bind="))?.slice(5);
  return {
    verb: listens ? "listen" : "connect",
    text: /unix/i.test(family)
      ? `unix:${text}`
      : listens
      ? `${bound ?? ""}:${text}`
      : text,
    ...common,
  };
}
