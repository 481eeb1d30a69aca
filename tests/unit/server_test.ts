/** acceptOne(): one peer, a limit, a signal, and a listener that is closed. */

import { assertEquals, assertRejects } from "@std/assert";
import { libc } from "../../lib/base/libc.ts";
import { acceptOne } from "../../server.ts";
import { TimeLimitError } from "../../lib/base/errors.ts";
import type { Listener } from "../../lib/net/listener.ts";
import type { Socket } from "../../lib/net/socket.ts";
import { type FakeSocket, fakeSocket } from "../helpers/fake_socket.ts";

// What it opens stays open.
libc();

/** A listener to which a peer comes when a test says so. */
class FakeListener implements Listener {
  readonly address = "127.0.0.1:9";
  readonly exposed = false;
  closed = 0;
  readonly #coming = Promise.withResolvers<Socket>();

  come(): FakeSocket {
    const socket = fakeSocket();
    this.#coming.resolve(socket);
    return socket;
  }

  accept(): Promise<Socket> {
    return this.#coming.promise;
  }

  close(): void {
    this.closed++;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Until all that follows from what has happened has followed. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
}

Deno.test("acceptOne() stops listening once its peer has come", async () => {
  const listener = new FakeListener();
  const { signal } = new AbortController();
  const accepted = acceptOne(listener, { signal, timeoutMs: 60_000 });
  assertEquals(listener.closed, 0);
  const peer = listener.come();
  assertEquals(await accepted, peer);
  assertEquals([listener.closed, peer.closed], [1, 0]);
});

Deno.test("acceptOne() stops listening when nobody has come in time", async () => {
  const listener = new FakeListener();
  const { signal } = new AbortController();
  const accepted = acceptOne(listener, { signal, timeoutMs: 5 });
  await assertRejects(
    () => accepted,
    TimeLimitError,
    'Nobody came to "127.0.0.1:9" within 5ms (--accept-timeout)',
  );
  const late = listener.come();
  await settled();
  assertEquals([listener.closed, late.closed], [1, 1]);
});

Deno.test("acceptOne() stops listening when the signal aborts, or has", async () => {
  for (const before of [true, false]) {
    const listener = new FakeListener();
    const controller = new AbortController();
    const reason = new Error("no more");
    if (before) controller.abort(reason);
    const { signal } = controller;
    const accepted = acceptOne(listener, { signal, timeoutMs: undefined });
    controller.abort(reason);
    assertEquals(await accepted.catch((error) => error), reason);
    assertEquals(listener.closed, 1);
  }
});
