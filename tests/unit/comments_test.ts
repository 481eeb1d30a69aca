/**
 * The openings of doc comments: a function's begins with a verb ("Reads …"), that of
 * a question with "Whether", and that of a thing with a noun.
 */

import { assertEquals } from "@std/assert";
import {
  pathsIn,
  readSource,
  sourcePaths,
  visitSource,
} from "../helpers/source_code.ts";

/** Words after which the reader has to look for the noun. */
const NO_NOUN = /^(What|How|Where|Whose|Whom?|Why|When|Which)\b/;

/** A verb in the third person, or a tag that says all. */
const VERB = /^(Whether|[A-Z][a-z]*s)\b|^@/;

const read = (path: string) => ({ path, text: readSource(path) });
const FILES = sourcePaths().map(read);
const SCRIPTS = pathsIn("scripts/").map(read).toArray();

/** Gives the text of a doc comment without its stars. */
function textOf(comment: string): string {
  return comment.slice(3, -2).replace(/\n\s*\* ?/g, " ").trim();
}

Deno.test("no doc comment begins with what, how, where, who, why, when or which", () => {
  const wrong = [...FILES, ...SCRIPTS].flatMap(({ path, text }) =>
    text.matchAll(/\/\*\*[^]*?\*\//g).map(([comment]) => textOf(comment))
      .filter((comment) => NO_NOUN.test(comment))
      .map((comment) => `${path}: ${comment}`).toArray()
  );
  assertEquals(wrong, []);
});

Deno.test("the doc comment of a function begins with a verb", () => {
  const wrong = FILES.flatMap(({ path, text }) =>
    functionComments(path, text).filter((comment) => !VERB.test(comment))
      .map((comment) => `${path}: ${comment}`)
  );
  assertEquals(wrong, []);
});

/** Finds the doc comments of functions and methods; getters are things. */
function functionComments(path: string, text: string): string[] {
  const comments: string[] = [];
  const add = ([start]: readonly [number, number]) => {
    const before = text.slice(0, start).replace(/\bexport\s+$/, "").trimEnd();
    if (!before.endsWith("*/")) return;
    const comment = before.slice(before.lastIndexOf("/*"));
    if (comment.startsWith("/**")) comments.push(textOf(comment));
  };
  visitSource(path, text, {
    FunctionDeclaration: ({ range }) => add(range),
    TSMethodSignature: ({ kind, range }) => kind === "method" && add(range),
    MethodDefinition: ({ kind, range }) => kind === "method" && add(range),
  });
  return comments;
}
