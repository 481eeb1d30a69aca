/** The listening side of a session, with connections that are no sockets. */

import { assert, assertEquals } from "@std/assert";
import { runAcceptor } from "../../../lib/reliable/acceptor.ts";
import type { PeerConnection } from "../../../lib/reliable/frame_connection.ts";
import { LiveSession } from "../../../lib/reliable/live_session.ts";
import { Session } from "../../../lib/reliable/session.ts";
import { BrokenError } from "../../../lib/base/errors.ts";
import { Traffic } from "../../../lib/pipe/traffic.ts";
import { Reporter } from "../../../lib/report/reporter.ts";

/** A connection whose peer never says anything. */
class MuteConnection implements PeerConnection {
  readonly peer = "mute";
  readonly local = "here";
  isClosed = false;
  readonly #closed = Promise.withResolvers<null>();
  readonly source = { read: () => this.#closed.promise };
  readonly sink = {
    write: () => Promise.resolve(),
    end: () => Promise.resolve(),
  };

  constructor() {
    this.#closed.promise.catch(() => {});
  }

  close(): void {
    this.isClosed = true;
    this.#closed.reject(new BrokenError("closed"));
  }

  abort(): void {
    this.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

Deno.test("runAcceptor() keeps 64 mute connections at most, the newest, of a burst too", async () => {
  const over = new AbortController();
  const session = new Session({
    role: "listen",
    window: 1000,
    patienceMs: 0,
    resumeTimeoutMs: 1000,
    digest: false,
  });
  const live = new LiveSession(session, {
    report: new Reporter("quiet", () => {}),
    traffic: new Traffic(),
    runSignal: over.signal,
    onProgress: () => {},
  });
  const connections = Array.from({ length: 300 }, () => new MuteConnection());
  const all = connections.values();
  const accepted = Promise.withResolvers<void>();
  runAcceptor({
    role: "listen",
    acceptTimeoutMs: undefined,
    accept: () => {
      const { value } = all.next();
      if (value !== undefined) return Promise.resolve(value);
      accepted.resolve();
      return new Promise<never>(() => {});
    },
  }, live).catch(accepted.reject);
  await accepted.promise;
  const open = connections.filter(({ isClosed }) => !isClosed);
  assertEquals(open, connections.slice(-64));
  over.abort();
  assert(connections.every(({ isClosed }) => isClosed));
});
