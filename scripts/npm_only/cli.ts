/**
 * Stands in for `@std/cli/parse-args` where JSR cannot be reached; same name, same
 * types, same behaviour for what this project uses.
 *
 * Left out: `negatable`, `boolean: true`, and names with dots as nested objects.
 */

/** Options for {@linkcode parseArgs}; the names may be one or several. */
export interface ParseOptions<
  B extends string = string,
  S extends string = string,
  C extends string = string,
  D extends Record<string, unknown> = Record<string, unknown>,
  DD extends boolean = boolean,
> {
  /** Options without a value; false when not given. */
  boolean?: B | readonly B[];
  /** Options whose value stays a string; `_` are the positional arguments. */
  string?: S | readonly S[];
  /** Options whose values make an array; of the others the last one counts. */
  collect?: C | readonly C[];
  /** Other names of an option. */
  alias?: Record<string, string | readonly string[]>;
  /** Values of options that are not given. */
  default?: D;
  /**
   * Called with each argument that is not declared, and for an option with its
   * name and value; when it returns false, the argument is left out.
   */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
  /** Whether what follows `--` goes to `--` of the result instead of `_`. */
  "--"?: DD;
  /** Whether everything after the first positional argument is positional. */
  stopEarly?: boolean;
}

/** The result of {@linkcode parseArgs}. */
export type Args<
  B extends string = never,
  S extends string = never,
  C extends string = never,
  D extends Record<string, unknown> = Record<never, never>,
  DD extends boolean = false,
> =
  & { [name: string]: unknown }
  & { _: (string | number)[] }
  & (DD extends true ? { "--": string[] } : unknown)
  & Values<Exclude<S, "_">, string, C, D>
  & { [K in keyof Values<B, boolean, C, D>]-?: Values<B, boolean, C, D>[K] };

type Values<
  Name extends string,
  Value,
  C extends string,
  D extends Record<string, unknown>,
> = string extends Name ? unknown
  :
    & { [K in Exclude<Name, C | keyof D>]?: Value }
    & { [K in Exclude<Name & keyof D, C>]: Value | D[K] }
    & { [K in Name & C]: Value[] };

/**
 * Reads command line arguments.
 *
 * @returns Each option under all of its names, and the rest under `_`.
 */
export function parseArgs<
  const B extends string = never,
  const S extends string = never,
  const C extends string = never,
  D extends Record<string, unknown> = Record<never, never>,
  DD extends boolean = false,
>(
  args: readonly string[],
  options: ParseOptions<B, S, C, D, DD> = {},
): Args<B, S, C, D, DD> {
  const names = new Names(options);
  const end = args.indexOf("--");
  const words = end === -1 ? args : args.slice(0, end);
  const rest = end === -1 ? [] : args.slice(end + 1);
  const values: Record<string, unknown> = {};
  const positional: (string | number)[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (/^--?[^-]|^---/.test(word)) {
      const { found, taken } = readOption(word, words[i + 1], names);
      if (taken) i++;
      for (const [name, value] of found) {
        if (!names.isDeclared(name)) {
          if (options.unknown?.(word, name, value) === false) continue;
        }
        names.store(values, name, value);
      }
      continue;
    }
    if (options.unknown?.(word) !== false) {
      positional.push(names.string.has("_") ? word : maybeNumber(word));
    }
    if (options.stopEarly) {
      positional.push(...words.slice(i + 1));
      break;
    }
  }
  names.storeDefaults(values, options.default ?? {});
  const tail = options["--"] ? { "--": rest } : undefined;
  const _ = tail ? positional : [...positional, ...rest];
  return { ...values, _, ...tail } as Args<B, S, C, D, DD>;
}

/** The declared options, each name with its aliases. */
class Names {
  readonly boolean: ReadonlySet<string>;
  readonly string: ReadonlySet<string>;
  readonly #collect: ReadonlySet<string>;
  readonly #groups = new Map<string, string[]>();

  constructor(options: ParseOptions) {
    for (const [name, alias] of Object.entries(options.alias ?? {})) {
      const group = [name, alias].flat();
      for (const member of group) this.#groups.set(member, group);
    }
    this.boolean = this.#withAliases(options.boolean);
    this.string = this.#withAliases(options.string);
    this.#collect = this.#withAliases(options.collect);
  }

