/**
 * One of two simulated sides: it does what `docs/protocol.md` says that a driver of
 * a session does, in an order that chance chooses.
 */

import { ConnectError, SockpipeError } from "../../../lib/base/errors.ts";
import { type Preface, PrefaceReader } from "../../../lib/reliable/preface.ts";
import { ABORT_CODE } from "../../../lib/reliable/abort_codes.ts";
import {
  BlockHasher,
  type PrefixComparison,
} from "../../../lib/reliable/held_prefix.ts";
import type { Refusal } from "../../../lib/reliable/handshake.ts";
import type { ProofContext } from "../../../lib/reliable/token.ts";
import { Session } from "../../../lib/reliable/session.ts";
import { drawBytes } from "../seeded.ts";
import type { Socket } from "./connection.ts";
import type { Plan, SideName, SidePlan } from "./plan.ts";

const PATIENCE_MS = 15_000;
const RESUME_TIMEOUT_MS = 60_000;
const RETRY_DELAY_MS = 3_000;
const PREFACE_TIMEOUT_MS = 10_000;

/** What is around a side. */
export interface Surroundings {
  readonly random: () => number;
  /** The time, in ms. */
  readonly now: number;
  /** Some number from 1 to `most`. */
  portion(most: number): number;
  connect(): Socket | "refused" | "unreachable";
}

/** A connection whose prefaces are not complete. */
interface Arriving {
  readonly end: Socket;
  readonly reader: PrefaceReader;
  readonly until: number;
  /** What was sent for the proof of the token. */
  readonly nonce?: Uint8Array;
}

/** One side, with its stdin and stdout. */
export class Side {
  readonly name: SideName;
  readonly plan: SidePlan;
  readonly session: Session;
  readonly stdout: Uint8Array;
  written: number;
  exit: number | undefined;
  error: unknown;
  alive = true;
  readonly #world: Surroundings;
  #taken = 0;
  #ended = false;
  #compared = false;
  #end: Socket | undefined;
  #pending: Uint8Array = new Uint8Array();
  /** Connections that have not begun; a connecting side has at most one. */
  #arriving: Arriving[] = [];
  #dialAt = 0;
  /** All that a side does; at some of it, this one is slow. */
  readonly #actors: readonly { act: () => boolean; slowness: number }[];
  /** For how long it waits for the first connection: as for any other one. */
  readonly #beginTimeoutMs: number;

