/** The common parts of all kinds of work: the place, the run, the start of a side. */

import { formatSecret, newSecret } from "../../lib/tls/secret.ts";
import { Job, listening } from "./jobs.ts";
import type { Contender, Sample, Work } from "./row.ts";

/** The longest time of a run besides that for its bytes, in ms. */
export const DEADLINE_MS = 30_000;
/** Whoever is slower than this has failed, in bytes per ms. */
export const LEAST_RATE = 20_000;

export const BLOCK = 65536;
export const HELLO = "hello\n";

/** The place of the runs. */
export interface Place {
  /** A folder with the files of {@linkcode furnish}. */
  readonly folder: string;
  /** The program under test, as the shell takes it. */
  readonly program: string;
  /** Whether GNU time is there, without which there is no `cpu` and no `rss`. */
  readonly hasTime: boolean;
  /** The length of the file `ram/pattern`. */
  readonly patternBytes: number;
}

/** Whether a run is timed, or shows that everything arrives. */
export type Pass = "timed" | "verified";

export interface Run {
  readonly contender: Contender;
  readonly pass: Pass;
  readonly place: Place;
  readonly port: number;
  readonly middle: number;
}

export type Of<Kind> = Extract<Work, { kind: Kind }>;

/** The side of a run that a command is of. */
export type Side = "listen" | "connect";

/** A side's command as the shell takes it, timed if that can be. */
/** Starts the third program of a contender, if it has one. */
export async function startBetween(
  run: Run,
  target?: number,
): Promise<AsyncDisposable | undefined> {
  const { contender, middle, place, port } = run;
  if (contender.between === undefined) return undefined;
  const job = new Job(command(run, "between", target), place.folder);
  const own = contender.between.includes("PORT") ? port : middle;
  await listening(own, job, DEADLINE_MS).catch(explain(run));
  return job;
}

/** Waits for the listener; with a third program, for both ports. */
export async function listeningAll(run: Run, listener: Job): Promise<void> {
  const { contender, middle, port } = run;
  const own = contender.listen.includes("PORT") ? port : middle;
  await listening(own, listener, DEADLINE_MS).catch(explain(run));
}

export function command(
  { contender, place, port, middle }: Run,
  side: Side | "between",
  target?: number,
): string {
  const text = (contender[side] ?? "")
    .replaceAll("PORT", String(port))
    .replaceAll("MIDDLE", String(middle))
    .replaceAll("TARGET", String(target));
  const [, env = "", words = ""] = /^((?:[A-Z_]+=\S+ )*)(.*)$/.exec(text) ?? [];
  const rest = words.replace(/^sockpipe\b/, () => place.program);
  const timed = place.hasTime && side !== "between" &&
    contender.listen !== "" &&
    contender.connect !== "";
  // After exec it is not the shell's keyword, which tells nothing about memory.
  const time = timed ? `time -q -o ${side}.usage -f "%U %S %M" ` : "";
  return `${env}exec ${time}${rest} 2>${side}.said`;
}

/** Processor time and memory of both sides, from what GNU time wrote. */
export async function usage(place: Place, bytes: number): Promise<Sample> {
  if (!place.hasTime) return {};
  const numbers = async (side: Side) =>
    (await readOr(place, `${side}.usage`)).trim().split(" ").map(Number);
  const [listenUser = 0, listenSystem = 0, listenKib = 0] = await numbers(
    "listen",
  );
  const [user = 0, system = 0, kib = 0] = await numbers("connect");
  return {
    cpu: (listenUser + listenSystem + user + system) / (bytes / 1e9),
    rssListen: listenKib * 1024 / 1e6,
    rssConnect: kib * 1024 / 1e6,
  };
}

/** Adds what the contender said to the reason why a run failed. */
export function explain({ place }: Run): (error: unknown) => Promise<never> {
  return async (error) => {
    const said = await Promise.all(
      ["listen.said", "connect.said"].map((name) => readOr(place, name)),
    );
    const lines = said.map((text) => text.trim().split("\n").at(-1) ?? "")
      .filter((line) => line !== "");
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error([reason, ...lines].join("; "), { cause: error });
  };
}

export async function readOr(place: Place, name: string): Promise<string> {
  return await Deno.readTextFile(`${place.folder}/${name}`).catch(() => "");
}

export async function forget(
  place: Place,
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    try {
      await Deno.remove(`${place.folder}/${name}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** A word as the shell reads it back. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * Makes the files that the runs need: the pattern, which repeats nowhere, a
 * certificate with its authority and its pin, a secret, a line of text.
 */
export async function furnish(
  folder: string,
  patternBytes: number,
): Promise<void> {
  await Deno.writeTextFile(`${folder}/hello`, HELLO);
  const secret = newSecret();
  const mode = 0o600;
  await Deno.writeTextFile(`${folder}/secret`, await formatSecret(secret), {
    mode,
  });
  await Deno.writeFile(`${folder}/spiped.key`, secret, { mode });
  await using job = new Job(
    `${keystream(patternBytes)} >ram/pattern || exit
    type -P openssl >/dev/null || exit 0
    new="openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    $new -x509 -days 30 -subj /CN=bench-ca -keyout ca.key -out ca.pem &&
    $new -subj /CN=localhost -keyout key.pem -out request.pem &&
    openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial \
      -days 30 -out cert.pem -extfile <(echo subjectAltName=IP:127.0.0.1,DNS:localhost) &&
    openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform der |
      openssl dgst -sha256 -r | cut -c1-64 >pin`,
    folder,
  );
  const code = await job.ended;
  if (code !== 0) throw new Error(`Cannot make the benchmark's files: ${code}`);
}

/** Shell text for bytes that look random and are the same each time. */
function keystream(bytes: number): string {
  const script = `import { createCipheriv } from "node:crypto";
    const [bytes] = Deno.args.map(Number);
    const zero = new Uint8Array(1024 ** 2);
    const cipher = createCipheriv("aes-128-ctr", zero.subarray(0, 16), zero.subarray(0, 16));
    for (let left = bytes; left > 0; left -= zero.length) {
      let block = cipher.update(zero.subarray(0, Math.min(left, zero.length)));
      while (block.length > 0) block = block.subarray(Deno.stdout.writeSync(block));
    }`;
  const words = [Deno.execPath(), "run", "--no-config", "--quiet", "--ext=js"];
  return `${words.map(quoted).join(" ")} - ${bytes} <<<${quoted(script)}`;
}
