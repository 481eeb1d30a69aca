/**
 * `task demo`: the main job on real input, by itself, on one machine.
 *
 * 1. The connecting side is started first and waits for the listener; then both
 *    say "bonjour".
 * 2. A directory tree goes through tar from one process to the other.
 * 3. A few hundred MB of random-looking data, hashed on both sides.
 *
 * Exits non-zero if anything differs.
 */

import { createHash } from "node:crypto";
import { programCommand } from "../program.ts";

const BULK_BYTES = 512 * 1024 * 1024;
const DEADLINE_MS = 120_000;

const program = await programCommand();

/** The names of the two sides, in front of their output. */
type Side = "listen" | "connect";

/** One running sockpipe, whose talk is shown as it comes. */
class Program {
  readonly child: Deno.ChildProcess;
  /** The address it announced. */
  readonly listening: Promise<string>;
  /** Resolves when it has said that it will try again. */
  readonly retrying: Promise<void>;
  readonly #side: Side;
  readonly #talk: Promise<void>;

  constructor(side: Side, args: readonly string[]) {
    this.#side = side;
    const [executable = "", ...words] = program;
    say(side, `$ sockpipe ${args.join(" ")}`);
    this.child = new Deno.Command(executable, {
      args: [...words, ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const listening = Promise.withResolvers<string>();
    this.listening = listening.promise;
    const retrying = Promise.withResolvers<void>();
    this.retrying = retrying.promise;
    this.#talk = this.#showTalk((line) => {
      const address = /listening on (\S+)/.exec(line)?.[1];
      if (address !== undefined) listening.resolve(address);
      if (line.includes("next attempt")) retrying.resolve();
    });
  }

  /** Waits for the end and throws unless the exit code is 0. */
  async end(): Promise<void> {
    const { code } = await this.child.status;
    await this.#talk;
    if (code !== 0) throw new Error(`the ${this.#side} side exited ${code}`);
  }

  async #showTalk(onLine: (line: string) => void): Promise<void> {
    let rest = "";
    const text = this.child.stderr.pipeThrough(new TextDecoderStream());
    for await (const piece of text) {
      const lines = (rest + piece).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        say(this.#side, line);
        onLine(line);
      }
    }
  }
}

/** Shows a line, marked with who says it. */
function say(who: Side | "demo", line: string): void {
  const mark = who === "demo" ? "" : `  ${who.padEnd(7)} | `;
  Deno.stdout.writeSync(new TextEncoder().encode(`${mark}${line}\n`));
}

async function sayBonjour(): Promise<void> {
  say("demo", "\n1. bonjour, both ways; the connecting side is there first");
  const port = freePort();
  const client = new Program("connect", ["--connect", port]);
  const clientHears = textOf(client.child.stdout);
  await writeText(client.child.stdin, "bonjour from the connecting side\n");
  await client.retrying;
  const server = new Program("listen", ["--listen", port]);
  const serverHears = textOf(server.child.stdout);
  await writeText(server.child.stdin, "bonjour from the listening side\n");
  await Promise.all([client.end(), server.end()]);
  check(
    "the listening side heard",
    await serverHears,
    "bonjour from the connecting side\n",
  );
  check(
    "the connecting side heard",
    await clientHears,
    "bonjour from the listening side\n",
  );
}

async function sendDirectory(): Promise<void> {
  say("demo", "\n2. a directory tree through tar");
  const from = new URL("../..", import.meta.url).pathname;
  const to = await Deno.makeTempDir({ prefix: "sockpipe-demo-" });
  try {
    const server = new Program("listen", ["--listen", "0"]);
    await server.child.stdin.close();
    const unpack = tar(["x", "-C", to], { stdin: "piped" });
    const unpacking = server.child.stdout.pipeTo(unpack.stdin);
    const client = new Program("connect", [
      "--connect",
      await server.listening,
    ]);
    const pack = tar(["c", "-C", from, "."], { stdout: "piped" });
    await Promise.all([
      pack.stdout.pipeTo(client.child.stdin),
      textOf(client.child.stdout),
      unpacking,
    ]);
    await Promise.all([client.end(), server.end(), unpack.status]);
    const [sent, arrived] = [await hashTree(from), await hashTree(to)];
    say("demo", `  ${sent.files} files, ${megabytes(sent.bytes)}`);
    check("the tree that arrived", arrived.hash, sent.hash);
  } finally {
    await Deno.remove(to, { recursive: true });
  }
}

