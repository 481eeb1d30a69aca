/** The work of a listener for many: forwarding, broadcast, answers, handshakes, idling. */

import { createHash } from "node:crypto";
import {
  derivedKeyPair,
  SECRET_NAME,
} from "../../lib/tls/derived_certificate.ts";
import { derive, parseSecret } from "../../lib/tls/secret.ts";
import type { HandshakeTask, HandshakeTrust } from "./handshakes.ts";
import {
  BLOCK,
  command,
  DEADLINE_MS,
  explain,
  HELLO,
  LEAST_RATE,
  listeningAll,
  type Of,
  type Pass,
  type Run,
  startBetween,
} from "./contest.ts";
import { accepted, Job, listening, within } from "./jobs.ts";
import type { Contender, Sample } from "./row.ts";
import { equal, patternHash } from "./streams.ts";

export async function relay(work: Of<"relay">, run: Run): Promise<Sample> {
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

export async function broadcast(
  work: Of<"broadcast">,
  run: Run,
): Promise<Sample> {
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

export async function answers(work: Of<"answers">, run: Run): Promise<Sample> {
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
export async function handshakes(
  work: Of<"handshakes">,
  run: Run,
): Promise<Sample> {
  const trust = await trustIn(run);
  const { port } = run;
  const { endsInOrder } = work;
  const threads = Math.min(navigator.hardwareConcurrency, work.parallel);
  const parallel = Math.ceil(work.parallel / threads);
  using clients = await HandshakeClients.start(threads);
  const shakeHands = (connections: number) =>
    clients.run({ ...trust, port, endsInOrder, connections, parallel });
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

/** Finds how clients know a listener that has the benchmark's keys. */
async function trustIn({ contender, place }: Run): Promise<HandshakeTrust> {
  const read = (name: string) => Deno.readTextFile(`${place.folder}/${name}`);
  if (!contender.hasSecret) {
    const authority = await read("ca.pem");
    return { hostname: "127.0.0.1", authority, proof: new Uint8Array() };
  }
  const secret = await parseSecret(await read("secret"));
  const { cert: authority } = await derivedKeyPair(secret);
  const proof = await derive(secret, "dialler");
  return { hostname: SECRET_NAME, authority, proof };
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

export async function idle(work: Of<"idle">, run: Run): Promise<Sample> {
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
