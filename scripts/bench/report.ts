/** The printed results of the benchmark, and `docs/benchmarks.md`. */

import type { Fact } from "./machine.ts";
import type { Contender, Metric } from "./row.ts";
import { mediansOf, type Outcome, type RowResult, summaryOf } from "./run.ts";
import { judge, type Verdict } from "./stats.ts";

/** From this line on, `docs/benchmarks.md` is written by hand. */
const BY_HAND = "<!-- From here on by hand: task bench keeps it. -->";

/** A number with three significant digits. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "?";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value) || 1)));
  return value.toFixed(Math.min(digits, 3));
}

/** The table of a row's metric: who, the median, the spread, the ratio. */
function table(result: RowResult, metric: Metric): string[][] {
  const medians = mediansOf(result, metric.key);
  const [first] = result.outcomes;
  const ours = first && medians.get(first.contender.name);
  const lines = result.outcomes.map((outcome) => {
    const { name } = outcome.contender;
    const summary = summaryOf(outcome, metric.key);
    if (summary === undefined) {
      return [name, outcome.failure === undefined ? "–" : "failed", "", ""];
    }
    const { median, least, most } = summary;
    return [
      name,
      figure(median),
      `${figure(least)} to ${figure(most)}`,
      ours === undefined || outcome === first ? "" : figure(ours / median),
    ];
  });
  const name = first?.contender.name ?? "ours";
  return [
    ["", `${metric.unit}, median`, "spread", `${name} ÷ this`],
    ...lines,
  ];
}

/** The goals of a metric, with what became of them. */
export function verdicts(result: RowResult, metric: Metric): Verdict[] {
  const medians = mediansOf(result, metric.key);
  return metric.goals.map((goal) => judge(goal, metric.better, medians));
}

function goalCells(verdict: Verdict, metric: Metric): string[] {
  const { goal, rival, ratio, met } = verdict;
  const bound = metric.better === "more" ? "at least" : "at most";
  const whom = goal.against.length > 1
    ? `the best peer${rival === undefined ? "" : `, ${rival}`}`
    : goal.against[0] ?? "";
  return [
    metric.title,
    `${bound} ${figure(goal.ratio)} × ${whom}`,
    ratio === undefined ? "–" : figure(ratio),
    met === undefined ? "not measured" : met ? "met" : "**missed**",
  ];
}

const GOAL_HEADS = ["work", "goal", "measured", ""];

function allGoals(results: readonly RowResult[]): string[][] {
  const measured = results.filter(({ skipped }) => skipped === undefined);
  return measured.flatMap((result) =>
    result.row.metrics.flatMap((metric) =>
      verdicts(result, metric).map((verdict) => goalCells(verdict, metric))
    )
  );
}

function failures(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ contender, failure, repeated }) =>
    failure !== undefined
      ? [`${contender.name} failed: ${failure}`]
      : repeated.map((reason) => `${contender.name}, repeated: ${reason}`)
  );
}

/** A row as plain text for the terminal. */
export function rowText(result: RowResult): string {
  const { row, outcomes, skipped } = result;
  if (skipped !== undefined) return `${row.title}: ${skipped}\n`;
  const parts = row.metrics.map((metric) => {
    const goals = verdicts(result, metric).map((verdict) => {
      const [, goal, ratio, met] = goalCells(verdict, metric);
      return `  goal: ${goal}: ${ratio}, ${met?.replaceAll("*", "")}\n`;
    });
    return `${metric.title}\n${columns(table(result, metric))}${
      goals.join("")
    }`;
  });
  const notes = failures(outcomes).map((line) => `  ${line}\n`);
  return `${parts.join("")}${notes.join("")}`;
}

/** All goals as plain text. */
export function summaryText(results: readonly RowResult[]): string {
  return columns([GOAL_HEADS, ...allGoals(results)]).replaceAll("**", "");
}

function columns(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, at) =>
    Math.max(...lines.map((line) => line[at]?.length ?? 0))
  );
  return lines.map((line) => {
    const cells = line.map((cell, at) => cell.padEnd(widths[at] ?? 0));
    return `  ${cells.join("  ").trimEnd()}\n`;
  }).join("");
}

