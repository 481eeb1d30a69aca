/**
 * Help for a command line that is written as for netcat or socat, or with a URL:
 * one sentence with the command line to write instead.
 *
 * Loaded only when a command line has been refused; nothing here accepts one, and
 * what is proposed has been read by our own parser.
 */

import { UsageError } from "../base/errors.ts";
import { netcatHint } from "./netcat_hint.ts";
import { parseCommandLine } from "./parse.ts";
import { socatHint } from "./socat_hint.ts";
import { formatTranslation, type Translation } from "./translation.ts";

/**
 * Finds what to tell somebody whose command line was refused.
 *
 * @param argv The words after the program's name.
 * @returns One sentence, or `undefined` when the line is not a foreign one.
 */
export function foreignHint(argv: readonly string[]): string | undefined {
  const [only = ""] = argv;
  if (argv.length === 1 && /^\d+$/.test(only)) {
    return `"${only}" needs to be told what to do: --listen ${only} waits there, --connect ${only} goes there`;
  }
  for (const translate of [translateUrl, socatHint, netcatHint]) {
    const hint = translate(argv);
    if (typeof hint === "string") return hint;
    if (hint !== undefined && isValid(hint.words)) {
      return formatTranslation(hint);
    }
  }
  return undefined;
}

function isValid(words: readonly string[]): boolean {
  try {
    parseCommandLine(words);
    return true;
  } catch (error) {
    if (error instanceof UsageError) return false;
    throw error;
  }
}

/** The ports that a scheme stands for, and what else it says. */
const SCHEMES: Record<string, { port?: string; words?: readonly string[] }> = {
  tcp: {},
  http: { port: "80" },
  https: { port: "443", words: ["--tls"] },
  tls: { words: ["--tls"] },
  ssl: { words: ["--tls"] },
};

/** Translates an address that is written as a URL. */
function translateUrl(argv: readonly string[]): Translation | undefined {
  for (const [index, word] of argv.entries()) {
    const [, option = "", scheme = "", rest = ""] =
      /^(?:(--connect|--listen)=)?(\w+):\/\/(.*)$/s.exec(word) ?? [];
    const before = argv[index - 1] ?? "";
    const isAddress = option !== "" || !before.startsWith("-") ||
      ["--connect", "-c", "--listen", "-l"].includes(before);
    const address = addressOf(scheme, rest);
    if (address === undefined || !isAddress) continue;
    const flags = SCHEMES[scheme]?.words ?? [];
    return {
      source: `a URL, and an address has no ${scheme}://`,
      words: [
        ...argv.slice(0, before.startsWith("-") ? index - 1 : index),
        /^--?l/.test(option || before) ? "--listen" : "--connect",
        address,
        ...argv.slice(index + 1),
        ...flags.filter((flag) => !argv.includes(flag)),
      ],
      notes: [],
    };
  }
  return undefined;
}

function addressOf(scheme: string, rest: string): string | undefined {
  const known = Object.hasOwn(SCHEMES, scheme) ? SCHEMES[scheme] : undefined;
  const authority = rest.replace(/[/?#].*$/s, "");
  if (known === undefined || authority === "") return undefined;
  return /:\d+$/.test(authority) || known.port === undefined
    ? authority
    : `${authority}:${known.port}`;
}
