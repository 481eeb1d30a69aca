/**
 * `task demo-resume`: a transfer with `--reliable` over a line that is cut five
 * times before your eyes, without a word and in the midst of it; then one with
 * `--resume`, of which each side is killed once and started again.
 *
 * Exits non-zero unless both sides end with 0 and what arrived has the hash of what
 * was sent.
 */

import { createHash } from "node:crypto";
import { delay } from "@std/async/delay";
import { programCommand } from "../program.ts";

const TOTAL_BYTES = 256 * 1024 * 1024;
const CUTS = 5;
const DEADLINE_MS = 120_000;

const program = await programCommand();
const encoder = new TextEncoder();

function say(who: string, line: string): void {
  const text = `${who.padEnd(7)} | ${line}\n`;
  Deno.stdout.writeSync(encoder.encode(text));
}

/** Starts sockpipe and shows what it says, a line at a time. */
function start(
  side: string,
  args: readonly string[],
  onLine: (line: string) => void = () => {},
): Deno.ChildProcess {
  say(side, `$ sockpipe ${args.join(" ")}`);
  const [executable = "", ...words] = program;
  const child = new Deno.Command(executable, {
    args: [...words, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  showLines(side, child.stderr, onLine);
  return child;
}

async function showLines(
  side: string,
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + new TextDecoder().decode(bytes)).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      say(side, line);
      onLine(line);
    }
  }
}

/** A line to `target` that is cut each time it has carried a part of the whole. */
function startFailingLine(target: number): Deno.TcpListener {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const state = { cuts: 0 };
  const run = async () => {
    for await (const near of listener) {
      const far = await Deno.connect({ hostname: "127.0.0.1", port: target });
      const cut = () => [near, far].forEach(close);
      carry(near, far, () => {
        if (state.cuts === CUTS) return false;
        say("line", `CUT number ${++state.cuts} of ${CUTS}`);
        cut();
        return true;
      });
      carry(far, near, () => false);
    }
  };
  run().catch(() => {});
  return listener;
}

/** Passes bytes on; after each part `onPart` says whether the line was cut. */
async function carry(
  from: Deno.TcpConn,
  to: Deno.TcpConn,
  onPart: () => boolean,
): Promise<void> {
  const part = Math.floor(TOTAL_BYTES / (CUTS + 1));
  const buffer = new Uint8Array(65536);
  let left = part;
  try {
    for (;;) {
      const count = await from.read(buffer);
      if (count === null) break;
      for (let rest = buffer.subarray(0, count); rest.length > 0;) {
        rest = rest.subarray(await to.write(rest));
      }
      left -= count;
      if (left <= 0 && onPart()) return;
    }
    await to.closeWrite();
  } catch {
    close(from);
    close(to);
  }
}

function close(conn: Deno.TcpConn): void {
  try {
    conn.close();
  } catch {
    // The other direction was faster.
  }
}

/** Writes data of which no two blocks are the same; returns its hash. */
async function feed(to: WritableStream<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  const writer = to.getWriter();
  const block = crypto.getRandomValues(new Uint8Array(65536));
  const counter = new DataView(block.buffer);
  for (let sent = 0; sent < TOTAL_BYTES; sent += block.length) {
    counter.setFloat64(0, sent);
    const piece = block.slice();
    hash.update(piece);
    await writer.write(piece);
  }
  await writer.close();
  return hash.digest("hex");
}

async function hashOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of stream) hash.update(bytes);
  return hash.digest("hex");
}

async function demo(): Promise<void> {
  const address = Promise.withResolvers<string>();
  const server = start(
    "listen",
    ["--listen", "0", "--reliable", "-v"],
    (line) => {
      const found = /listening on (\S+)/.exec(line)?.[1];
      if (found !== undefined) address.resolve(found);
    },
  );
  await server.stdin.close();
  const arriving = hashOf(server.stdout);
  using line = startFailingLine(Number((await address.promise).split(":")[1]));
  const client = start("connect", [
    "--connect",
    `127.0.0.1:${line.addr.port}`,
    "--reliable",
    "-v",
  ]);
  const [sent, arrived] = await Promise.all([
    feed(client.stdin),
    arriving,
    hashOf(client.stdout),
  ]);
  const codes = [(await server.status).code, (await client.status).code];
  say(
    "demo",
    `${TOTAL_BYTES / 1024 ** 2} MiB, exit codes ${codes.join(" and ")}`,
  );
  say("demo", `sha256 of what was sent ${sent}`);
  say("demo", `of what arrived         ${arrived}`);
  if (codes.some((code) => code !== 0)) throw new Error("a side failed");
  if (sent !== arrived) throw new Error("the hashes differ");
}

/** A file is sent, one side is killed in the midst of it, and both start again. */
async function demoKill(): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const source = await Deno.create(`${folder}/source`);
    const sent = await feed(source.writable);
    const target = `${folder}/target`;
    for (const victim of ["listen", "connect", undefined] as const) {
      await transfer(`${folder}/source`, target, victim);
    }
    const arrived = await hashOf((await Deno.open(target)).readable);
    say("demo", `sha256 of what was sent ${sent}`);
    say("demo", `of what is in the file  ${arrived}`);
    if (sent !== arrived) throw new Error("the hashes differ");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** @param victim Who is killed once some more of the file is there. */
async function transfer(
  source: string,
  target: string,
  victim: "listen" | "connect" | undefined,
): Promise<void> {
  const args = ["--reliable", "--resume", "--resume-timeout", "1s"];
  const address = Promise.withResolvers<string>();
  const sizeBefore = await sizeOf(`${target}.part`);
  const server = start(
    "listen",
    ["--listen", "0", "--receive-only", ...args, "--output", target],
    (line) => {
      const found = /listening on (\S+)/.exec(line)?.[1];
      if (found !== undefined) address.resolve(found);
    },
  );
  await server.stdin.close();
  const client = start("connect", [
    ...["--connect", await address.promise, "--retry-timeout", "1s"],
    ...args,
  ]);
  const file = await Deno.open(source);
  const feeding = file.readable.pipeTo(client.stdin).catch(() => {});
  const drained = [server, client].map(({ stdout }) => hashOf(stdout));
  if (victim !== undefined) {
    const until = sizeBefore + TOTAL_BYTES / 4;
    while (await sizeOf(`${target}.part`) < until) await delay(5);
    say("demo", `KILL of the side that is to ${victim}, and a new start`);
    (victim === "listen" ? server : client).kill("SIGKILL");
  }
  const codes = [(await server.status).code, (await client.status).code];
  await Promise.all([feeding, ...drained]);
  if (victim !== undefined) return;
  say("demo", `exit codes ${codes.join(" and ")}`);
  if (codes.some((code) => code !== 0)) throw new Error("a side failed");
}

async function sizeOf(path: string): Promise<number> {
  return await Deno.stat(path).then(({ size }) => size, () => 0);
}

const deadline = setTimeout(() => {
  say("demo", "FAILED: it took too long");
  Deno.exit(1);
}, DEADLINE_MS);
try {
  await demo();
  await demoKill();
  say("demo", "Equal: not a byte was lost or came twice.");
} catch (error) {
  say("demo", `FAILED: ${error instanceof Error ? error.message : error}`);
  Deno.exitCode = 1;
} finally {
  clearTimeout(deadline);
}
