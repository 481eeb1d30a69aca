/**
 * What the end-to-end tests share: the program, its peers and shell pipelines as
 * processes, and raw TCP ends in the test itself.
 *
 * Every wait has a deadline, every port comes from the system, and everything
 * that was started is killed when it is disposed of.
 */

import { delay } from "@std/async/delay";
import { programCommand } from "../../scripts/program.ts";

/** The longest that anything may take before a test gives up on it, in ms. */
const DEADLINE_MS = 30_000;

/** Whether a missing peer is a failure and not a reason to skip. */
const CI = Deno.env.get("CI") === "true";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What every process of a test finds in its environment: bin/sockpipe. */
const PROGRAM_ENV = {
  PATH: `${import.meta.dirname}/../bin:${Deno.env.get("PATH")}`,
  SOCKPIPE_COMMAND: (await programCommand()).map(quoted).join(" "),
};

/** A word as the shell reads it back. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** Prints a line of the test run itself, which is no output of a test. */
export function say(text: string): void {
  Deno.stderr.writeSync(encoder.encode(`${text}\n`));
}

/**
 * Waits for a promise, but not for ever.
 *
 * @param what What is waited for, as the error says it.
 * @param ms The deadline; generous, as the machine may be loaded.
 */
export async function within<T>(
  promise: Promise<T>,
  what: string | (() => string),
  ms: number = DEADLINE_MS,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const text = typeof what === "string" ? what : what();
    late.reject(new Error(`Waited ${ms} ms in vain for ${text}`));
  }, ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks again and again until there is an answer. */
export function until<T>(
  ask: () => Promise<T | undefined> | T | undefined,
  what: string,
): Promise<T> {
  let asking = true;
  const answer = async () => {
    while (asking) {
      const found = await ask();
      if (found !== undefined) return found;
      await delay(20);
    }
    throw new Error(`${what} never came`);
  };
  return within(answer(), what).finally(() => asking = false);
}

/** Everything that a stream has brought so far. Read at once, unless held. */
export class Output {
  /** How many bytes have come. */
  length = 0;
  /** When each chunk came, in ms as of `performance.now`. */
  readonly times: number[] = [];
  /** Resolves at the end of the stream; never rejects. */
  readonly ended: Promise<void>;
  readonly #chunks: Uint8Array[] = [];
  readonly #released = Promise.withResolvers<void>();
  readonly #name: string;
  #news = Promise.withResolvers<void>();
  #isEnded = false;

  /**
   * @param options.held Whether to read nothing before {@linkcode release}.
   */
  constructor(
    name: string,
    stream: ReadableStream<Uint8Array>,
    options: { held?: boolean } = {},
  ) {
    this.#name = name;
    if (!options.held) this.release();
    this.ended = this.#readAll(stream);
  }

  /** Starts to read a held stream. */
  release(): void {
    this.#released.resolve();
  }

  async #readAll(stream: ReadableStream<Uint8Array>): Promise<void> {
    await this.#released.promise;
    try {
      for await (const chunk of stream) {
        this.#chunks.push(chunk);
        this.length += chunk.length;
        this.times.push(performance.now());
        this.#tell();
      }
    } finally {
      this.#isEnded = true;
      this.#tell();
    }
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  /** All bytes so far. */
  bytes(): Uint8Array<ArrayBuffer> {
    return concat(this.#chunks);
  }

  /** All text so far. */
  text(): string {
    return decoder.decode(this.bytes());
  }

  /** Waits until at least `length` bytes have come. */
  async atLeast(length: number): Promise<void> {
    await this.#when(
      () => this.length >= length ? true : undefined,
      () => `${length} bytes on ${this.#name}, got ${this.length}`,
    );
  }

  /** Waits until what has come so far matches. */
  match(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#when(
      () => pattern.exec(this.text()) ?? undefined,
      () => `${pattern} on ${this.#name}, got ${JSON.stringify(this.text())}`,
    );
  }

  async #when<T>(
    ask: () => T | undefined,
    what: () => string,
  ): Promise<T> {
    const end = performance.now() + DEADLINE_MS;
    for (;;) {
      const news = this.#news.promise;
      const answer = ask();
      if (answer !== undefined) return answer;
      if (this.#isEnded) throw new Error(`Ended without ${what()}`);
      await within(news, what, Math.max(1, end - performance.now()));
    }
  }
}

