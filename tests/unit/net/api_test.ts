import { assert, assertEquals, assertRejects } from "@std/assert";
import { libc } from "../../../lib/base/libc.ts";
import { connect, listen, type Peer } from "../../../lib/net/api.ts";
import { BrokenError } from "../../../lib/base/errors.ts";
import { randomBytes } from "../../helpers/bytes.ts";
import { within } from "../../helpers/deadlines.ts";
import { Folder } from "../../helpers/folder.ts";
import { unixTest } from "../../helpers/descriptors.ts";

// What it opens stays open.
libc();

/** Both ends of a connection. */
async function pair(address = "0"): Promise<[Peer, Peer]> {
  using listener = await listen(address);
  return await Promise.all([connect(listener.address), listener.accept()]);
}

function bodyOf(peer: Peer): Promise<Uint8Array> {
  return new Response(peer.readable).bytes();
}

/** Sends all of it, then ends this side. */
async function send(peer: Peer, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  await new Blob([bytes]).stream().pipeTo(peer.writable);
}

async function assertExchanges(address: string): Promise<void> {
  const [one, other] = await pair(address);
  using _one = one;
  using _other = other;
  const bytes = [randomBytes(3_000_000), randomBytes(1)] as const;
  const [, , there, here] = await Promise.all([
    send(one, bytes[0]),
    send(other, bytes[1]),
    bodyOf(other),
    bodyOf(one),
  ]);
  assert(there.every((byte, at) => byte === bytes[0][at]));
  assertEquals([there.length, here.length], [3_000_000, 1]);
  await within(Promise.all([one.delivered, other.delivered]), "delivered");
  // Nothing is left to be given up.
  one.abort();
  await one.delivered;
}

Deno.test("connect() and listen() move bytes both ways, and tell that they are delivered", async () => {
  for (const address of ["0", "localhost:0", "*:0"]) {
    await assertExchanges(address);
  }
});

unixTest("connect() and listen() take a unix socket", async () => {
  using folder = new Folder();
  await assertExchanges(`unix:${folder.path}/socket`);
});

Deno.test("delivered waits for both ends", async () => {
  const [one, other] = await pair();
  using _one = one;
  using _other = other;
  let isDelivered = false;
  one.delivered.then(() => isDelivered = true);
  await send(one, new Uint8Array(10));
  assertEquals((await bodyOf(other)).length, 10);
  const late = send(other, new Uint8Array(1));
  assert(!isDelivered);
  assertEquals((await bodyOf(one)).length, 1);
  await late;
  await one.delivered;
});

for (
  const [how, giveUp] of [
    ["abort()", (peer) => peer.abort()],
    ["its disposal", (peer) => peer[Symbol.dispose]()],
    ["cancelling readable", (peer) => peer.readable.cancel()],
    ["aborting writable", (peer) => peer.writable.abort()],
  ] satisfies [string, (peer: Peer) => unknown][]
) {
  Deno.test(`${how} is no end to the other side, and nothing is delivered`, async () => {
    const [one, other] = await pair();
    using _other = other;
    await giveUp(one);
    await assertRejects(() => bodyOf(other));
    await assertRejects(() => other.delivered, BrokenError);
    await assertRejects(() => one.delivered, BrokenError, "given up");
  });
}

Deno.test("a listener is iterated, and goes on without those that have left", async () => {
  using listener = await listen("0");
  const clients = [connect(listener.address), connect(listener.address)];
  let count = 0;
  for await (const peer of listener) {
    peer.abort();
    if (++count === clients.length) break;
  }
  for (const client of await Promise.all(clients)) client.abort();
});

Deno.test("connect() says why it cannot, and hears its signal", async () => {
  const listener = await listen("0");
  const { address } = listener;
  listener[Symbol.dispose]();
  await assertRejects(() => connect(address), Deno.errors.ConnectionRefused);
  const signal = AbortSignal.abort(new Error("not now"));
  await assertRejects(() => connect(address, { signal }), Error, "not now");
});
