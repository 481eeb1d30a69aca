/**
 * Measures sockpipe and its peers.
 *
 *     task bench                 all rows; writes docs/benchmarks.md and .svg
 *     task bench --quick         a look in about a minute; writes nothing
 *     task bench --row bulk      only this row (repeatable); writes nothing
 *     task bench --rounds 9      so many rounds
 *     task bench --row … --write writes what it measured all the same
 *     task bench --list          the names of the rows
 *
 * The program is main.ts, or the executable that SOCKPIPE_BIN names. Linux only.
 * Exits 1 when sockpipe fails in a row or misses a goal, 2 for a usage error.
 */

import { fileURLToPath } from "node:url";
import { parseArgs } from "@std/cli/parse-args";
import { isInstalled, Job, killJobs, saidBy } from "./jobs.ts";
import { chart } from "./chart.ts";
import { describe } from "./machine.ts";
import { document, rowText, summaryText, verdicts } from "./report.ts";
import { FULL, QUICK, rows } from "./rows.ts";
import type { Row, Size } from "./row.ts";
import { type RowResult, runRow } from "./run.ts";
import { furnish, type Place, quoted } from "./contest.ts";
import { programCommand } from "../program.ts";

/** They end the benchmark without a trace of its processes and files. */
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

const DOCS = new URL("../../docs/", import.meta.url);

interface Wish {
  readonly quick: boolean;
  readonly write: boolean;
  readonly ids: readonly string[];
  readonly rounds: number | undefined;
  readonly list: boolean;
}

/** @throws {Error} One sentence about what is wrong with the words. */
function parse(words: readonly string[]): Wish {
  const parsed = parseArgs([...words], {
    boolean: ["quick", "list", "write"],
    string: ["row", "rounds"],
    collect: ["row"],
    unknown: (word) => {
      throw new Error(
        `${word} is not expected: see the beginning of scripts/bench.ts`,
      );
    },
  });
  const ids = parsed.row.map(String);
  const known = rows(FULL).map(({ id }) => id);
  const stranger = ids.find((id) => !known.includes(id));
  if (stranger !== undefined) {
    throw new Error(`--row "${stranger}" is none of ${known.join(", ")}`);
  }
  const rounds = parsed.rounds === undefined
    ? undefined
    : Number(parsed.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) {
    throw new Error(`--rounds "${parsed.rounds}" is not a number from 1`);
  }
  const { quick, list } = parsed;
  const write = parsed.write || !quick && ids.length === 0;
  return { quick, ids, rounds, list, write };
}

/**
 * Furnishes a folder, with `ram` on tmpfs where there is one, and removes both at
 * the end.
 *
 * @param use Is given the place and the size that there is room for.
 */
export async function withPlace<T>(
  size: Size,
  use: (place: Place, size: Size) => Promise<T>,
): Promise<T> {
  const prefix = "sockpipe-bench-";
  const folder = await Deno.makeTempDir({ prefix });
  // Large files. The others cannot be there: below /dev, Deno reads nothing that
  // is named in an option, for all that --allow-read says.
  const ram = await makeRamFolder(prefix);
  const removeAll = () => {
    for (const path of [folder, ram]) {
      Deno.removeSync(path, { recursive: true });
    }
  };
  const stop = () => {
    killJobs();
    removeAll();
    Deno.exit(130);
  };
  for (const signal of SIGNALS) Deno.addSignalListener(signal, stop);
  try {
    await Deno.symlink(ram, `${folder}/ram`);
    const room = await freeBytes(ram);
    const MIB = 1024 ** 2;
    // The pattern and its copy, and something left for others.
    const files = Math.min(size.files, Math.floor(room * 0.4 / MIB) * MIB);
    const hasTime = await isInstalled("time");
    const program = (await programCommand()).map(quoted).join(" ");
    await furnish(folder, files);
    const place = { folder, program, hasTime, patternBytes: files };
    return await use(place, { ...size, files });
  } finally {
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, stop);
    removeAll();
  }
}