/** How a process is started. */
export interface StartOptions {
  /**
   * Where stdin comes from: bytes or text, then its end; `"piped"`, to be
   * written with {@linkcode Running.feed}; or nothing, at its end from the start.
   */
  stdin?: "piped" | "null" | string | Uint8Array;
  /** Redirections as the shell writes them: `<&- 2>/dev/full`. */
  redirect?: string;
  /** Whether stdout is not read before `stdout.release()`. */
  heldStdout?: boolean;
  /** Words that start the program instead of starting it directly. */
  under?: readonly string[];
}

/** A process of the test, with everything it says. Disposing kills it. */
export class Running implements AsyncDisposable {
  readonly pid: number;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array> | undefined;
  readonly #words: readonly string[];

  /** Use {@linkcode sockpipe}, {@linkcode shell} or {@linkcode run}. */
  constructor(words: readonly string[], options: StartOptions = {}) {
    const { stdin = "null", redirect, heldStdout, under = [] } = options;
    this.#words = words;
    const [program, ...args] = redirect === undefined ? [...under, ...words] : [
      ...under,
      "bash",
      "-c",
      `exec "$0" "$@" ${redirect}`,
      ...words,
    ];
    if (program === undefined) throw new Error("There is nothing to run");
    this.#child = new Deno.Command(program, {
      args,
      env: PROGRAM_ENV,
      // A session of its own: what the process starts can be killed with it.
      detached: true,
      stdin: stdin === "null" ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.stdout = new Output("stdout", this.#child.stdout, {
      held: heldStdout ?? false,
    });
    this.stderr = new Output("stderr", this.#child.stderr);
    if (stdin !== "null") this.#stdin = this.#child.stdin.getWriter();
    this.#stdin?.closed.catch(() => {});
    if (stdin !== "null" && stdin !== "piped") this.#feedAll(stdin);
  }

