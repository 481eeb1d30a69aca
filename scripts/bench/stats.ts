/** Medians, spreads and verdicts: the statistics of the benchmark. */

/** The values of several rounds in three numbers. */
export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly rounds: number;
}

/** The middle value, or the mean of the two in the middle; `NaN` of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const above = sorted[Math.floor(middle)] ?? NaN;
  const below = sorted[Math.ceil(middle) - 1] ?? NaN;
  return (above + below) / 2;
}

/** Nothing of no values. */
export function summarize(values: readonly number[]): Summary | undefined {
  if (values.length === 0) return undefined;
  return {
    median: median(values),
    least: Math.min(...values),
    most: Math.max(...values),
    rounds: values.length,
  };
}

/** Whether more or less of something is better. */
export type Better = "more" | "less";

/** A ratio of two medians that is to be reached. */
export interface Goal {
  /** The contender it is set for. */
  readonly of: string;
  /** The contenders it is compared with; of several, the best of them. */
  readonly against: readonly string[];
  /** The least ratio where more is better, the greatest where less is. */
  readonly ratio: number;
}

/** A goal, and whether it was met. */
export interface Verdict {
  readonly goal: Goal;
  /** The contender that it was compared with; none when none was measured. */
  readonly rival: string | undefined;
  /** The median of ours divided by the rival's. */
  readonly ratio: number | undefined;
  /** `undefined` when there is no ratio. */
  readonly met: boolean | undefined;
}

/**
 * Compares a goal with what was measured.
 *
 * @param medians By contender; those that are missing were not measured.
 */
export function judge(
  goal: Goal,
  better: Better,
  medians: ReadonlyMap<string, number>,
): Verdict {
  const rival = best(goal.against, better, medians);
  const ours = medians.get(goal.of);
  const theirs = rival === undefined ? undefined : medians.get(rival);
  if (ours === undefined || theirs === undefined) {
    return { goal, rival, ratio: undefined, met: undefined };
  }
  const ratio = ours / theirs;
  const met = better === "more" ? ratio >= goal.ratio : ratio <= goal.ratio;
  return { goal, rival, ratio, met };
}

function best(
  names: readonly string[],
  better: Better,
  medians: ReadonlyMap<string, number>,
): string | undefined {
  const sign = better === "more" ? -1 : 1;
  return names
    .flatMap((name) => {
      const value = medians.get(name);
      return value === undefined ? [] : [{ name, value }];
    })
    .toSorted((a, b) => sign * (a.value - b.value))[0]?.name;
}
