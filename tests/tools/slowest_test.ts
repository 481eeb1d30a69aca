import { assertEquals } from "@std/assert";
import { readJunit, slowest } from "../../scripts/test.ts";

const JUNIT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="3" failures="1" errors="0" time="2.5">
    <testsuite name="./tests/unit/a_test.ts" tests="2" disabled="0" errors="0" failures="1">
        <testcase name="fails &lt;at &quot;once&quot;&gt; &amp; &#39;more&#39;" classname="./tests/unit/a_test.ts" time="0.004" line="3" col="6">
            <failure message="Uncaught Error">no</failure>
        </testcase>
        <testcase name="is slow" classname="./tests/unit/a_test.ts" time="12.345" line="9" col="6">
        </testcase>
    </testsuite>
    <testsuite name="./tests/program/b_test.ts" tests="1" disabled="0" errors="0" failures="0">
        <testcase name="is slower than one" classname="./tests/program/b_test.ts" time="0.150" line="1" col="6">
        </testcase>
    </testsuite>
</testsuites>`;

Deno.test("readJunit() reads names, modules, times and failures", () => {
  assertEquals(readJunit(JUNIT), [
    {
      name: `fails <at "once"> & 'more'`,
      module: "unit/a_test.ts",
      seconds: 0.004,
      failed: true,
    },
    {
      name: "is slow",
      module: "unit/a_test.ts",
      seconds: 12.345,
      failed: false,
    },
    {
      name: "is slower than one",
      module: "program/b_test.ts",
      seconds: 0.15,
      failed: false,
    },
  ]);
});

Deno.test("slowest() lists the slowest tests first", () => {
  assertEquals(
    slowest(readJunit(JUNIT), 2),
    `The slowest 2 of 3 tests:
   12.3 s  unit/a_test.ts: is slow
    0.1 s  program/b_test.ts: is slower than one
`,
  );
});
