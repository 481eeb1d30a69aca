/**
 * Does the work of a row with one contender, once, and measures it. Everything
 * that is started ends with the run, also when it fails or takes too long.
 */

import { createHash } from "node:crypto";
import type { HandshakeTask } from "./handshakes.ts";
import { formatSecret, newSecret } from "../../lib/tls/secret.ts";
import { accepted, freePort, Job, listening, within } from "./jobs.ts";
import type { Contender, Sample, Work } from "./rows.ts";

/** What any run may take beside its bytes, in ms. */
const DEADLINE_MS = 30_000;
/** Whoever is slower than this has failed, in bytes per ms. */
const LEAST_RATE = 20_000;

const BLOCK = 65536;
const HELLO = "hello\n";

/** What a run leaves behind. */
const RUN_FILES: readonly string[] = [
  "ram/arrived",
  "done",
  "gate",
  "loop",
  "up",
  "down",
  "trips",
  ...["listen", "connect"].flatMap((side) => [
    `${side}.arrived`,
    `${side}.said`,
    `${side}.usage`,
  ]),
];

/** Where the runs take place. */
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

/**
 * Does the work.
 *
 * A `verified` run has the same commands. Its data is the pattern, and what
 * arrives is hashed; its numbers mean nothing.
 *
 * @throws {Error} The contender failed, was too slow, or lost something.
 */
export async function perform(
  work: Work,
  contender: Contender,
  pass: Pass,
  place: Place,
): Promise<Sample> {
  await forget(place, RUN_FILES);
  const run = {
    contender,
    pass,
    place,
    port: freePort(),
    middle: freePort(),
  };
  switch (work.kind) {
    case "stream":
      return await stream(work, run);
    case "trips":
      return await roundTrips(work, run);
    case "start":
      return await start(work, run);
    case "relay":
      return await relay(work, run);
    case "broadcast":
      return await broadcast(work, run);
    case "answers":
      return await answers(work, run);
    case "handshakes":
      return await handshakes(work, run);
    case "idle":
      return await idle(work, run);
  }
}

/** Whether the timed runs of this work show themselves that everything arrives. */
export function verifiesItself(work: Work): boolean {
  return work.kind !== "relay" && work.kind !== "broadcast" &&
    (work.kind !== "stream" || work.ends === "files");
}

interface Run {
  readonly contender: Contender;
  readonly pass: Pass;
  readonly place: Place;
  readonly port: number;
  readonly middle: number;
}

type Of<Kind> = Extract<Work, { kind: Kind }>;