/** The contents of the document. */
export interface Report {
  readonly facts: readonly Fact[];
  readonly results: readonly RowResult[];
  /** The time of its beginning; only the day is told. */
  readonly date: Date;
  readonly rounds: number;
}

/**
 * The document.
 *
 * @param before What it is now: the part that is written by hand stays.
 */
export function document(report: Report, before = ""): string {
  const { facts, results, date, rounds } = report;
  const at = before.indexOf(BY_HAND);
  const byHand = at < 0 ? `${BY_HAND}\n` : before.slice(at);
  return [
    "# Benchmarks",
    `Written by \`task bench\` on ${date.toISOString().slice(0, 10)}.`,
    "![Bar charts: sockpipe and its peers](benchmarks.svg)",
    markdownTable([["machine", ""], ...facts.map((fact) => [...fact])]),
    "## Goals",
    "A goal is a ratio of two medians of the same run: ours divided by the other's.",
    markdownTable([GOAL_HEADS, ...allGoals(results)]),
    "## How it is measured",
    method(rounds),
    "## Rows",
    ...results.map(section),
    byHand.trimEnd(),
  ].join("\n\n") + "\n";
}

function method(rounds: number): string {
  return `- Everything runs on one machine, over loopback. The contenders take turns.
  Rounds: ${rounds}, unless a row says otherwise. The tables show the median, and
  the least and the greatest value as the spread.
- The listener is started first and is not timed before it listens, which
  \`/proc/net/tcp\` shows. The time goes from the start of the connecting side,
  its start-up included, to the end of both sides and of all that reads from them.
- dd with 64 KiB blocks feeds and counts, as it takes the least time itself: about
  half of that of \`head -c\`. Every timed run counts the bytes that arrived.
- What arrives is compared by SHA-256 in a pass of its own with the same commands
  and data that repeats nowhere, as a hash beside the contenders would slow them
  down. Files are hashed after every timed run, and answers compared.
- Processor time (user and system) and peak memory are what wait4(2) tells of the
  contender's processes alone, by GNU time.
- Everybody appears with defaults and with the best known options. nc.openbsd
  without \`-N\` never ends. What fails twice is shown as failed.
- MB and GB are powers of 1000, MiB and GiB of 1024.`;
}

function section(result: RowResult): string {
  const { row, outcomes, skipped } = result;
  const head = [`### ${row.title}`, row.about];
  if (skipped !== undefined) return [...head, skipped].join("\n\n");
  const { work } = row;
  const isOneSize = row.contenders.every(({ bytes }) => bytes === undefined);
  const bytes = "bytes" in work && work.kind !== "trips" && isOneSize
    ? [`${work.bytes / 2 ** 20} MiB.`]
    : [];
  const rounds = row.rounds === undefined ? [] : [`Rounds: ${row.rounds}.`];
  const tables = row.metrics.flatMap((metric) => [
    ...(row.metrics.length > 1 ? [`**${metric.title}**`] : []),
    markdownTable(table(result, metric)),
  ]);
  const notes = failures(outcomes).map((line) => `- ${line}`);
  return [
    ...head.slice(0, 1),
    [row.about, ...bytes, ...rounds].join(" "),
    ...tables,
    ...(notes.length > 0 ? [notes.join("\n")] : []),
    commands(outcomes.map(({ contender }) => contender)),
  ].join("\n\n");
}

/** Lists the command lines of all contenders. */
function commands(contenders: readonly Contender[]): string {
  const lines = contenders.flatMap(({ listen, connect }) =>
    [listen, connect].filter((command) => command !== "")
  );
  const unique = [...new Set(lines)];
  return `\`\`\`sh\n${unique.join("\n")}\n\`\`\``;
}

function markdownTable(lines: readonly (readonly string[])[]): string {
  const [head = [], ...rest] = lines;
  const rule = head.map(() => "---");
  return [head, rule, ...rest]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");
}