  isDeclared(name: string): boolean {
    return this.boolean.has(name) || this.string.has(name) ||
      this.#collect.has(name) || this.#groups.has(name);
  }

  store(values: Record<string, unknown>, name: string, value: unknown): void {
    for (const member of this.#group(name)) {
      const before = this.#collect.has(member)
        ? values[member] ?? []
        : undefined;
      values[member] = Array.isArray(before) ? [...before, value] : value;
    }
  }

  storeDefaults(
    values: Record<string, unknown>,
    defaults: Record<string, unknown>,
  ): void {
    for (const [name, value] of Object.entries(defaults)) {
      if (Object.hasOwn(values, name)) continue;
      for (const member of this.#group(name)) values[member] = value;
    }
    for (const name of [...this.boolean, ...this.string]) {
      if (Object.hasOwn(values, name)) continue;
      if (this.#collect.has(name)) values[name] = [];
      else if (this.boolean.has(name)) values[name] = false;
    }
  }

  #group(name: string): readonly string[] {
    return this.#groups.get(name) ?? [name];
  }

  #withAliases(names: string | readonly string[] = []): Set<string> {
    return new Set([names].flat().flatMap((name) => this.#group(name)));
  }
}

interface Option {
  found: [name: string, value: unknown][];
  /** Whether the next word was its value. */
  taken: boolean;
}

function readOption(
  word: string,
  next: string | undefined,
  names: Names,
): Option {
  return word.startsWith("--")
    ? readLong(word, next, names)
    : readShorts(word, next, names);
}

function readLong(
  word: string,
  next: string | undefined,
  names: Names,
): Option {
  const [, name = "", text] = /^--(.+?)(?:=(.*))?$/s.exec(word) ?? [];
  const isBoolean = names.boolean.has(name);
  const taken = text === undefined && canBeValue(next, isBoolean) &&
    next !== "-";
  const value = taken ? next : text;
  if (value === undefined) {
    return { found: [[name, names.string.has(name) ? "" : true]], taken };
  }
  if (isBoolean) return { found: [[name, value !== "false"]], taken };
  const isString = names.string.has(name);
  return { found: [[name, isString ? value : maybeNumber(value)]], taken };
}

/** Takes a group of letters apart, as in `-vn5` or `-kl 32000`. */
function readShorts(
  word: string,
  next: string | undefined,
  names: Names,
): Option {
  const found: Option["found"] = [];
  const add = (letter: string, text: string) =>
    found.push([letter, names.string.has(letter) ? text : maybeNumber(text)]);
  const addAlone = (letter: string) =>
    found.push([letter, names.string.has(letter) ? "" : true]);
  for (const [index, letter] of [...word].slice(1, -1).entries()) {
    const rest = word.slice(index + 2);
    const value = valueBehind(letter, rest);
    if (value !== undefined) {
      add(letter, value);
      return { found, taken: false };
    }
    if (rest === "-") add(letter, rest);
    else addAlone(letter);
  }
  const last = word.slice(-1);
  if (last === "-") return { found, taken: false };
  const isBoolean = names.boolean.has(last);
  const taken = canBeValue(next, isBoolean);
  if (!taken) addAlone(last);
  else if (isBoolean) found.push([last, next === "true"]);
  else add(last, next);
  return { found, taken };
}

/** Finds the value of a letter in the rest of its group; `undefined` for none. */
function valueBehind(letter: string, rest: string): string | undefined {
  if (rest === "-") return undefined;
  if (/[A-Za-z]/.test(letter)) {
    if (rest.startsWith("=")) return rest.slice(1);
    if (/-?\d+(\.\d*)?(e-?\d+)?$/.test(rest)) return rest;
  }
  return rest.length > 1 && /^\W/.test(rest) ? rest : undefined;
}

function canBeValue(
  next: string | undefined,
  isBoolean: boolean,
): next is string {
  if (isBoolean) return next === "true" || next === "false";
  return !!next && (next === "-" || !next.startsWith("-"));
}

function maybeNumber(text: string): string | number {
  return /\S/.test(text) && Number.isFinite(Number(text)) ? Number(text) : text;
}
