/**
 * The walls of the house (docs/design.md), held: which way imports point, no
 * cycles, the card at the top, names, and the size of things.
 */

import { assertEquals } from "@std/assert";
import {
  pathsIn,
  readSource,
  sourcePaths,
  TOP,
  visitSource,
} from "../helpers/source_code.ts";

const ROOT = new URL("../../", import.meta.url);

/** Where the imports of each room may point. A room is a file at the top or a folder of lib/. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  "main.ts": ["server.ts", "client.ts", "cli", "io", "report", "base"],
  "server.ts": [
    "run",
    "cli",
    "reliable",
    "tls",
    "net",
    "report",
    "pipe",
    "base",
  ],
  "client.ts": [
    "run",
    "cli",
    "reliable",
    "tls",
    "net",
    "report",
    "pipe",
    "base",
  ],
  run: [
    "cli",
    "reliable",
    "exec",
    "io",
    "net",
    "report",
    "pipe",
    "framing.ts",
    "base",
  ],
  cli: ["reliable", "tls", "net", "framing.ts", "base"],
  reliable: ["report", "pipe", "framing.ts", "base"],
  tls: ["net", "report", "base"],
  exec: ["net", "pipe", "framing.ts", "base"],
  io: ["pipe", "framing.ts", "base"],
  net: ["pipe", "framing.ts", "base"],
  report: ["pipe", "base"],
  pipe: ["base"],
  "framing.ts": [],
  base: [],
};

/** Names that say something else in our field, or nothing. */
const GONE = new Set(
  ("way lane bell ends link conversation many visitor stranger farewell lonely " +
    "deaf news tell vetted carrier outbox gauge admission circumstances fruitless " +
    "introducer redialling unidentified").split(" "),
);

const MOST_LINES = { file: 400, class: 300, function: 60 };

/** One module, as far as the rules look at it. */
interface Module {
  readonly path: string;
  /** Paths of other modules of ours, from the root. */
  readonly imports: readonly string[];
  readonly identifiers: ReadonlySet<string>;
  /** What is longer than it may be: `file`, `class Name`, `function name`. */
  readonly long: readonly string[];
}

function readModule(path: string): Module {
  const text = readSource(path);
  const imports: string[] = [];
  const identifiers = new Set<string>();
  /** Where names stand that are the runtime's: link() of Deno.link(). */
  const ofSystem = new Set<number>();
  const long: string[] = [];
  const measure = (
    kind: "file" | "class" | "function",
    name: string,
    [start, end]: readonly [number, number],
  ) => {
    const lines = text.slice(start, end).trimEnd().split("\n").length;
    if (lines > MOST_LINES[kind]) long.push(`${kind} ${name}`);
  };
  // The table of options is one table.
  if (path !== "lib/cli/option_table.ts") {
    measure("file", path, [0, text.length]);
  }
  const addImport = (source: Deno.lint.Expression | null) => {
    if (source?.type !== "Literal") return;
    const { value } = source;
    if (typeof value !== "string" || !value.startsWith(".")) return;
    const target = new URL(value, new URL(path, ROOT)).href;
    if (target.endsWith(".ts")) imports.push(target.slice(ROOT.href.length));
  };
  visitSource(path, text, {
    MemberExpression: ({ object, property }) => {
      const isSystem = object.type === "Identifier" && object.name === "Deno";
      if (isSystem) ofSystem.add(property.range[0]);
    },
    TSQualifiedName: ({ right }) => void ofSystem.add(right.range[0]),
    Identifier: ({ name, range }) => {
      if (!ofSystem.has(range[0])) identifiers.add(name);
    },
    PrivateIdentifier: ({ name }) => void identifiers.add(name),
    ImportDeclaration: ({ source }) => addImport(source),
    ExportNamedDeclaration: ({ source }) => addImport(source),
    ExportAllDeclaration: ({ source }) => addImport(source),
    ImportExpression: ({ source }) => addImport(source),
    ClassDeclaration: ({ id, range }) =>
      measure("class", id?.name ?? "", range),
    FunctionDeclaration: ({ id, range }) =>
      measure("function", id?.name ?? "", range),
    ArrowFunctionExpression: ({ range }) => measure("function", "=>", range),
    MethodDefinition: ({ key, range }) =>
      measure("function", "name" in key ? String(key.name) : "", range),
  });
  return { path, imports, identifiers, long };
}

