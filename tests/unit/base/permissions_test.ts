import { assert } from "@std/assert";
import { hasModeBits } from "../../../lib/base/permissions.ts";

Deno.test("hasModeBits() tells bits of the mode, and not on Windows", () => {
  assert(hasModeBits(0o100644, 0o006, "linux"));
  assert(!hasModeBits(0o100640, 0o006, "darwin"));
  assert(!hasModeBits(0o100666, 0o006, "windows"));
  assert(!hasModeBits(null, 0o777, "linux"));
});
