/** The words of a command line, taken apart into options and their values. */

import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "../base/errors.ts";
import { nearest } from "./nearest.ts";
import { type Option, type OptionName, OPTIONS } from "./option_table.ts";
import { Values } from "./values.ts";

/**
 * Parses the words into values; each is checked alone, not yet together.
 *
 * @param argv The words after the program's name.
 * @throws {UsageError} For an unknown option, a word that belongs to none, a
 * missing, empty or impossible value, and an option that is given twice.
 */
export function readArguments(argv: readonly string[]): Values {
  for (const [index, word] of argv.entries()) {
    if (word === "--") break;
    checkNeighbours(word, argv[index + 1]);
  }
  const options = OPTIONS.filter((option) => mayBeIn(option, argv));
  const withValue = options.filter(({ kind }) => kind !== "flag");
  const parsed: Record<string, unknown> & { _: unknown[] } = parseArgs(
    [...argv],
    {
      string: [...withValue.map(({ name }) => name), "_"],
      boolean: options.filter(({ kind }) => kind === "flag")
        .map(({ name }) => name),
      collect: withValue.map(({ name }) => name),
      alias: Object.fromEntries(
        options.flatMap(({ name, short }) =>
          short === undefined ? [] : [[short, name]]
        ),
      ),
      unknown: refuseUnknown,
    },
  );
  if (parsed._.length > 0) refuseUnknown(String(parsed._[0]));
  const texts = new Map<OptionName, readonly string[]>();
  for (const option of options) {
    const value = parsed[option.name];
    if (option.kind === "flag") {
      if (value === true) texts.set(option.name, []);
    } else if (Array.isArray(value) && value.length > 0) {
      texts.set(option.name, checkTexts(option, value.map(String)));
    }
  }
  return new Values(texts);
}

/**
 * Whether an option may be given by one of the words. What parseArgs() is told of
 * besides takes it time.
 */
function mayBeIn({ name, short }: Option, words: readonly string[]): boolean {
  return words.some((word) =>
    word.startsWith(`--${name}`) ||
    short !== undefined && /^-[^-]/.test(word) && word.includes(short)
  );
}

function checkTexts(
  option: Option,
  texts: readonly string[],
): readonly string[] {
  if (texts.length > 1 && !option.repeatable) {
    throw new UsageError(
      `--${option.name} is given ${
        texts.length === 2 ? "twice" : `${texts.length} times`
      }: give it once`,
    );
  }
  if (texts.includes("")) throw withoutValue(option);
  return texts;
}

function withoutValue({ name, value, kind }: Option): UsageError {
  const dashes = kind === "text"
    ? `, or --${name}=${value} when it begins with a dash`
    : "";
  return new UsageError(
    `--${name} has no value: write --${name} ${value}${dashes}`,
  );
}

/**
 * Refuses what parseArgs() would misunderstand: `--flag=value`, `--flag true`, and
 * as a value an empty word or one with a dash, which it takes for a word of its own.
 */
function checkNeighbours(word: string, next: string | undefined): void {
  const [, name, value] = /^--?([^=]+)(=.*)?$/s.exec(word) ?? [];
  const option = OPTIONS.find((option) =>
    option.name === name || option.short === name
  );
  if (option === undefined) return;
  if (option.kind !== "flag") {
    const isMissing = next === "" || next !== undefined && /^-./s.test(next);
    if (value === undefined && isMissing) throw withoutValue(option);
    return;
  }
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
