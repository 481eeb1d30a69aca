/**
 * Runs rows: first everybody once to show that everything arrives, then rounds in
 * which they take turns, so that a change of the machine's load meets all.
 */

import { isInstalled } from "./jobs.ts";
import type { Contender, MetricKey, Row, Sample } from "./row.ts";
import { summarize, type Summary } from "./stats.ts";
import type { Place } from "./contest.ts";
import { perform, verifiesItself } from "./work.ts";

/** The outcome of a row for one contender. */
export interface Outcome {
  readonly contender: Contender;
  readonly samples: readonly Sample[];
  /** The reason for giving it up, if it was; then its samples do not count. */
  readonly failure: string | undefined;
  /** Runs that failed and were repeated. */
  readonly repeated: readonly string[];
}

/** The results of a row. */
export interface RowResult {
  readonly row: Row;
  readonly outcomes: readonly Outcome[];
  /** The reason why nothing was measured. */
  readonly skipped?: string;
}

/** The numbers of a contender for one metric; none if it has failed. */
export function summaryOf(
  { samples, failure }: Outcome,
  key: MetricKey,
): Summary | undefined {
  if (failure !== undefined) return undefined;
  return summarize(samples.flatMap((sample) => sample[key] ?? []));
}

/** The medians of a metric by contender. */
export function mediansOf(
  { outcomes }: RowResult,
  key: MetricKey,
): Map<string, number> {
  const medians = new Map<string, number>();
  for (const outcome of outcomes) {
    const summary = summaryOf(outcome, key);
    if (summary !== undefined) {
      medians.set(outcome.contender.name, summary.median);
    }
  }
  return medians;
}

/** A contender while its row runs. */
class Entry implements Outcome {
  readonly contender: Contender;
  readonly samples: Sample[] = [];
  readonly repeated: string[] = [];
  failure: string | undefined;

  constructor(contender: Contender) {
    this.contender = contender;
  }

  /** Runs once; and once more if that fails, but only the first time. */
  async run(attempt: () => Promise<Sample>): Promise<Sample | undefined> {
    while (this.failure === undefined) {
      try {
        return await attempt();
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        if (this.repeated.length === 0) this.repeated.push(reason);
        else this.failure = reason;
      }
    }
    return undefined;
  }
}

/**
 * Measures a row. A contender that fails twice is out of it.
 *
 * @param onStep Is told what is done now.
 */
export async function runRow(
  row: Row,
  rounds: number,
  place: Place,
  onStep: (text: string) => void,
): Promise<RowResult> {
  const entries: Entry[] = [];
  for (const contender of row.contenders) {
    const entry = new Entry(contender);
    const missing = await missingProgram(contender);
    if (missing !== undefined) entry.failure = `${missing} is not installed`;
    entries.push(entry);
  }
  if (!verifiesItself(row.work)) {
    for (const entry of entries) {
      onStep(`${entry.contender.name}, verified`);
      await entry.run(() =>
        perform(row.work, entry.contender, "verified", place)
      );
    }
  }
  for (let round = 1; round <= (row.rounds ?? rounds); round++) {
    for (const entry of entries) {
      onStep(`${entry.contender.name}, round ${round}`);
      const sample = await entry.run(() =>
        perform(row.work, entry.contender, "timed", place)
      );
      if (sample !== undefined) entry.samples.push(sample);
    }
  }
  return { row, outcomes: entries };
}

/** The program of a contender that is not there; ours always is. */
async function missingProgram(
  { listen, connect }: Contender,
): Promise<string | undefined> {
  for (const command of [listen, connect]) {
    const program = command.split(" ").find((word) => !word.includes("="));
    if (!program || program === "sockpipe") continue;
    if (!await isInstalled(program)) return program;
  }
  return undefined;
}
