/** `--broker`: what one client sends goes to the others. */

import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { SOAK, testWith } from "../../helpers/conditions.ts";
import { type Running, shell } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";
import { receive, send } from "../../helpers/tcp.ts";
import { dialAll } from "../../helpers/clients.ts";

/**
 * Waits until all clients of a broker are there: those who came before the last
 * one are when they hear it.
 */
async function here(conns: readonly Deno.Conn[]): Promise<void> {
  const last = conns.at(-1);
  assert(last);
  await send(last, "+\n");
  for (const conn of conns.slice(0, -1)) await receive(conn, 2);
}

/** How long a line of one of many clients is, in bytes. */
const LINE_BYTES = 1000;

const PADDING = new Uint8Array(LINE_BYTES).fill("x".charCodeAt(0));

/** Enough for the number of a client, and of its line. */
const NUMBERS_BYTES = 12;

/** Line after line of one client, each with its own numbers. */
function numberedLines(client: number, count: number): Uint8Array<ArrayBuffer> {
  const lines = new Uint8Array(count * LINE_BYTES);
  for (let line = 0; line < count; line++) {
    const bytes = lines.subarray(line * LINE_BYTES, (line + 1) * LINE_BYTES);
    bytes.set(PADDING);
    new TextEncoder().encodeInto(`${client} ${line} `, bytes);
    bytes[LINE_BYTES - 1] = "\n".charCodeAt(0);
  }
  return lines;
}

/**
 * Reads what others have sent by {@linkcode numberedLines}, until all of it has come.
 *
 * @returns How many lines came of each.
 * @throws When a line is torn, damaged, or not the next one of its client.
 */
async function readNumberedLines(
  conn: Deno.Conn,
  total: number,
): Promise<Map<number, number>> {
  const counts = new Map<number, number>();
  const buffer = new Uint8Array(64 * LINE_BYTES);
  let filled = 0;
  for (let left = total; left > 0;) {
    const count = await conn.read(buffer.subarray(filled));
    assert(count !== null, `${left} lines are missing`);
    filled += count;
    let at = 0;
    for (; at + LINE_BYTES <= filled; at += LINE_BYTES, left--) {
      const line = buffer.subarray(at, at + LINE_BYTES);
      const text = new TextDecoder().decode(line.subarray(0, NUMBERS_BYTES));
      const client = Number(/^\d+/.exec(text)?.[0]);
      const number = counts.get(client) ?? 0;
      counts.set(client, number + 1);
      const head = `${client} ${number} `;
      assert(text.startsWith(head), `${text} is not ${head}`);
      const isWhole = Buffer.compare(
        line.subarray(head.length, -1),
        PADDING.subarray(head.length, -1),
      ) === 0;
      assert(isWhole && line.at(-1) === 0xa, `line ${head}is damaged`);
    }
    buffer.copyWithin(0, at, filled);
    filled -= at;
  }
  return counts;
}

const BROKER_LINES = SOAK ? 1000 : 10;

Deno.test(`100 clients of a broker get ${BROKER_LINES} kB from each of the 99 others, in whole lines`, async () => {
  const count = 100;
  const { server, at: { port } } = await listener([
    "--broker",
    "--lines",
    // They are all read here, so each may be slow.
    "--slow-client=wait",
  ]);
  await using _ = server;
  using conns = await dialAll(port, count);
  await here(conns);
  const received = conns.map((conn) =>
    readNumberedLines(conn, (count - 1) * BROKER_LINES)
  );
  const sent = conns.map(async (conn, i) => {
    const lines = numberedLines(i, BROKER_LINES);
    // In parts that end within lines, which would be torn if they could be.
    for (let at = 0; at < lines.length; at += 3333) {
      await send(conn, lines.subarray(at, at + 3333));
    }
  });
  await Promise.all([...sent, ...received]);
  for (const [i, counts] of (await Promise.all(received)).entries()) {
    const others = [...Array(count).keys()].filter((j) => j !== i);
    assertEquals(
      [...counts].sort(([a], [b]) => a - b),
      others.map((j) => [j, BROKER_LINES]),
      `client ${i}`,
    );
  }
});

testWith(
  ["nc.openbsd", "ncat", "socat"],
  "nc, ncat and socat over IPv4 and IPv6 hear each other through a broker, not themselves",
  async () => {
    await using server = sockpipe([
      "--listen=:0",
      "--broker",
      "--lines",
      "--max-connections=3",
    ]);
    const { port } = await server.listening();
    const commands = [
      `nc.openbsd 127.0.0.1 ${port}`,
      `ncat ::1 ${port}`,
      `socat -t30 - TCP:localhost:${port}`,
    ];
    await using clients = new AsyncDisposableStack();
    const there: Running[] = [];
    for (const command of commands) {
      const client = clients.use(shell(command, [], { stdin: "piped" }));
      there.push(client);
      // It is there when those before it have heard it.
      await client.feed(`${there.length} is there\n`);
      for (const other of there.slice(0, -1)) {
        await other.stdout.match(new RegExp(`${there.length} is there\n`));
      }
    }
    for (const [i, client] of there.entries()) {
      await client.feed(`hello from ${i + 1}\n`);
      for (const other of there) {
        if (other === client) continue;
        await other.stdout.match(new RegExp(`hello from ${i + 1}\n`));
      }
    }
    assertEquals(there.map(({ stdout }) => stdout.text()), [
      "2 is there\n3 is there\nhello from 2\nhello from 3\n",
      "3 is there\nhello from 1\nhello from 3\n",
      "hello from 1\nhello from 2\n",
    ]);
  },
);
