/** The work of two sides: a stream, round trips, starts. */

import {
  BLOCK,
  command,
  DEADLINE_MS,
  explain,
  forget,
  HELLO,
  LEAST_RATE,
  listeningAll,
  type Of,
  type Pass,
  type Place,
  quoted,
  readOr,
  type Run,
  type Side,
  startBetween,
  usage,
} from "./contest.ts";
import { Job, within } from "./jobs.ts";
import type { Sample } from "./row.ts";

export async function stream(work: Of<"stream">, run: Run): Promise<Sample> {
  const { contender, pass, place } = run;
  const wanted = contender.bytes ?? work.bytes;
  const bytes = pass === "timed" || work.ends === "files"
    ? wanted
    : Math.min(wanted, place.patternBytes);
  const ends = work.ends === "files"
    ? fileEnds
    : pipeEnds(work.ways, bytes, pass);
  const deadline = DEADLINE_MS + bytes / LEAST_RATE;
  await using _between = await startBetween(run);
  await using listener = new Job(
    ends("listen", command(run, "listen")),
    place.folder,
  );
  await listeningAll(run, listener);
  const startedAt = performance.now();
  await using sender = new Job(
    ends("connect", command(run, "connect")),
    place.folder,
  );
  const codes = await within(
    Promise.all([sender.ended, listener.ended]),
    deadline,
    contender.name,
  ).catch(explain(run));
  const seconds = (performance.now() - startedAt) / 1000;
  if (codes.some((code) => code !== 0)) {
    await explain(run)(new Error(`Exit codes ${codes.join(" and ")}`));
  }
  const arrivals: Side[] = work.ways === 1 ? ["listen"] : ["listen", "connect"];
  for (const side of arrivals) await checkArrival(side, work, bytes, run);
  return {
    rate: work.ways * bytes / 1e6 / seconds,
    ...await usage(place, work.ways * bytes),
  };
}

/** The script of a side whose ends are pipes. */
function pipeEnds(
  ways: 1 | 2,
  bytes: number,
  pass: Pass,
): (side: Side, command: string) => string {
  const blocks = `bs=${BLOCK} count=${bytes / BLOCK}`;
  const file = pass === "timed" ? "/dev/zero" : "ram/pattern";
  const source = `dd if=${file} ${blocks} status=none`;
  const sink = (side: Side, limit: string) =>
    pass === "timed"
      ? `dd of=/dev/null ${limit} 2>${side}.arrived`
      : `dd ${limit} status=none | ${HASHER} >${side}.arrived`;
  return (side, command) => {
    if (ways === 2) {
      const exactly = sink(side, `iflag=fullblock ${blocks}`);
      return side === "listen"
        ? `${source} | ${command} | ${sink(side, `bs=${BLOCK}`)}`
        // Ends its stdin when everything has come the other way.
        : `mkfifo done; exec 3<>done
          { ${source}; read -r _ <&3; } | ${command} | { ${exactly}; echo >&3; }`;
    }
    return side === "listen"
      ? `</dev/null ${command} | ${sink(side, `bs=${BLOCK}`)}`
      : `${source} | ${command} >/dev/null`;
  };
}

function fileEnds(side: Side, command: string): string {
  return side === "listen"
    ? `</dev/null ${command} >ram/arrived`
    : `${command} <ram/pattern >/dev/null`;
}

/** SHA-256; coreutils' own is many times slower than OpenSSL's. */
const HASHER =
  "{ if type -P openssl >/dev/null; then openssl dgst -sha256 -r; else sha256sum; fi; }";

async function checkArrival(
  side: Side,
  work: Of<"stream">,
  bytes: number,
  { pass, place }: Run,
): Promise<void> {
  if (work.ends === "files") {
    const arrived = await hashOf("cat ram/arrived", place);
    await forget(place, ["ram/arrived"]);
    return equal(arrived, await patternHash(bytes, place));
  }
  const text = await readOr(place, `${side}.arrived`);
  if (pass === "verified") {
    return equal(text.slice(0, 64), await patternHash(bytes, place));
  }
  const [, count] = /^(\d+) bytes/m.exec(text) ?? [];
  if (Number(count) !== bytes) {
    throw new Error(`${count ?? "no"} of ${bytes} bytes arrived`);
  }
}

export function equal(arrived: string, expected: string): void {
  if (arrived !== expected) {
    throw new Error(`What arrived has the SHA-256 ${arrived}, not ${expected}`);
  }
}

const hashes = new Map<number, Promise<string>>();

/** The hash of the first bytes of the pattern, which is the same in each run. */
export function patternHash(bytes: number, place: Place): Promise<string> {
  const known = hashes.get(bytes) ??
    hashOf(
      `dd if=ram/pattern bs=${BLOCK} count=${bytes / BLOCK} status=none`,
      place,
    );
  hashes.set(bytes, known);
  return known;
}

async function hashOf(source: string, place: Place): Promise<string> {
  await using job = new Job(`${source} | ${HASHER} >hash`, place.folder);
  if (await job.ended !== 0) throw new Error(`Cannot hash: ${source}`);
  return (await readOr(place, "hash")).slice(0, 64);
}

export async function roundTrips(work: Of<"trips">, run: Run): Promise<Sample> {
  const { place, contender } = run;
  await using _between = await startBetween(run);
  const listen = `mkfifo loop up down
    ${command(run, "listen")} <loop | cat >loop`;
  await using listener = new Job(listen, place.folder);
  await listeningAll(run, listener);
  const driver = new URL("trips.ts", import.meta.url).pathname;
  const words = [Deno.execPath(), "run", "--no-config", "--quiet", driver];
  const script = `${command(run, "connect")} <up >down &
    exec ${
    words.map(quoted).join(" ")
  } ${work.trips} ${work.bytes} >up <down 2>trips`;
  await using both = new Job(script, place.folder);
  const code = await within(both.ended, DEADLINE_MS * 2, contender.name)
    .catch(explain(run));
  const text = await readOr(place, "trips");
  if (code !== 0) await explain(run)(new Error(text.split("\n")[0] ?? ""));
  return { trip: Number(text) };
}

export async function start(work: Of<"start">, run: Run): Promise<Sample> {
  const times: number[] = [];
  for (let count = 0; count < work.starts; count++) {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const heard = listener.accept().then(textOf);
    // Where the time is given up, nobody waits for this any more.
    heard.catch(() => {});
    const { port } = listener.addr;
    const script = command({ ...run, port }, "connect");
    const startedAt = performance.now();
    await using job = new Job(script, run.place.folder);
    const code = await within(job.ended, DEADLINE_MS, run.contender.name);
    times.push(performance.now() - startedAt);
    if (code !== 0) await explain(run)(new Error(`Exit code ${code}`));
    const text = await within(heard, DEADLINE_MS, "the listener");
    if (text.trim() !== HELLO.trim()) throw new Error(`"${text}" arrived`);
  }
  return { start: times.reduce((sum, time) => sum + time) / times.length };
}

async function textOf(conn: Deno.Conn): Promise<string> {
  return await new Response(conn.readable).text();
}
