/** How a failed run is judged. */

import { assertEquals, assertMatch } from "@std/assert";
import type { Running } from "./process.ts";

/** A failed run says one sentence on stderr and nothing on stdout. */
export async function assertFails(
  process: Running,
  code: number,
  sentence: RegExp,
): Promise<void> {
  const result = await process.result();
  const last = result.stderr.trimEnd().split("\n").at(-1) ?? "";
  assertMatch(last, /^sockpipe: \S.*[^.]$/);
  assertMatch(last, sentence);
  assertEquals(result.code, code, result.stderr);
}