  async #feedAll(data: string | Uint8Array): Promise<void> {
    try {
      await this.feed(data);
      await this.endStdin();
    } catch {
      // The process has gone before it read everything; its exit code tells.
    }
  }

  /** Writes to stdin; resolves when the pipe has taken all of it. */
  async feed(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    for (let start = 0; start < bytes.length; start += 65536) {
      await this.#stdin?.write(bytes.subarray(start, start + 65536));
    }
  }

  /** Ends stdin. */
  async endStdin(): Promise<void> {
    await this.#stdin?.close();
  }

  /** Waits for the address that a listener announces. */
  async listening(): Promise<Announced> {
    const [, address = ""] = await this.stderr.match(
      /^sockpipe: listening on (\S+)/m,
    );
    return { address, port: Number(/:(\d+)$/.exec(address)?.[1]) };
  }

  /** Waits for text on stderr. */
  said(pattern: RegExp): Promise<RegExpExecArray> {
    return this.stderr.match(pattern);
  }

  /**
   * Waits for the end of the process and of all that it wrote.
   *
   * @returns The exit code; 128 + the number of a signal that killed it.
   */
  async code(ms: number = DEADLINE_MS): Promise<number> {
    const ended = Promise.all([
      this.#child.status,
      this.stdout.ended,
      this.stderr.ended,
    ]);
    const [status] = await within(
      ended,
      () =>
        `the end of ${this.#words.join(" ")}; stderr: ${
          JSON.stringify(this.stderr.text())
        }`,
      ms,
    );
    return status.code;
  }

  /** Waits for the end; everything at once for comparing. */
  async result(): Promise<{ code: number; stdout: string; stderr: string }> {
    const code = await this.code();
    return { code, stdout: this.stdout.text(), stderr: this.stderr.text() };
  }

  /** Sends a signal to the process alone. */
  kill(signal: Deno.Signal): void {
    Deno.kill(this.pid, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#killAll();
    this.stdout.release();
    await this.#child.status;
    await this.#stdin?.abort().catch(() => {});
    await Promise.all([this.stdout.ended, this.stderr.ended]);
  }

  /** Also what a shell has left behind, as long as any of it lives. */
  #killAll(): void {
    try {
      Deno.kill(-this.pid, "SIGKILL");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** What a listener says of itself. */
export interface Announced {
  /** As it would be given to `--connect`. */
  readonly address: string;
  /** `NaN` for a unix socket. */
  readonly port: number;
}

/** Starts the program. */
export function sockpipe(
  args: readonly string[],
  options?: StartOptions,
): Running {
  return new Running(["sockpipe", ...args], options);
}

/**
 * Starts a shell pipeline, in which `sockpipe` is the program.
 *
 * @param args What the script sees as `$1`, `$2`, …
 */
export function shell(
  script: string,
  args: readonly (string | number)[] = [],
  options?: StartOptions,
): Running {
  return new Running(
    ["bash", "-c", script, "bash", ...args.map(String)],
    options,
  );
}

/** Starts any other program: a peer. */
export function run(words: readonly string[], options?: StartOptions): Running {
  return new Running(words, options);
}

/** Starts a listener and tells where it listens. */
export async function listener(
  args: readonly string[] = [],
  options?: StartOptions,
): Promise<{ server: Running; at: Announced }> {
  const server = sockpipe(["--listen", "0", ...args], options);
  return { server, at: await server.listening() };
}

/** The TCP port on which a process listens, whatever it says about it. */
export function listeningPort(process: Running): Promise<number> {
  return until(async () => {
    const inodes = await socketsOf(process.pid);
    for (const family of ["tcp", "tcp6"]) {
      const table = await Deno.readTextFile(`/proc/net/${family}`);
      for (const line of table.trim().split("\n")) {
        const [, local = "", , state, , , , , , inode = ""] = line.trim()
          .split(/ +/);
        if (state !== "0A" || !inodes.has(inode)) continue;
        return Number.parseInt(local.split(":")[1] ?? "", 16);
      }
    }
  }, "a listening port");
}

/** The inodes of the sockets that a process has; none when it has gone. */
async function socketsOf(pid: number): Promise<Set<string>> {
  const inodes = new Set<string>();
  const folder = `/proc/${pid}/fd`;
  try {
    for await (const { name } of Deno.readDir(folder)) {
      const [, inode] =
        /^socket:\[(\d+)\]$/.exec(await Deno.readLink(`${folder}/${name}`)) ??
          [];
      if (inode !== undefined) inodes.add(inode);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return inodes;
}

const installed = new Map<string, boolean>();

function isInstalled(program: string): boolean {
  const known = installed.get(program);
  if (known !== undefined) return known;
  const { success } = new Deno.Command("sh", {
    args: ["-c", `command -v ${program} || test -e ${program}`],
    stdout: "null",
    stderr: "null",
  }).outputSync();
  installed.set(program, success);
  return success;
}

/**
 * A test that needs programs from elsewhere, or paths that only some systems
 * have: `/proc` stands for Linux and its tools. Without them it is skipped with a
 * statement, and fails where CI is `true`.
 */
export function testWith(
  programs: readonly string[],
  name: string,
  fn: () => Promise<void>,
): void {
  const missing = programs.filter((program) => !isInstalled(program));
  if (missing.length > 0 && CI) {
    const needs = `This test needs ${missing.join(", ")}`;
    Deno.test(name, () => Promise.reject(new Error(needs)));
    return;
  }
  const ignore = missing.length > 0;
  if (ignore) say(`skipped, as ${missing.join(", ")} is missing: ${name}`);
  Deno.test({ name, ignore, fn });
}

/** A listener in the test itself, on a port of its own. */
export function rawListener(): Deno.TcpListener & { readonly port: number } {
  const raw = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return Object.assign(raw, { port: raw.addr.port });
}

/** Waits for the program at a raw listener. */
export function accept(raw: Deno.TcpListener): Promise<Deno.TcpConn> {
  return within(raw.accept(), "a connection");
}

/** Connects to a listener that has announced itself. */
export function dial(port: number): Promise<Deno.TcpConn> {
  const hostname = "127.0.0.1";
  return within(Deno.connect({ hostname, port }), "a connection");
}

/** A port on which nothing listens: the system's choice of a moment ago. */
export function closedPort(): number {
  using raw = rawListener();
  return raw.port;
}

/** Writes all bytes to a raw end. */
export async function send(
  conn: Deno.Conn,
  data: string | Uint8Array,
): Promise<void> {
  let bytes = typeof data === "string" ? encoder.encode(data) : data;
  while (bytes.length > 0) {
    bytes = bytes.subarray(
      await within(conn.write(bytes.subarray(0, 65536)), "the peer to read"),
    );
  }
}

/** Reads from a raw end until its end, or until `length` bytes have come. */
export async function receive(
  conn: Deno.Conn,
  length = Infinity,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let left = length;
  while (left > 0) {
    const chunk = new Uint8Array(Math.min(left, 65536));
    const count = await within(conn.read(chunk), "bytes or an end");
    if (count === null) break;
    left -= count;
    chunks.push(chunk.subarray(0, count));
  }
  return concat(chunks);
}

/** Like {@linkcode receive}, as text. */
export async function receiveText(
  conn: Deno.Conn,
  length?: number,
): Promise<string> {
  return decoder.decode(await receive(conn, length));
}

/**
 * Starts a peer that sends zeros, reads one byte and then does nothing. Killed,
 * it resets the connection if it has been sent more than that byte: a socket that
 * is closed with unread bytes is reset (RFC 2525, section 2.17). Not done in the
 * test itself since closing a connection in Deno ends its sending side first.
 *
 * @param options.dialing A port to connect to, instead of listening.
 */
export async function resettingPeer(
  options: { sends: number; dialing?: number },
): Promise<Running & { port: number }> {
  const peer = evaluate(
    `const [sends, dialing] = Deno.args.map(Number);
    const raw = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    console.log("port", raw.addr.port);
    const conn = dialing
      ? await Deno.connect({ hostname: "127.0.0.1", port: dialing })
      : await raw.accept();
    await new Blob([new Uint8Array(sends)]).stream().pipeTo(conn.writable, { preventClose: true });
    await conn.read(new Uint8Array(1));
    console.log("ready");
    setInterval(() => {}, 1000);`,
    [options.sends, options.dialing ?? 0],
  );
  const [, port] = await peer.stdout.match(/port (\d+)\n/);
  return Object.assign(peer, { port: Number(port) });
}

/**
 * Starts a listener that answers nothing: its queue is full, so that the kernel
 * drops every further SYN (listen(2)).
 */
export async function blackHole(): Promise<Running & { port: number }> {
  const hole = evaluate(
    `const raw = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
    const { port } = raw.addr;
    const full = () => new Promise((resolve) => setTimeout(resolve, 500, "full"));
    while (await Promise.race([Deno.connect({ port }), full()]) !== "full");
    console.log("full", port);
    setInterval(() => {}, 1000);`,
  );
  const [, port] = await hole.stdout.match(/full (\d+)\n/);
  return Object.assign(hole, { port: Number(port) });
}

/** Starts a few lines of JavaScript in a process of their own. */
function evaluate(code: string, args: readonly number[] = []): Running {
  const words = ["run", "-A", "--no-config", "--ext=js", "-"];
  return run([Deno.execPath(), ...words, ...args.map(String)], { stdin: code });
}

/**
 * Bytes that look random and are the same in each run.
 *
 * @param seed Not 0.
 */
export function randomBytes(
  length: number,
  seed = 1,
): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed;
  for (let i = 0; i < words.length; i++) {
    // xorshift32 (Marsaglia 2003)
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}

/** The SHA-256 of bytes, in hex. */
export async function sha256(
  bytes: Uint8Array<ArrayBuffer>,
): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return [...new Uint8Array(digest)]
    .map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function concat(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** A folder for the files of one test. */
export class Folder implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "sockpipe-test-" });

  /** What is in the folder. */
  names(): string[] {
    return [...Deno.readDirSync(this.path)].map(({ name }) => name);
  }

  /** Removes the folder with all that is in it. */
  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** A CA, and a certificate of it for localhost, made by openssl. */
export async function certificates(): Promise<Folder> {
  const folder = new Folder();
  const script = `cd "$1"
    new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "$@"; }
    new -x509 -keyout ca.key -out ca.crt -days 3 -subj /CN=ca
    new -keyout server.key -out server.csr -subj /CN=localhost
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > names
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt`;
  await using made = run(["bash", "-c", script, "bash", folder.path]);
  if (await made.code() !== 0) throw new Error(made.stderr.text());
  return folder;
}
