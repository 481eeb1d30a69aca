/**
 * Fuzzes what reads a peer's frames: the decoder against its model (decoder.ts),
 * and a session that is played a recorded one with changes.
 *
 *     task fuzz                       for a minute
 *     task fuzz --minutes 60 --seed 7
 *     task fuzz --case 1234           the case of a seed alone
 *
 * The exit code is 1 when a case has failed; its seed is told.
 */

import { parseArgs } from "@std/cli/parse-args";
import { playDamaged } from "../../tests/helpers/session_damage.ts";
import { fuzzDecoder } from "./decoder.ts";

/** The pause between reports of progress, in ms. */
const TELL_MS = 60_000;

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

/** Plays the case of a seed; tells how it ended. */
function play(seed: number): string {
  try {
    return `decoder: ${fuzzDecoder(seed)}; session: ${playDamaged(seed)}`;
  } catch (error) {
    throw new Error(`Case ${seed} has failed`, { cause: error });
  }
}

function sum(cases: number, endings: ReadonlyMap<string, number>): string {
  const each = [...endings].sort(([a], [b]) => a < b ? -1 : 1)
    .map(([ending, count]) => `\n  ${count} ${ending}`);
  return `${cases} cases${each.join("")}`;
}

function main(words: readonly string[]): void {
  const { minutes, seed, case: alone } = parseArgs([...words], {
    string: ["minutes", "seed", "case"],
  });
  if (alone !== undefined) return say(play(Number(alone)));
  const first = Number(seed ?? Date.now() % 1_000_000_000);
  say(`seed ${first}`);
  const endings = new Map<string, number>();
  const until = performance.now() + Number(minutes ?? 1) * 60_000;
  let told = performance.now();
  let cases = 0;
  for (let now = told; now < until; now = performance.now()) {
    const ending = play(first + cases++);
    endings.set(ending, (endings.get(ending) ?? 0) + 1);
    if (now - told < TELL_MS) continue;
    told = now;
    say(sum(cases, endings));
  }
  say(sum(cases, endings));
}

if (import.meta.main) main(Deno.args);
