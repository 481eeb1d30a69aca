import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { runRows, withPlace } from "../../scripts/bench/bench.ts";
import { chart } from "../../scripts/bench/chart.ts";
import { document, figure } from "../../scripts/bench/report.ts";
import { QUICK, rows } from "../../scripts/bench/rows.ts";
import { sampleOf } from "../../scripts/bench/requests.ts";
import type { Size } from "../../scripts/bench/row.ts";
import { type RowResult, runRow } from "../../scripts/bench/run.ts";
import { judge, median, summarize } from "../../scripts/bench/stats.ts";

const MIB = 1024 ** 2;

/** So little that it ends at once. */
const TINY: Size = {
  ...QUICK,
  rounds: 1,
  bulk: 2 * MIB,
  files: MIB,
  memory: [MIB, 2 * MIB],
};

Deno.test("median() is the middle value, or between the two in the middle", () => {
  assertEquals(median([3]), 3);
  assertEquals(median([9, 1, 5]), 5);
  assertEquals(median([4, 1, 3, 2]), 2.5);
  assertEquals(median([10, 9, 100]), 10);
  assertEquals(median([]), NaN);
});

Deno.test("summarize() tells the spread, and nothing of nothing", () => {
  const summary = summarize([7, 2, 5]);
  assertEquals(summary, { median: 5, least: 2, most: 7, rounds: 3 });
  assertEquals(summarize([]), undefined);
});

Deno.test("judge() compares with the best of the rivals that were measured", () => {
  const medians = new Map([["ours", 150], ["slow", 50], ["fast", 100]]);
  const goal = { of: "ours", against: ["slow", "fast", "missing"], ratio: 2 };
  assertEquals(judge(goal, "more", medians), {
    goal,
    rival: "fast",
    ratio: 1.5,
    met: false,
  });
  assert(judge({ ...goal, ratio: 1.5 }, "more", medians).met);

  assertEquals(judge(goal, "less", medians), {
    goal,
    rival: "slow",
    ratio: 3,
    met: false,
  });
  assert(judge({ ...goal, ratio: 3 }, "less", medians).met);
});

Deno.test("judge() says nothing of what was not measured", () => {
  const goal = { of: "ours", against: ["theirs"], ratio: 1 };
  assertEquals(judge(goal, "more", new Map([["ours", 1]])).met, undefined);
  assertEquals(judge(goal, "more", new Map([["theirs", 1]])).met, undefined);
});

Deno.test("figure() shows three digits", () => {
  assertEquals([0.01234, 1.236, 45.67, 1234.5, 0].map(figure), [
    "0.012",
    "1.24",
    "45.7",
    "1235",
    "0.00",
  ]);
});

Deno.test("sampleOf() reads what redis-benchmark writes, and refuses all else", () => {
  const header =
    `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms"`;
  const line = `"SET","63091.48","0.755","0.152","0.727","1.167"`;
  const sample = sampleOf(`${header}\n${line}\n`);
  assertEquals(sample, { requests: 63091.48, latency: 727 });
  assertThrows(() => sampleOf(header), Error, "no times");
});

Deno.test("rows() have goals of contenders that take part, and names of their own", () => {
  const all = rows(QUICK);
  assertEquals(new Set(all.map(({ id }) => id)).size, all.length);
  for (const { id, contenders, metrics, work } of all) {
    const names = contenders.map(({ name }) => name);
    assertEquals(new Set(names).size, names.length, id);
    for (const { of, against } of metrics.flatMap(({ goals }) => goals)) {
      for (const name of [of, ...against]) assert(names.includes(name), name);
    }
    if ("bytes" in work && work.kind !== "trips") {
      assertEquals(work.bytes % 65536, 0, id);
    }
  }
});

/** A row with sockpipe alone, and another contender that cannot do the work. */
function withFailing(id: string, listen: string, connect: string) {
  const row = rows(TINY).find((row) => row.id === id);
  assert(row !== undefined);
  const ours = row.contenders.filter(({ name }) => name === "sockpipe");
  return {
    ...row,
    contenders: [...ours, { name: "failing", listen, connect }],
  };
}

Deno.test({
  name:
    "the benchmark measures a row, and reports a contender that loses bytes",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const results = await withPlace(TINY, async (place) => {
      const bulk = withFailing(
        "bulk",
        `${Deno.execPath()} eval --quiet 'await Deno.listen({port:PORT,hostname:"127.0.0.1"}).accept();console.log("short")'`,
        `${Deno.execPath()} eval --quiet 'await Deno.connect({port:PORT})'`,
      );
      return await runRows(
        [bulk, withFailing("files", "deno-is-not-here", "deno-is-not-here")],
        1,
        place,
        () => {},
      );
    });
    const [bulk, files] = results;
    assert(bulk !== undefined && files !== undefined);
    const [ours, failing] = bulk.outcomes;
    assertEquals(ours?.failure, undefined);
    assert((ours?.samples[0]?.rate ?? 0) > 0);
    assert(failing?.failure !== undefined);
    assertEquals(files.outcomes[0]?.failure, undefined);
    assertStringIncludes(
      files.outcomes[1]?.failure ?? "",
      "is not installed",
    );
    checkReport(results);
  },
});

function checkReport(results: readonly RowResult[]): void {
  const report = { facts: [], results, date: new Date(0), rounds: 1 };
  const text = document(report);
  assertStringIncludes(text, "on 1970-01-01");
  assertStringIncludes(text, "| sockpipe | ");
  assertStringIncludes(text, "| failing | failed |");
  assertStringIncludes(text, "sockpipe --listen 127.0.0.1:PORT");
  assertEquals(document(report, `old\n${text}By hand.\n`), `${text}By hand.\n`);

  const svg = chart(results);
  assertStringIncludes(svg, ">sockpipe</text>");
  assert(!svg.includes("failing"));
}

Deno.test({
  name: "a contender that never listens is given up",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const row = withFailing("bulk", "true", "true");
    const contenders = row.contenders.slice(1);
    const result = await withPlace(
      TINY,
      (place) => runRow({ ...row, contenders }, 1, place, () => {}),
    );
    assertStringIncludes(result.outcomes[0]?.failure ?? "", "ended instead");
  },
});