async function makeRamFolder(prefix: string): Promise<string> {
  try {
    return await Deno.makeTempDir({ dir: "/dev/shm", prefix });
  } catch {
    say("/dev/shm cannot be used: files are on a disk");
    return await Deno.makeTempDir({ prefix });
  }
}

async function freeBytes(folder: string): Promise<number> {
  const text = await saidBy(["df", "--output=avail", "-B1", folder]);
  return Number(text.trim().split("\n").at(-1));
}

/** Measures those rows whose options the program has. */
export async function runRows(
  chosen: readonly Row[],
  rounds: number,
  place: Place,
  onRow: (result: RowResult) => void,
): Promise<RowResult[]> {
  const help = await helpOf(place);
  const results: RowResult[] = [];
  for (const row of chosen) {
    const missing = row.needs?.find((name) =>
      !new RegExp(`--${name}\\b`).test(help)
    );
    const result = missing === undefined
      ? await runRow(row, rounds, place, (step) => showStep(row, step))
      : { row, outcomes: [], skipped: `This sockpipe has no --${missing}.` };
    showStep(row, "");
    onRow(result);
    results.push(result);
  }
  return results;
}

async function helpOf({ program, folder }: Place): Promise<string> {
  await using job = new Job(`${program} --help >help`, folder);
  if (await job.ended !== 0) throw new Error("sockpipe --help has failed");
  return await Deno.readTextFile(`${folder}/help`);
}

/** A line that the next one replaces; nothing where nobody looks. */
function showStep({ id }: Row, step: string): void {
  if (!Deno.stderr.isTerminal()) return;
  const text = step === "" ? "" : `${id}: ${step}`;
  Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

/** Whether sockpipe did everything, and reached every goal that was measured. */
function isGood(results: readonly RowResult[]): boolean {
  return results.every((result) =>
    result.outcomes.every(({ contender, failure }) =>
      failure === undefined || !contender.name.startsWith("sockpipe")
    ) &&
    result.row.metrics.every((metric) =>
      verdicts(result, metric).every(({ met }) => met !== false)
    )
  );
}

async function write(name: string, text: string): Promise<void> {
  const path = new URL(name, DOCS);
  await Deno.writeTextFile(path, text);
  // As `task check` wants it: tables with columns, lines of 80.
  if (name.endsWith(".md")) {
    await saidBy([Deno.execPath(), "fmt", "--quiet", fileURLToPath(path)]);
  }
  say(`Written: docs/${name}`);
}

async function bench(wish: Wish): Promise<boolean> {
  const date = new Date();
  const facts = await describe(await programCommand());
  for (const [what, which] of facts) say(`${what}: ${which}`);
  const wanted = wish.quick ? QUICK : FULL;
  return await withPlace(wanted, async (place, size) => {
    if (!place.hasTime) {
      say("GNU time is missing: no processor time, no memory");
    }
    const rounds = wish.rounds ?? size.rounds;
    const chosen = rows(size).filter(({ id }) =>
      wish.ids.length === 0 || wish.ids.includes(id)
    );
    const results = await runRows(
      chosen,
      rounds,
      place,
      (result) => say(`\n${rowText(result)}`.trimEnd()),
    );
    say(`\nGoals\n${summaryText(results)}`);
    if (wish.write) {
      const path = new URL("benchmarks.md", DOCS);
      const before = await Deno.readTextFile(path).catch(() => "");
      await write(
        "benchmarks.md",
        document({ facts, results, date, rounds }, before),
      );
      await write("benchmarks.svg", chart(results));
    }
    return isGood(results);
  });
}

async function main(words: readonly string[]): Promise<number> {
  let wish: Wish;
  try {
    wish = parse(words);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return 2;
  }
  if (wish.list) {
    for (const { id, title } of rows(FULL)) say(`${id.padEnd(16)}${title}`);
    return 0;
  }
  if (Deno.build.os !== "linux") {
    say("The benchmark needs Linux: it looks into /proc");
    return 2;
  }
  return await bench(wish) ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
