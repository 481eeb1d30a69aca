import { assertThrows } from "@std/assert";
import { checkConflicts } from "../../../lib/cli/conflicts.ts";
import type { OptionName } from "../../../lib/cli/option_table.ts";
import { Values } from "../../../lib/cli/values.ts";
import { UsageError } from "../../../lib/base/errors.ts";

function given(...options: [OptionName, ...string[]][]): Values {
  return new Values(
    new Map(options.map(([name, ...texts]) => [name, texts])),
  );
}

Deno.test("--reuse-port is for Linux", () => {
  const values = given(["listen", "32000"], ["reuse-port"]);
  checkConflicts(values, "linux");
  for (const os of ["darwin", "windows"] as const) {
    assertThrows(() => checkConflicts(values, os), UsageError, "needs Linux");
  }
});

Deno.test("a unix socket is a usage error on Windows", () => {
  for (
    const values of [
      given(["listen", "unix:/tmp/s"]),
      given(["connect", "unix:/tmp/s"]),
      given(["listen", "32000"], ["forward", "unix:/tmp/s"]),
    ]
  ) {
    checkConflicts(values, "darwin");
    assertThrows(
      () => checkConflicts(values, "windows"),
      UsageError,
      "not to be had on Windows",
    );
  }
});

Deno.test("no two options name one file to write", () => {
  const files: OptionName[] = ["output", "receipt", "dump", "port-file"];
  const base: [OptionName, ...string[]][] = [
    ["listen", "32000"],
    ["reliable"],
  ];
  checkConflicts(given(...base, ["output", "a"], ["receipt", "b"]));
  for (const [i, first] of files.entries()) {
    for (const second of files.slice(i + 1)) {
      const values = given(...base, [first, "a"], [second, "a"]);
      assertThrows(() => checkConflicts(values), UsageError, "a file each");
    }
  }
});
