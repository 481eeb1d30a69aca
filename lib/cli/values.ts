/** The values of a command line, each read and checked by its row of the table. */

import { UsageError } from "../base/errors.ts";
import { parseDuration, parseSize } from "../base/units.ts";
import {
  type ChoiceName,
  formatValue,
  type NumberName,
  type Option,
  type OptionName,
  optionOf,
  type RowOf,
  type TextName,
} from "./option_table.ts";

/** A number for a row that has a default; otherwise maybe none. */
type NumberOf<Row> = Row extends { default: number } ? number
  : number | undefined;
/** One of the choices of a row, or none where it has no default. */
type ChoiceOf<Row> = Row extends { choices: readonly (infer Choice)[] }
  ? Choice | (Row extends { default: string } ? never : undefined)
  : never;

/** The options that were given, and the defaults of those that were not. */
export class Values {
  readonly #texts: ReadonlyMap<OptionName, readonly string[]>;

  /**
   * @param texts What was given for each option; nothing in it for a flag.
   * @throws {UsageError} When a value is malformed, out of range or no choice.
   */
  constructor(texts: ReadonlyMap<OptionName, readonly string[]>) {
    for (const [name, [text]] of texts) {
      if (text !== undefined) checkValue(optionOf(name), text);
    }
    this.#texts = texts;
  }

  /** Whether the option was given. */
  has(name: OptionName): boolean {
    return this.#texts.has(name);
  }

  /** Gives the text of an option, as it was given. */
  text(name: TextName): string | undefined {
    return this.#texts.get(name)?.[0];
  }

  /** Lists all values of an option that may be repeated. */
  texts(name: TextName): readonly string[] {
    return this.#texts.get(name) ?? [];
  }

  /** Gives a size in bytes, a duration in ms, or a count. */
  number<Name extends NumberName>(name: Name): NumberOf<RowOf<Name>>;
  number(name: NumberName): number | undefined {
    const option = optionOf(name);
    const text = this.#texts.get(name)?.[0];
    if (text !== undefined) return readNumber(option, text);
    return typeof option.default === "number" ? option.default : undefined;
  }

  /** Gives one of the choices of an option, or its default. */
  choice<Name extends ChoiceName>(name: Name): ChoiceOf<RowOf<Name>>;
  choice(name: ChoiceName): string | undefined {
    return this.#texts.get(name)?.[0] ?? optionOf(name).default?.toString();
  }
}

function checkValue(option: Option, text: string): void {
  if (option.range !== undefined) readNumber(option, text);
  if (option.choices?.includes(text) === false) {
    throw new UsageError(
      `--${option.name} "${text}" is not known: it can be ${
        option.choices.join(" or ")
      }`,
    );
  }
}

const PARSERS: Partial<Record<Option["kind"], (text: string) => unknown>> = {
  size: parseSize,
  duration: parseDuration,
};
const KIND_WORDS: Partial<Record<Option["kind"], string>> = {
  size: "a size like 1024, 64k or 4M",
  duration: "a duration like 250ms, 3s or 2m",
};

/** Reads a size, a duration in ms or a count, within the option's range. */
function readNumber(option: Option, text: string): number {
  const [least, most] = option.range ?? [0, Number.MAX_SAFE_INTEGER];
  const read = PARSERS[option.kind] ?? readCount;
  const number = read(text);
  if (typeof number !== "number") {
    throw new UsageError(
      `--${option.name} "${text}" is not ${
        KIND_WORDS[option.kind] ?? "a whole number"
      }: it is ${formatRange(option, least, most)}`,
    );
  }
  if (number < least || number > most) {
    throw new UsageError(
      `--${option.name} "${text}" is out of range: it goes ${
        formatRange(option, least, most)
      }`,
    );
  }
  return number;
}

function readCount(text: string): number | undefined {
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

function formatRange(option: Option, least: number, most: number): string {
  if (most === Number.MAX_SAFE_INTEGER) {
    return `${formatValue(option, least)} or more`;
  }
  const end = option.kind === "duration"
    ? "24 days"
    : formatValue(option, most);
  return `from ${formatValue(option, least)} to ${end}`;
}
