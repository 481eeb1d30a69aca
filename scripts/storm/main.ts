/**
 * Tries `--reliable` in a storm: see storm.ts.
 *
 *     task storm                     until 10,000 cuts
 *     task storm --cuts 500 --seed 7 --jobs 4
 *     task storm --over tcp,tls
 *     task storm --session 1234      the session of a seed alone, as it was told
 *
 * SOCKPIPE_BIN names a binary to try instead of the source. The exit code is 1 when
 * something happened that must not.
 */

import { parseArgs } from "@std/cli/parse-args";
import { TRANSPORTS } from "./plan.ts";
import type { SessionReport } from "./session.ts";
import { storm, type StormReport, stormSession } from "./storm.ts";

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

function tellFaults({ seed, plan, faults }: SessionReport): void {
  say(`FAULT in session ${seed}: ${plan}`);
  for (const fault of faults) say(`  ${fault}`);
}

function sum(
  { sessions, cuts, connections, stops, kills, bytes, faulty }: StormReport,
): string {
  return [
    `${sessions} sessions`,
    `${connections} connections`,
    `${cuts} cuts`,
    `${stops} stops`,
    `${kills} kills`,
    `${Math.round(bytes / 1e6)} MB`,
    `${faulty.length} faulty sessions`,
  ].join(", ");
}

async function main(words: readonly string[]): Promise<number> {
  const { cuts, seed, jobs, session, over } = parseArgs([...words], {
    string: ["cuts", "seed", "jobs", "session", "over"],
  });
  const transports = over?.split(",").map((name) => {
    const known = TRANSPORTS.find((transport) => transport === name);
    if (known === undefined) throw new Error(`Cannot storm over "${name}"`);
    return known;
  });
  if (session !== undefined) {
    const report = await stormSession(Number(session), transports);
    say(report.plan);
    if (report.faults.length === 0) return 0;
    tellFaults(report);
    return 1;
  }
  const chosen = Number(seed ?? Date.now() % 1_000_000_000);
  say(`seed ${chosen}`);
  const stop = new AbortController();
  Deno.addSignalListener("SIGINT", () => {
    say("ends with the sessions that run now");
    stop.abort();
  });
  let told = performance.now();
  const all = await storm({
    seed: chosen,
    cuts: Number(cuts ?? 10_000),
    transports,
    signal: stop.signal,
    jobs: Number(jobs ?? 2 * navigator.hardwareConcurrency),
    onSession: (one, sofar) => {
      if (one.faults.length > 0) tellFaults(one);
      if (performance.now() - told < 10_000) return;
      told = performance.now();
      say(sum(sofar));
    },
  });
  say(sum(all));
  return all.faulty.length > 0 ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
