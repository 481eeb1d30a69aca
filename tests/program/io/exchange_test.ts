/** Small exchanges through stdin and stdout, whose writes are done at once. */

import { assertEquals } from "@std/assert";
import { randomBytes } from "../../helpers/bytes.ts";
import type { Running } from "../../helpers/process.ts";
import { sockpipe } from "../../helpers/program.ts";
import { accept, rawListener, receive } from "../../helpers/tcp.ts";

const TRIPS = 100;

/**
 * Lets a connected client exchange messages whose sizes all differ, and more of
 * them than it takes until stdout is watched; then `play` goes on.
 */
async function afterExchange(
  play: (client: Running, conn: Deno.TcpConn) => Promise<void>,
): Promise<void> {
  using raw = rawListener();
  await using client = sockpipe(["--connect", `${raw.port}`], {
    stdin: "piped",
  });
  using conn = await accept(raw);
  for (let trip = 1; trip <= TRIPS; trip++) {
    const before = client.stdout.length;
    const message = randomBytes(trip, trip);
    await client.feed(message);
    assertEquals(await receive(conn, trip), message);
    await conn.write(message);
    await client.stdout.atLeast(before + trip);
    assertEquals(client.stdout.bytes().subarray(before), message);
  }
  await play(client, conn);
}

Deno.test("messages and answers of an exchange arrive one after the other, then bulk", async () => {
  await afterExchange(async (client, conn) => {
    const bulk = randomBytes(3_000_000, 7);
    const received = receive(conn);
    await client.feed(bulk);
    await client.endStdin();
    assertEquals(await received, bulk);
    conn.closeWrite();
    assertEquals(await client.code(), 0);
  });
});

Deno.test("messages without an answer in an exchange are passed on at once", async () => {
  await afterExchange(async (client, conn) => {
    for (let message = 0; message < TRIPS; message++) {
      await client.feed("unanswered");
      assertEquals((await receive(conn, 10)).length, 10);
    }
    await client.endStdin();
    assertEquals((await receive(conn)).length, 0);
    conn.closeWrite();
    assertEquals(await client.code(), 0);
  });
});

Deno.test("in the midst of an exchange the peer's end ends stdout, and stdin goes on", async () => {
  await afterExchange(async (client, conn) => {
    conn.closeWrite();
    await client.stdout.ended;
    await client.feed("more");
    assertEquals((await receive(conn, 4)).length, 4);
    await client.endStdin();
    assertEquals(await client.code(), 0);
  });
});

Deno.test("in the midst of an exchange a signal ends it", async () => {
  await afterExchange(async (client) => {
    client.kill("SIGINT");
    assertEquals(await client.code(), 130);
  });
});
