/** Two sessions that are handed to each other, without a connection between them. */

import { concat } from "./bytes.ts";
import { assert } from "@std/assert";
import { type Preface, PrefaceReader } from "../../lib/reliable/preface.ts";
import { Session, type SessionOptions } from "../../lib/reliable/session.ts";
import type { SideName } from "./simulation/plan.ts";
import { otherOf } from "./session_plans.ts";

/** Two sessions that are connected, with the bytes in the test's hands. */
export class Pair {
  readonly connect: Session;
  readonly listen: Session;
  readonly first: Preface;

  constructor(options: Partial<SessionOptions> = {}) {
    this.connect = connectSession(options);
    this.listen = listenSession(options);
    this.first = readPreface(this.connect.preface());
    this.listen.attach(this.first, 0);
    this.connect.attach(readPreface(this.listen.preface()), 0);
  }

  /** Moves everything that one side has to send, and returns it. */
  move(from: SideName, now = 0): Uint8Array {
    const sent: Uint8Array[] = [];
    for (;;) {
      const bytes = this[from].nextToSend(now);
      if (bytes === undefined) return concat(sent);
      sent.push(bytes.slice());
      receive(this[otherOf(from)], bytes, now);
    }
  }

  reconnect(now = 0): void {
    this.connect.lost(now);
    this.listen.attach(readPreface(this.connect.preface()), now);
    this.connect.attach(readPreface(this.listen.preface()), now);
  }
}

export const COMMON = {
  window: 1000,
  patienceMs: 15_000,
  resumeTimeoutMs: 60_000,
  digest: false,
};

export function connectSession(options: Partial<SessionOptions> = {}): Session {
  const id = new Uint8Array(16).fill(7);
  return new Session({ role: "connect", id, ...COMMON, ...options });
}

export function listenSession(options: Partial<SessionOptions> = {}): Session {
  return new Session({ role: "listen", ...COMMON, ...options });
}

export function readPreface(bytes: Uint8Array): Preface {
  const reader = new PrefaceReader();
  reader.room().set(bytes);
  const preface = reader.filled(bytes.length);
  assert(preface !== undefined);
  return preface;
}

export function receive(session: Session, bytes: Uint8Array, now = 0): void {
  let taken = 0;
  while (taken < bytes.length) {
    const room = session.incoming.room();
    const n = Math.min(room.length, bytes.length - taken);
    room.set(bytes.subarray(taken, taken + n));
    session.received(n, now);
    taken += n;
  }
  if (session.incoming.allDelivered) session.incoming.end();
}

export function deliverAll(session: Session, now = 0): Uint8Array {
  const delivered: Uint8Array[] = [];
  for (;;) {
    const bytes = session.incoming.toDeliver();
    if (session.incoming.allDelivered) session.incoming.end();
    if (bytes === undefined) return concat(delivered);
    delivered.push(bytes.slice());
    session.incoming.delivered(bytes.length, now);
  }
}
