/** The handshake's limits and the listener's cap, with streams that do no I/O. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  HandshakeCutError,
  RefusedError,
  TimeLimitError,
} from "../../../lib/base/errors.ts";
import { isPlain, type Socket } from "../../../lib/net/socket.ts";
import type { Event } from "../../../lib/report/event.ts";
import { handshake, handshakeAsClient } from "../../../lib/tls/handshake.ts";
import { TlsListener } from "../../../lib/tls/listener.ts";
import type { TlsStream } from "../../../lib/tls/tls.ts";
import { until } from "../../helpers/deadlines.ts";

const ADDRESS = { transport: "tcp", hostname: "192.0.2.1", port: 7 } as const;

/** A stream whose handshake ends when the test says so. */
class FakeStream implements TlsStream {
  readonly localAddr = ADDRESS;
  readonly remoteAddr = ADDRESS;
  readonly secured = Promise.withResolvers<void>();
  readonly refused = Promise.withResolvers<void>();
  calls: string[] = [];

  handshake(): Promise<void> {
    return this.secured.promise;
  }
  refuse(): Promise<void> {
    this.calls.push("refuse");
    return this.refused.promise;
  }
  abort(): void {
    this.calls.push("abort");
  }
  close(): void {
    this.calls.push("close");
  }
  read(): Promise<null> {
    return Promise.reject(new Deno.errors.UnexpectedEof("eof"));
  }
  write(bytes: Uint8Array): Promise<number> {
    return Promise.resolve(bytes.length);
  }
  closeWrite(): Promise<void> {
    return Promise.resolve();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

function start(
  stream: TlsStream,
  {
    signal = new AbortController().signal,
    limitMs = 60_000,
    verifyPeer = pass,
  } = {},
): Promise<Socket> {
  return handshake(stream, {
    signal,
    limitMs,
    limitHint: " (--limit)",
    peer: "peer",
    context: { role: "listen" },
    verifyPeer,
  });
}

function pass(): Promise<void> {
  return Promise.resolve();
}

Deno.test("handshake() hands on a socket whose errors say what they mean", async () => {
  const stream = new FakeStream();
  stream.secured.resolve();
  using socket = await start(stream);
  assert(!isPlain(socket), "nobody may move bytes past it");
  await assertRejects(
    () => socket.read(new Uint8Array(1)),
    Deno.errors.UnexpectedEof,
    "without the close_notify",
  );
  await socket.closeWrite();
  await assertRejects(
    () => socket.write(new Uint8Array(1)),
    Deno.errors.BrokenPipe,
  );
  assertEquals(stream.calls, []);
});

Deno.test("handshake() says the reason alone, after the peer was told", async () => {
  const stream = new FakeStream();
  stream.secured.reject(new Error("received fatal alert: UnknownCA"));
  const result = assertRejects(() => start(stream), RefusedError);
  await until(() => stream.calls.length > 0 || undefined, "the refusal");
  assertEquals(stream.calls, ["refuse"]);
  stream.refused.resolve();
  const { message } = await result;
  assertEquals(message, "it does not trust the CA that signed our certificate");
  assertEquals(stream.calls, ["refuse", "abort"]);
});

Deno.test("handshake() breaks the connection of who is not let in, or speaks no TLS", async () => {
  const refused = new FakeStream();
  refused.secured.resolve();
  const verifyPeer = () => Promise.reject(new RefusedError("no"));
  await assertRejects(() => start(refused, { verifyPeer }), RefusedError, "no");
  const plain = new FakeStream();
  plain.secured.reject(new Error("received corrupt message of type X"));
  await assertRejects(() => start(plain), RefusedError, "not speak TLS");
  assertEquals([refused.calls, plain.calls], [["abort"], ["abort"]]);
});

Deno.test("handshake() closes at once when its time is over, also while it refuses", async () => {
  const mute = new FakeStream();
  const { message } = await assertRejects(
    () => start(mute, { limitMs: 10 }),
    TimeLimitError,
  );
  assertEquals(message, "the handshake took longer than 10ms (--limit)");
  assertEquals(mute.calls, ["abort"]);
  const refused = new FakeStream();
  refused.secured.reject(new Error("peer sent no certificates"));
  await assertRejects(() => start(refused, { limitMs: 10 }), TimeLimitError);
  assertEquals(refused.calls, ["refuse", "abort"]);
});

Deno.test("handshakeAsClient() takes a peer that has reset meanwhile for a handshake that was cut", async () => {
  const start = () => Promise.reject(new Deno.errors.NotConnected("gone"));
  const { message } = await assertRejects(
    () =>
      handshakeAsClient(start, {
        signal: new AbortController().signal,
        limitMs: 60_000,
        peer: "peer",
        context: { role: "connect", secretOption: "--secret-file" },
      }),
    HandshakeCutError,
  );
  assertEquals(
    message,
    'Cannot set up TLS with "peer": the handshake failed: connection reset',
  );
});

Deno.test("handshake() rejects with the signal's reason, an old one at once", async () => {
  const reason = new RefusedError("stopped");
  const controller = new AbortController();
  const stream = new FakeStream();
  const { signal } = controller;
  const result = assertRejects(() => start(stream, { signal }));
  controller.abort(reason);
  assert(await result === reason);
  const late = new FakeStream();
  assert(await assertRejects(() => start(late, { signal })) === reason);
  assertEquals([stream.calls, late.calls], [["abort"], ["abort"]]);
});

/** A TLS listener that is offered `count` clients at once. */
function listenerOf(count: number) {
  const streams = Array.from({ length: count }, () => new FakeStream());
  const said: Event[] = [];
  const coming = [...streams];
  const plain = {
    address: "127.0.0.1:1",
    exposed: false,
    accept: () => {
      const next = coming.shift();
      return next ? Promise.resolve(next) : new Promise<never>(() => {});
    },
    close: () => {},
    [Symbol.dispose]: () => {},
  };
  const server = {
    listenTls: undefined,
    identity: undefined,
    secure: (socket: Socket, signal: AbortSignal) =>
      socket instanceof FakeStream
        ? start(socket, { signal })
        : Promise.reject(new Error("another socket")),
  };
  const report = { say: (event: Event) => said.push(event) };
  return { listener: new TlsListener(plain, server, report), streams, said };
}

Deno.test("in a burst of mute clients 64 handshakes stay, the oldest go, and the next client passes", async () => {
  const { listener, streams, said } = listenerOf(301);
  const accepted = listener.accept();
  await until(() => said.length === 301 - 64 || undefined, "the refusals");
  const open = streams.filter(({ calls }) => calls.length === 0);
  assertEquals(open, streams.slice(-64));
  streams.at(-1)?.secured.resolve();
  using socket = await accepted;
  assertEquals(socket.remoteAddr, ADDRESS);
  assert(said.every((event) => event.event === "handshake-failed"));
  listener.close();
  const others = open.slice(0, -1);
  await until(
    () => others.every(({ calls }) => calls[0] === "abort") || undefined,
    "the end of the others",
  );
});