  constructor(world: Surroundings, name: SideName, plan: Plan, room: number) {
    this.#world = world;
    this.name = name;
    this.plan = plan[name];
    this.#actors = [
      () => this.#readStdin(),
      () => this.#writeStdout(),
      () => this.#read(),
      () => this.#write(),
      () => this.#dial(),
      () => this.#greet(),
      () => this.#look(),
    ].map((act) => ({ act, slowness: 1 - world.random() ** 2 }));
    this.#beginTimeoutMs = plan.resumeTimeoutMs ?? RESUME_TIMEOUT_MS;
    const held = this.plan.held ?? new Uint8Array();
    this.stdout = new Uint8Array(Math.max(room, held.length));
    this.stdout.set(held);
    this.written = held.length;
    const hasher = new BlockHasher();
    hasher.update(held);
    const common = {
      window: this.plan.window,
      patienceMs: PATIENCE_MS,
      resumeTimeoutMs: this.#beginTimeoutMs,
      digest: plan.digest ?? false,
      token: plan.token,
      resumesFiles: plan.resumesFiles ?? false,
      held: hasher.finish(),
    };
    this.session = name === "listen"
      ? new Session({ role: "listen", ...common })
      : new Session({
        role: "connect",
        id: drawBytes(16, world.random),
        ...common,
      });
  }

  /**
   * Does one thing, if it can; which one is chance.
   *
   * @param pace Whether also what this side is slow at is done.
   */
  act(pace: "unhurried" | "eager"): boolean {
    if (!this.alive) return false;
    const { random } = this.#world;
    const first = Math.floor(random() * this.#actors.length);
    for (let i = 0; i < this.#actors.length; i++) {
      const actor = this.#actors[(first + i) % this.#actors.length];
      const ready = pace === "eager" || random() >= (actor?.slowness ?? 0);
      if (ready && actor?.act()) return true;
    }
    return false;
  }

  /** The next moment at which time alone changes something. */
  get wakeAt(): number {
    if (!this.alive) return Infinity;
    const times = this.#arriving.map(({ until }) => until);
    if (this.#end !== undefined) times.push(this.session.wakeAt);
    else if (this.session.begun) times.push(this.session.giveUpAt);
    else times.push(this.#beginTimeoutMs);
    if (this.#mayDial()) times.push(this.#dialAt);
    return Math.min(...times);
  }

  arrive(end: Socket): void {
    const until = this.#world.now + PREFACE_TIMEOUT_MS;
    this.#arriving.push({ end, reader: new PrefaceReader(), until });
  }

  die(): void {
    this.alive = false;
    this.#end?.close();
    for (const { end } of this.#arriving) end.close();
  }

  #leave(exit: number, error?: unknown): true {
    this.exit = exit;
    this.error = error;
    this.die();
    return true;
  }

  /** A failure ends the session, unless all that matters is done. */
  #fail(error: unknown): true {
    if (!(error instanceof SockpipeError)) throw error;
    if (this.session.isDelivered) return this.#lose();
    const abort = this.session.abort(ABORT_CODE.protocol, error.message);
    if (abort && this.#pending.length === 0) this.#end?.send(abort);
    return this.#leave(error.exitCode, error);
  }

  #lose(): true {
    this.#end?.close();
    this.#end = undefined;
    this.#pending = new Uint8Array();
    this.session.lost(this.#world.now);
    this.#dialAt = this.#world.now;
    return this.session.isClosed ? this.#leave(0) : true;
  }

  #readStdin(): boolean {
    const { stdin, dataSize, receiveOnly } = this.plan;
    if (this.#ended) return false;
    const { comparison } = this.session.outgoing;
    if (comparison !== undefined && !this.#compared) {
      return this.#compare(comparison);
    }
    if (this.#taken === stdin.length) {
      if (receiveOnly && !this.session.incoming.complete) return false;
      this.#ended = true;
      this.session.outgoing.end();
      return true;
    }
    const room = this.session.outgoing.reserve(dataSize);
    if (room === undefined) return false;
    const left = stdin.length - this.#taken;
    const inPlace = this.#world.random() < 0.5;
    const most = inPlace ? room.length : dataSize;
    const n = this.#world.portion(Math.min(most, left));
    const bytes = stdin.subarray(this.#taken, this.#taken + n);
    if (inPlace) room.set(bytes);
    this.#taken += this.session.outgoing.accept(
      inPlace ? room.subarray(0, n) : bytes,
    );
    return true;
  }

  #compare(comparison: PrefixComparison): boolean {
    const { stdin } = this.plan;
    const { result } = comparison;
    if (result !== undefined) {
      this.#taken = result.start.offset;
      this.#compared = true;
      return true;
    }
    const room = comparison.room();
    if (room === undefined) return false;
    const most = Math.min(room.length, stdin.length - this.#taken);
    if (most === 0) comparison.end();
    else {
      const n = this.#world.portion(most);
      comparison.take(stdin.subarray(this.#taken, this.#taken + n));
      this.#taken += n;
    }
    return true;
  }

  #writeStdout(): boolean {
    const { stalls, stdoutFailsAt } = this.plan;
    if (stalls && !this.session.outgoing.confirmed) return false;
    const { incoming } = this.session;
    if (incoming.startAt !== undefined) return this.#cutHeld(incoming.startAt);
    if (incoming.allDelivered && !incoming.complete) {
      incoming.end();
      return true;
    }
    const bytes = incoming.toDeliver();
    if (bytes === undefined) return false;
    const n = this.#world.portion(bytes.length);
    if (stdoutFailsAt !== undefined && this.written + n > stdoutFailsAt) {
      const abort = this.session.abort(ABORT_CODE.localIo, "disk full");
      if (abort && this.#pending.length === 0) this.#end?.send(abort);
      return this.#leave(8);
    }
    this.stdout.set(bytes.subarray(0, n), this.written);
    this.written += n;
    this.session.incoming.delivered(n, this.#world.now);
    return true;
  }

  #cutHeld(offset: number): true {
    const hasher = new BlockHasher();
    hasher.update(this.stdout.subarray(0, offset));
    this.written = offset;
    this.session.incoming.continueAt(hasher.finish().end);
    return true;
  }

  #read(): boolean {
    if (this.#end === undefined) return false;
    const room = this.session.incoming.room();
    if (room.length === 0) throw new Error("There is no room to read into");
    const n = this.#end.read(room);
    if (n === undefined) return false;
    if (n === null) return this.#lose();
    try {
      this.session.received(n, this.#world.now);
    } catch (error) {
      return this.#fail(error);
    }
    return true;
  }

  #write(): boolean {
    if (this.#end === undefined) return false;
    if (this.#pending.length === 0) {
      const bytes = this.session.nextToSend(this.#world.now);
      if (bytes === undefined) return this.session.isClosed && this.#lose();
      this.#pending = bytes;
    }
    const n = this.#end.write(this.#pending);
    if (n === null) return this.#lose();
    this.#pending = this.#pending.subarray(n);
    return true;
  }

  #mayDial(): boolean {
    return this.name === "connect" && this.#end === undefined &&
      this.#arriving.length === 0;
  }

  #dial(): boolean {
    if (!this.#mayDial() || this.#world.now < this.#dialAt) return false;
    this.#dialAt = this.#world.now + RETRY_DELAY_MS;
    const end = this.#world.connect();
    if (end === "refused" && this.session.isDelivered) return this.#leave(0);
    if (typeof end === "string") return true;
    end.send(this.session.preface());
    this.arrive(end);
    return true;
  }

  /** Reads prefaces. */
  #greet(): boolean {
    for (const arriving of this.#arriving) {
      const { end, reader, until } = arriving;
      const n = end.read(reader.room());
      if (n === undefined && this.#world.now < until) continue;
      try {
        const preface = n ? reader.filled(n) : undefined;
        if (n && preface === undefined) return true;
        this.#arriving = this.#arriving.filter((a) => a !== arriving);
        if (preface === undefined) end.close();
        else if (
          this.session.handshake.hasToken && arriving.nonce === undefined
        ) {
          this.#askForToken(end, preface);
        } else this.#attach(end, preface, arriving.nonce);
      } catch (error) {
        this.#arriving = this.#arriving.filter((a) => a !== arriving);
        end.close();
        if (error instanceof ConnectError) return true;
        if (this.name === "connect") return this.#fail(error);
      }
      return true;
    }
    return false;
  }

  /** The two prefaces that come first where there is a token. */
  #askForToken(end: Socket, preface: Preface): void {
    const nonce = drawBytes(32, this.#world.random);
    if (this.name === "connect") {
      end.send(this.session.handshake.answer(preface, nonce));
    } else {
      const refusal = this.session.handshake.refusal(preface);
      if (refusal !== undefined) return this.#refuse(end, refusal);
      end.send(this.session.handshake.challenge(nonce));
    }
    const until = this.#world.now + PREFACE_TIMEOUT_MS;
    this.#arriving.push({ end, reader: new PrefaceReader(), until, nonce });
  }

  #attach(end: Socket, preface: Preface, nonce: Uint8Array | undefined): void {
    if (this.name === "listen") {
      const refusal = this.session.handshake.refusal(preface, contextOf(nonce));
      if (refusal !== undefined) return this.#refuse(end, refusal);
      this.#end?.close();
      this.session.attach(preface, this.#world.now, contextOf(nonce));
      this.#pending = this.session.preface();
    } else {
      this.session.attach(preface, this.#world.now, contextOf(nonce));
      this.#pending = new Uint8Array();
    }
    this.#end = end;
  }

  #refuse(end: Socket, { bytes }: Refusal): void {
    end.send(bytes);
    end.close();
  }

  /** Looks at the clock. */
  #look(): boolean {
    const { now } = this.#world;
    if (this.#end !== undefined) {
      return this.session.isSilent(now) && this.#lose();
    }
    if (!this.session.begun) {
      return now >= this.#beginTimeoutMs && this.#leave(5);
    }
    if (now < this.session.giveUpAt) return false;
    try {
      this.session.giveUp();
      return this.#leave(0);
    } catch (error) {
      return this.#leave((error as SockpipeError).exitCode, error);
    }
  }
}

/** The context of a proof, on a connection whose keys nobody looks at. */
function contextOf(nonce: Uint8Array | undefined): Partial<ProofContext> {
  return nonce === undefined ? {} : { nonce, listenerKey: undefined };
}
