import { assert } from "@std/assert";
import { isPermitted } from "../../../lib/base/permissions.ts";

Deno.test("isPermitted() tells bits of the mode, and not on Windows", () => {
  assert(isPermitted(0o100644, 0o006, "linux"));
  assert(!isPermitted(0o100640, 0o006, "darwin"));
  assert(!isPermitted(0o100666, 0o006, "windows"));
  assert(!isPermitted(null, 0o777, "linux"));
});
