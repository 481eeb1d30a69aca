/**
 * Measures what sockpipe adds to the start of an empty program that was compiled
 * with the same runtime:
 *
 *     task compile && task startup
 *
 * The programs take turns, so that a change of the machine's load meets all of
 * them, and medians are compared. Exits 1 when one takes {@linkcode LIMIT} times
 * as long as the empty program, or longer.
 */

import { fileURLToPath } from "node:url";
import { compile, stage } from "../release/compile.ts";

const LIMIT = 1.5;
const ROUNDS = 41;
const MESSAGE = "bonjour";

/** A program to start, and how long its starts took, in milliseconds. */
interface Candidate {
  readonly name: string;
  readonly words: readonly [string, ...string[]];
  readonly times: number[];
}

/** Takes every connection, reads it to its end, and counts the bytes. */
class Sink implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  received = 0;

  constructor() {
    this.#serve();
  }

  get address(): string {
    return `127.0.0.1:${this.#listener.addr.port}`;
  }

  async #serve(): Promise<void> {
    for await (const conn of this.#listener) {
      for await (const chunk of conn.readable) this.received += chunk.length;
    }
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }
}

/** Compiles a program that does nothing; the folder is the caller's to remove. */
async function compileEmpty(tree: URL): Promise<string> {
  await Deno.writeTextFile(new URL("empty.ts", tree), "");
  const output = new URL(
    Deno.build.os === "windows" ? "empty.exe" : "empty",
    tree,
  );
  await compile({ tree, entry: "empty.ts", output });
  return fileURLToPath(output);
}

async function start({ words, times }: Candidate): Promise<void> {
  const [program, ...args] = words;
  const startedAt = performance.now();
  const { code } = await new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn().status;
  times.push(performance.now() - startedAt);
  if (code !== 0) throw new Error(`"${words.join(" ")}" ended with ${code}`);
}

async function measure(candidates: readonly Candidate[]): Promise<void> {
  for (const candidate of candidates) await start(candidate);
  for (const { times } of candidates) times.length = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const candidate of candidates) await start(candidate);
  }
}

function median(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

/** Prints the medians; tells whether all stay under the limit. */
function compare(empty: Candidate, others: readonly Candidate[]): boolean {
  const base = median(empty.times);
  print(`${empty.name.padEnd(22)} ${base.toFixed(1)} ms`);
  const ratios = others.map(({ name, times }) => {
    const ratio = median(times) / base;
    print(
      `${name.padEnd(22)} ${median(times).toFixed(1)} ms, ${
        ratio.toFixed(2)
      } times the empty program`,
    );
    return ratio;
  });
  return ratios.every((ratio) => ratio < LIMIT);
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

async function main(): Promise<number> {
  const suffix = Deno.build.os === "windows" ? ".exe" : "";
  const program = fileURLToPath(
    new URL(`../../dist/sockpipe${suffix}`, import.meta.url),
  );
  const tree = await stage();
  try {
    using sink = new Sink();
    const connect = ["--connect", sink.address, "--message", MESSAGE];
    const empty: Candidate = {
      name: "empty program",
      words: [await compileEmpty(tree)],
      times: [],
    };
    const others: Candidate[] = [
      { name: "--version", words: [program, "--version"], times: [] },
      { name: "--connect --message", words: [program, ...connect], times: [] },
    ];
    await measure([empty, ...others]);
    const expected = (ROUNDS + 1) * MESSAGE.length;
    if (sink.received !== expected) {
      throw new Error(`${sink.received} bytes came, not ${expected}`);
    }
    return compare(empty, others) ? 0 : 1;
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main());