function roomOf(path: string): string {
  return /^lib\/(\w+)\//.exec(path)?.[1] ?? path;
}

const MODULES = sourcePaths().map(readModule);
const TESTS = [...pathsIn("tests/")].toSorted().map(readModule);
const SCRIPTS = [...pathsIn("scripts/")].toSorted().map(readModule);

Deno.test("the top level has the card, lib, docs and the files of a repository", () => {
  const allowed = new Set([
    ...TOP,
    ..."deno.json deno.lock tests scripts lib docs LICENSE".split(" "),
  ]);
  const others = [...Deno.readDirSync(ROOT)].map(({ name }) => name).filter(
    (name) =>
      !allowed.has(name) && !name.startsWith(".") && !name.endsWith(".md"),
  );
  const made = new Set(["dist", "coverage", "node_modules"]);
  assertEquals(others.filter((name) => !made.has(name)), []);
});

Deno.test("every room has its rules", () => {
  const rooms = new Set(MODULES.map(({ path }) => roomOf(path)));
  assertEquals([...rooms].toSorted(), Object.keys(MAY_IMPORT).toSorted());
});

Deno.test("imports point down the table of the rooms", () => {
  const wrong = MODULES.flatMap(({ path, imports }) =>
    imports.filter((target) => {
      const [from, to] = [roomOf(path), roomOf(target)];
      return from !== to && !MAY_IMPORT[from]?.includes(to);
    }).map((target) => `${path} -> ${target}`)
  );
  assertEquals(wrong, []);
});

Deno.test("no modules and no rooms import each other in a circle", () => {
  const rooms = new Map<string, readonly string[]>();
  for (const { path, imports } of MODULES) {
    const from = roomOf(path);
    const to = imports.map(roomOf).filter((room) => room !== from);
    rooms.set(from, [...rooms.get(from) ?? [], ...to]);
  }
  const modules = new Map(MODULES.map(({ path, imports }) => [path, imports]));
  assertEquals(inCycles(modules), []);
  assertEquals(inCycles(rooms), []);
});

/** The nodes that can be reached from themselves. */
function inCycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  return [...graph.keys()].filter((start) => {
    const seen = new Set<string>();
    const waiting = [...graph.get(start) ?? []];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (node === start) return true;
      if (seen.has(node)) continue;
      seen.add(node);
      waiting.push(...graph.get(node) ?? []);
    }
    return false;
  });
}

Deno.test("no name has a word of the private vocabulary", () => {
  const wrong = [...MODULES, ...TESTS].flatMap(({ path, identifiers }) =>
    [...identifiers].filter((name) =>
      // endsWith() is a verb, and JavaScript's own.
      name.replace(/^endsWith/, "").split(/(?=[A-Z])|_/)
        .some((word) => GONE.has(word.toLowerCase()))
    ).map((name) => `${path}: ${name}`)
  );
  assertEquals(wrong, []);
});

Deno.test("no file, class or function is too long to be read at once", () => {
  const wrong = MODULES.flatMap(({ path, long }) =>
    long.map((what) => `${path}: ${what}`)
  );
  assertEquals(wrong, []);
});

Deno.test("no file of tests or scripts is too long", () => {
  const wrong = [...TESTS, ...SCRIPTS].flatMap(({ path, long }) =>
    long.filter((what) => what === `file ${path}`)
  );
  assertEquals(wrong, []);
});
