/** The notes of a release, out of CHANGELOG.md. */

import { assertEquals, assertThrows } from "@std/assert";
import { releaseNotes } from "../../scripts/release/release_notes.ts";

const CHANGELOG = `# Changelog

## 0.2.0 (unreleased)

- Soon.

## 0.1.10 (2026-12-01)

- Ten.
- More.

## 0.1.1

`;

Deno.test("releaseNotes() gives the section of the version", () => {
  assertEquals(releaseNotes(CHANGELOG, "0.1.10"), "- Ten.\n- More.\n");
});

Deno.test("releaseNotes() refuses a version without notes or a release", () => {
  for (const version of ["0.1.1", "0.1", "0.3.0"]) {
    assertThrows(() => releaseNotes(CHANGELOG, version), Error, "has no notes");
  }
  assertThrows(() => releaseNotes(CHANGELOG, "0.2.0"), Error, "unreleased");
});