function tar(
  args: readonly string[],
  ends: { stdin?: "piped"; stdout?: "piped" },
): Deno.ChildProcess {
  return new Deno.Command("tar", {
    args: [...args],
    stdin: ends.stdin ?? "null",
    stdout: ends.stdout ?? "null",
    stderr: "inherit",
  }).spawn();
}

/** One hash over the names and contents of all files below a folder. */
async function hashTree(
  root: string,
): Promise<{ hash: string; files: number; bytes: number }> {
  const hash = createHash("sha256");
  let files = 0;
  let bytes = 0;
  for (const path of await filesBelow(root, "")) {
    const content = await Deno.readFile(`${root}/${path}`);
    hash.update(path).update(content);
    files++;
    bytes += content.length;
  }
  return { hash: hash.digest("hex"), files, bytes };
}

async function filesBelow(root: string, folder: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const entry of Deno.readDir(`${root}/${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) paths.push(...await filesBelow(root, path));
    if (entry.isFile) paths.push(path);
  }
  return paths.sort();
}

async function sendBulk(): Promise<void> {
  say("demo", `\n3. ${megabytes(BULK_BYTES)}, hashed on both sides`);
  const server = new Program("listen", ["--listen", "0"]);
  await server.child.stdin.close();
  const arriving = hashStream(server.child.stdout);
  const client = new Program("connect", ["--connect", await server.listening]);
  const startedAt = performance.now();
  const [sent, arrived] = await Promise.all([
    feed(client.child.stdin, BULK_BYTES),
    arriving,
    textOf(client.child.stdout),
  ]);
  const seconds = (performance.now() - startedAt) / 1000;
  await Promise.all([client.end(), server.end()]);
  say(
    "demo",
    `  ${seconds.toFixed(2)} s, ${
      megabytes(BULK_BYTES / seconds)
    }/s with the hashing`,
  );
  check("sha256 of what arrived", arrived, sent);
}

/** Writes data that no two blocks of are the same, and hashes it on the way. */
async function feed(
  to: WritableStream<Uint8Array>,
  bytes: number,
): Promise<string> {
  const hash = createHash("sha256");
  const writer = to.getWriter();
  const block = crypto.getRandomValues(new Uint8Array(65536));
  const pattern = new Uint8Array(1024 * 1024);
  for (let at = 0; at < pattern.length; at += block.length) {
    pattern.set(block, at);
  }
  const counter = new DataView(pattern.buffer);
  for (let sent = 0; sent < bytes; sent += pattern.length) {
    counter.setFloat64(0, sent);
    const piece = pattern.slice(0, Math.min(pattern.length, bytes - sent));
    hash.update(piece);
    await writer.write(piece);
  }
  await writer.close();
  return hash.digest("hex");
}

async function hashStream(stream: ReadableStream<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of stream) hash.update(piece);
  return hash.digest("hex");
}

async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  return await new Response(stream).text();
}

async function writeText(
  to: WritableStream<Uint8Array>,
  text: string,
): Promise<void> {
  const writer = to.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
}

/** A port that nobody listens on now; the system does not give it again soon. */
function freePort(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return String(listener.addr.port);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** Shows a comparison, and throws when the two differ. */
function check(what: string, found: string, expected: string): void {
  const same = found === expected;
  say("demo", `  ${same ? "equal " : "DIFFER"} ${what}: ${found.trimEnd()}`);
  if (!same) throw new Error(`${what}: expected ${expected.trimEnd()}`);
}

const deadline = setTimeout(() => {
  say("demo", "the demo took too long");
  Deno.exit(1);
}, DEADLINE_MS);
try {
  await sayBonjour();
  await sendDirectory();
  await sendBulk();
  say("demo", "\nEverything arrived.");
} catch (error) {
  say("demo", `\nFAILED: ${error instanceof Error ? error.message : error}`);
  Deno.exitCode = 1;
} finally {
  clearTimeout(deadline);
}
