/** Requests to a server behind a forwarder, by many clients at once. */

import {
  command,
  DEADLINE_MS,
  explain,
  listeningAll,
  type Of,
  readOr,
  type Run,
} from "./contest.ts";
import { isInstalled, Job, listening, within } from "./jobs.ts";
import type { Sample } from "./row.ts";

/** The bytes of one value. */
const VALUE_BYTES = 64;

/**
 * Measures requests of redis-benchmark through a forwarder to a redis-server that
 * keeps nothing.
 *
 * @throws {Error} A program is missing or failed, or the value is not there at last.
 */
export async function requests(
  { requests, connections }: Of<"requests">,
  run: Run,
): Promise<Sample> {
  const { middle, port, place, contender } = run;
  for (const program of ["redis-server", "redis-benchmark"]) {
    if (!await isInstalled(program)) throw new Error(`no ${program}`);
  }
  await using target = new Job(
    `exec redis-server --port ${middle} --bind 127.0.0.1 --save ""`,
    place.folder,
  );
  await listening(middle, target, DEADLINE_MS);
  await using forwarder = new Job(command(run, "listen", middle), place.folder);
  await listeningAll(run, forwarder);
  const clients = `exec redis-benchmark -p ${port} -c ${connections}`;
  await using benchmark = new Job(
    `${clients} -n ${requests} -t set -d ${VALUE_BYTES} --csv >requests 2>&1`,
    place.folder,
  );
  const code = await within(benchmark.ended, DEADLINE_MS * 2, contender.name)
    .catch(explain(run));
  const said = await readOr(place, "requests");
  await using check = new Job(
    `test "$(redis-cli -p ${port} strlen key:__rand_int__)" = ${VALUE_BYTES}`,
    place.folder,
  );
  if (code !== 0 || await check.ended !== 0) {
    throw new Error(`redis-benchmark failed (${code}): ${said}`);
  }
  return sampleOf(said);
}

/**
 * Reads what redis-benchmark has written with `--csv`: after the name of the test the
 * requests a second, and the average, the least and the median time of one, in ms.
 *
 * @throws {Error} There is no such line.
 */
export function sampleOf(csv: string): Sample {
  const fields = /^"SET",(.*)$/m.exec(csv)?.[1]?.split(",") ?? [];
  const [rate, , , median] = fields.map((field) =>
    Number(field.replaceAll('"', ""))
  );
  if (rate === undefined || median === undefined) {
    throw new Error(`redis-benchmark says no times: ${csv}`);
  }
  return { requests: rate, latency: median * 1000 };
}