async function stream(work: Of<"stream">, run: Run): Promise<Sample> {
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

type Side = "listen" | "connect";

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

function equal(arrived: string, expected: string): void {
  if (arrived !== expected) {
    throw new Error(`What arrived has the SHA-256 ${arrived}, not ${expected}`);
  }
}

const hashes = new Map<number, Promise<string>>();

/** The hash of the first bytes of the pattern, which is the same in each run. */
function patternHash(bytes: number, place: Place): Promise<string> {
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

async function roundTrips(work: Of<"trips">, run: Run): Promise<Sample> {
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

async function start(work: Of<"start">, run: Run): Promise<Sample> {
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

async function relay(work: Of<"relay">, run: Run): Promise<Sample> {
  const { pass, place, port } = run;
  const bytes = pass === "timed"
    ? work.bytes
    : Math.min(work.bytes, place.patternBytes);
  using target = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using _between = await startBetween(run, target.addr.port);
  const script = command(run, "listen", target.addr.port);
  await using forwarder = new Job(script, place.folder);
  await listeningAll(run, forwarder);
  using open = new Opened();
  const startedAt = performance.now();
  const receiving = target.accept().then((conn) =>
    drain(open.add(conn), pass, bytes)
  );
  const sending = open.connect(port).then((conn) => send(conn, bytes, run));
  const [arrived] = await within(
    Promise.all([receiving, sending]),
    DEADLINE_MS + bytes / LEAST_RATE,
    run.contender.name,
  ).catch(explain(run));
  const seconds = (performance.now() - startedAt) / 1000;
  await check(arrived, bytes, run);
  return { rate: bytes / 1e6 / seconds };
}

/** The connections of a run, which end with it. */
class Opened implements Disposable {
  readonly #conns: Deno.Conn[] = [];

  add<Conn extends Deno.Conn>(conn: Conn): Conn {
    this.#conns.push(conn);
    return conn;
  }

  async connect(port: number): Promise<Deno.TcpConn> {
    return this.add(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  [Symbol.dispose](): void {
    for (const conn of this.#conns) {
      try {
        conn.close();
      } catch (error) {
        if (!(error instanceof Deno.errors.BadResource)) throw error;
      }
    }
  }
}

/** Sends zeros, or the pattern, and the end. */
async function send(
  conn: Deno.TcpConn,
  bytes: number,
  { pass, place }: Run,
): Promise<void> {
  const block = new Uint8Array(16 * BLOCK);
  using file = await Deno.open(`${place.folder}/ram/pattern`);
  for (let left = bytes; left > 0;) {
    let piece = block.subarray(0, Math.min(left, block.length));
    if (pass === "verified") {
      piece = piece.subarray(0, await file.read(piece) ?? 0);
      if (piece.length === 0) throw new Error("The pattern is too short");
    }
    left -= piece.length;
    while (piece.length > 0) piece = piece.subarray(await conn.write(piece));
  }
  await conn.closeWrite();
}

interface Arrived {
  readonly count: number;
  /** Of a verified pass. */
  readonly hash: string | undefined;
}

/**
 * Reads to the end, or to that many bytes if the end is not to be waited for.
 *
 * @param block Where to; nobody else's in a verified pass.
 */
async function drain(
  conn: Deno.Conn,
  pass: Pass,
  bytes: number,
  block = new Uint8Array(16 * BLOCK),
): Promise<Arrived> {
  const hash = pass === "verified" ? createHash("sha256") : undefined;
  let count = 0;
  while (count < bytes) {
    const length = await conn.read(block);
    if (length === null) break;
    hash?.update(block.subarray(0, length));
    count += length;
  }
  return { count, hash: hash?.digest("hex") };
}

async function check(
  { count, hash }: Arrived,
  bytes: number,
  { place }: Run,
): Promise<void> {
  if (count !== bytes) throw new Error(`${count} of ${bytes} bytes arrived`);
  if (hash !== undefined) equal(hash, await patternHash(bytes, place));
}

async function broadcast(work: Of<"broadcast">, run: Run): Promise<Sample> {
  const { pass, place, port, contender } = run;
  const { bytes, clients } = work;
  const file = pass === "timed" ? "/dev/zero" : "ram/pattern";
  // stdin stays open, as some leave when it ends.
  const source =
    `{ mkfifo gate; read -r _ <gate; dd if=${file} bs=${BLOCK} count=${
      bytes / BLOCK
    } status=none; sleep 1000; }`;
  await using server = new Job(
    `${source} | ${command(run, "listen")} >/dev/null`,
    place.folder,
  );
  await listening(port, server, DEADLINE_MS).catch(explain(run));
  using open = new Opened();
  const conns = await connectAll(clients, port, open, contender);
  await accepted(port, clients, server, DEADLINE_MS).catch(explain(run));
  const block = new Uint8Array(4 * BLOCK);
  // One for all that stays in the processor's cache, as the server is measured.
  const blockOf = () => pass === "timed" ? block : block.slice();
  const startedAt = performance.now();
  await Deno.writeTextFile(`${place.folder}/gate`, "\n", { create: false });
  const all = await within(
    Promise.all(conns.map((conn) => drain(conn, pass, bytes, blockOf()))),
    DEADLINE_MS + clients * bytes / LEAST_RATE,
    contender.name,
  ).catch(explain(run));
  const seconds = (performance.now() - startedAt) / 1000;
  for (const arrived of all) await check(arrived, bytes, run);
  return { rate: clients * bytes / 1e6 / seconds };
}

/** One after the other, as a short backlog drops those that come at once. */
async function connectAll(
  count: number,
  port: number,
  open: Opened,
  { name }: Contender,
): Promise<Deno.TcpConn[]> {
  const conns: Deno.TcpConn[] = [];
  while (conns.length < count) {
    conns.push(await within(open.connect(port), DEADLINE_MS, name));
  }
  return conns;
}

async function answers(work: Of<"answers">, run: Run): Promise<Sample> {
  await Deno.writeTextFile(`${run.place.folder}/hello`, HELLO);
  return await serveMany(work, run, async (port, open) => {
    const conn = await open.connect(port);
    // Whoever only sends a file may have ended already. The end comes after the
    // answer, as ncat kills its process when the client has ended.
    await conn.write(new TextEncoder().encode(HELLO)).catch(() => {});
    const { count } = await drain(conn, "timed", HELLO.length);
    conn.close();
    if (count !== HELLO.length) throw new Error(`${count} bytes answered`);
  });
}

/** As many connections come before the time, as the listener is one that stays. */
async function handshakes(work: Of<"handshakes">, run: Run): Promise<Sample> {
  const authority = await Deno.readTextFile(`${run.place.folder}/ca.pem`);
  const { port } = run;
  const threads = Math.min(navigator.hardwareConcurrency, work.parallel);
  const parallel = Math.ceil(work.parallel / threads);
  using clients = await HandshakeClients.start(threads);
  const shakeHands = (connections: number) =>
    clients.run({ port, authority, connections, parallel });
  const { connections = work.connections } = run.contender;
  const each = Math.ceil(connections / threads);
  const seconds = await whileListening(run, async () => {
    await shakeHands(each);
    const startedAt = performance.now();
    await shakeHands(each);
    return (performance.now() - startedAt) / 1000;
  });
  return { answers: each * threads / seconds };
}

/** Workers, each with clients of TLS. */
class HandshakeClients implements Disposable {
  readonly #workers: readonly Worker[];

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers;
  }

  static async start(threads: number): Promise<HandshakeClients> {
    const { href } = new URL("handshakes.ts", import.meta.url);
    const workers = Array.from(
      { length: threads },
      () => new Worker(href, { type: "module" }),
    );
    await Promise.all(workers.map(answerOf));
    return new HandshakeClients(workers);
  }

  /** Lets all do the same. */
  async run(task: HandshakeTask): Promise<void> {
    const answers = this.#workers.map(answerOf);
    for (const worker of this.#workers) worker.postMessage(task);
    await Promise.all(answers);
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker.terminate();
  }
}

/** Waits for the next thing that a Worker says. */
function answerOf(worker: Worker): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  worker.onmessage = () => resolve();
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(event.message));
  };
  return promise;
}

/**
 * Lets several clients connect again and again, and counts. As many come before the
 * time, as the listener is one that stays.
 */
async function serveMany(
  work: Of<"answers">,
  run: Run,
  client: (port: number, open: Opened) => Promise<void>,
): Promise<Sample> {
  using open = new Opened();
  const serve = async (connections: number) => {
    let left = connections;
    const one = async () => {
      while (left-- > 0) await client(run.port, open);
    };
    await Promise.all(Array.from({ length: work.parallel }, one));
  };
  const seconds = await whileListening(run, async () => {
    await serve(work.connections);
    const startedAt = performance.now();
    await serve(work.connections);
    return (performance.now() - startedAt) / 1000;
  });
  return { answers: work.connections / seconds };
}

/** Starts the listener, whose stdin stays open, and does something with it. */
async function whileListening<T>(
  run: Run,
  use: () => Promise<T>,
): Promise<T> {
  const { port, place, contender } = run;
  await using server = new Job(
    `sleep 1000 | ${command(run, "listen")} >/dev/null`,
    place.folder,
  );
  await listening(port, server, DEADLINE_MS).catch(explain(run));
  return await within(use(), DEADLINE_MS * 2, contender.name)
    .catch(explain(run));
}

async function idle(work: Of<"idle">, run: Run): Promise<Sample> {
  const { port, place, contender } = run;
  const { connections } = work;
  await using server = new Job(
    `sleep 1000 | ${command(run, "listen")} >/dev/null`,
    place.folder,
  );
  await listening(port, server, DEADLINE_MS).catch(explain(run));
  using open = new Opened();
  // The first one may load what all of them need.
  await connectAll(1, port, open, contender);
  await accepted(port, 1, server, DEADLINE_MS).catch(explain(run));
  const before = await settledMemory(server);
  await connectAll(connections, port, open, contender);
  await accepted(port, connections + 1, server, DEADLINE_MS)
    .catch(explain(run));
  return { idle: (await settledMemory(server) - before) / connections };
}

/** The memory of a job, in kB, as soon as it grows no more. */
async function settledMemory(job: Job): Promise<number> {
  let memory = await job.memory();
  for (let looks = 0; looks < 20; looks++) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    const now = await job.memory();
    if (Math.abs(now - memory) < memory / 1000) return now;
    memory = now;
  }
  return memory;
}

/** A side's command as the shell takes it, timed if that can be. */
/** Starts the third program of a contender, if it has one. */
async function startBetween(
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
async function listeningAll(run: Run, listener: Job): Promise<void> {
  const { contender, middle, port } = run;
  const own = contender.listen.includes("PORT") ? port : middle;
  await listening(own, listener, DEADLINE_MS).catch(explain(run));
}

function command(
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
async function usage(place: Place, bytes: number): Promise<Sample> {
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
function explain({ place }: Run): (error: unknown) => Promise<never> {
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

async function readOr(place: Place, name: string): Promise<string> {
  return await Deno.readTextFile(`${place.folder}/${name}`).catch(() => "");
}

async function forget(place: Place, names: readonly string[]): Promise<void> {
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
