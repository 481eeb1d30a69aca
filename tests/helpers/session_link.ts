/**
 * Two sessions and a line between them, without a network and without a clock:
 * everything that happens is chosen by a seeded generator, and time passes only
 * when nothing else can happen.
 *
 * The two sides do what `docs/protocol.md` says a driver does. The line is harsher
 * than TCP may be: it passes bytes in any portions and at any pace, breaks at the
 * byte it is told to, with or without what was under way, and with or without
 * telling anybody.
 */

import { ConnectError, SockpipeError } from "../../lib/base/errors.ts";
import {
  encodePreface,
  type Preface,
  PrefaceReader,
  ROLE,
} from "../../lib/reliable/preface.ts";
import { ABORT_CODE } from "../../lib/reliable/abort_codes.ts";
import {
  BlockHasher,
  type PrefixComparison,
} from "../../lib/reliable/held_prefix.ts";
import type { Refusal } from "../../lib/reliable/handshake.ts";
import type { ProofContext } from "../../lib/reliable/token.ts";
import { Session } from "../../lib/reliable/session.ts";

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Bytes that look like nothing in particular. */
export function randomBytes(length: number, random: () => number): Uint8Array {
  return new Uint8Array(length).map(() => random() * 256);
}

/** How a connection breaks. */
export interface Cut {
  /** Whether bytes that are under way still arrive. */
  readonly flush: boolean;
  /** Whether nobody is told: only silence shows it. */
  readonly silent: boolean;
}

/** What happens when so many bytes have passed to one side, over all connections. */
export interface Incident extends Cut {
  readonly to: SideName;
  readonly at: number;
  /** Who dies, besides the connection. */
  readonly kill?: SideName;
  /** For how long nobody can connect afterwards, in ms. */
  readonly outageMs?: number;
}

export type SideName = "connect" | "listen";

export interface SidePlan {
  readonly stdin: Uint8Array;
  readonly window: number;
  readonly dataSize: number;
  /** Sends nothing, and ends its stream when the peer's is complete. */
  readonly receiveOnly?: boolean;
  /** What an earlier run has left of the other side's stdin, right or wrong. */
  readonly held?: Uint8Array;
  /** Does not write to stdout before its own stream is confirmed. */
  readonly stalls?: boolean;
  /** stdout fails after so many bytes. */
  readonly stdoutFailsAt?: number;
}

export interface Plan {
  readonly seed: number;
  readonly connect: SidePlan;
  readonly listen: SidePlan;
  readonly digest?: boolean;
  readonly token?: Uint8Array;
  readonly resumesFiles?: boolean;
  /** In ms; 60 s when not given. */
  readonly resumeTimeoutMs?: number;
  readonly incidents?: readonly Incident[];
  /** How many connections that are no business of the session come, too. */
  readonly strangers?: number;
}

export interface Outcome {
  readonly connect: SideOutcome;
  readonly listen: SideOutcome;
  /** Bytes that passed to each side. */
  readonly passed: Record<SideName, number>;
  readonly connections: number;
  /** Milliseconds on the clock that nobody waited for. */
  readonly elapsedMs: number;
}

export interface SideOutcome {
  /** `undefined` for a side that was killed. */
  readonly exit: number | undefined;
  readonly error: unknown;
  readonly stdout: Uint8Array;
}

const PATIENCE_MS = 15_000;
const RESUME_TIMEOUT_MS = 60_000;
const RETRY_DELAY_MS = 3_000;
const PREFACE_TIMEOUT_MS = 10_000;
const MAX_STEPS = 400_000;

/** Plays a plan to its end. @throws {Error} It does not end. */
export function play(plan: Plan): Outcome {
  return new World(plan).run();
}

/** One direction of a connection. */
class Pipe {
  readonly to: SideName;
  /** What is under way is in the middle: copying all of it at each step is slow. */
  #bytes = new Uint8Array(256);
  #start = 0;
  #end = 0;
  /** The writing end is closed: the reader sees the end after the last byte. */
  ended = false;
  /** The reading end is closed: the writer sees an error. */
  refused = false;
  /** Takes everything and passes nothing. */
  silent = false;

  constructor(to: SideName) {
    this.to = to;
  }

  get length(): number {
    return this.silent ? 0 : this.#end - this.#start;
  }

  write(bytes: Uint8Array): void {
    if (bytes.length > this.#bytes.length - this.#end) this.#makeRoom(bytes);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  #makeRoom({ length }: Uint8Array): void {
    const rest = this.#bytes.subarray(this.#start, this.#end);
    this.#bytes = new Uint8Array(2 * (rest.length + length));
    this.#bytes.set(rest);
    this.#start = 0;
    this.#end = rest.length;
  }

  read(into: Uint8Array): number {
    const n = Math.min(into.length, this.length);
    into.set(this.#bytes.subarray(this.#start, this.#start + n));
    this.#start += n;
    return n;
  }

  clear(): void {
    this.#start = this.#end = 0;
  }
}

class Connection {
  readonly toConnect: Pipe = new Pipe("connect");
  readonly toListen: Pipe = new Pipe("listen");

  break({ flush, silent }: Cut): void {
    for (const pipe of [this.toConnect, this.toListen]) {
      if (!flush) pipe.clear();
      if (silent) {
        pipe.silent = true;
      } else {
        pipe.ended = true;
        pipe.refused = true;
      }
    }
  }
}

/** One end of a connection, as a socket: closing it may reset the connection. */
class End {
  readonly #in: Pipe;
  readonly #out: Pipe;
  readonly #world: World;

  constructor(world: World, incoming: Pipe, outgoing: Pipe) {
    this.#world = world;
    this.#in = incoming;
    this.#out = outgoing;
  }

  /** @returns How many bytes, `null` at the end, `undefined` when none are there now. */
  read(into: Uint8Array): number | null | undefined {
    if (this.#in.length === 0) {
      return this.#in.ended && !this.#in.silent ? null : undefined;
    }
    const most = this.#world.portion(Math.min(into.length, this.#in.length));
    const n = Math.min(most, this.#world.untilIncident(this.#in.to));
    const read = this.#in.read(into.subarray(0, n));
    this.#world.passed(this.#in.to, read);
    return read;
  }

  /** @returns How many bytes were taken, or `null` when the connection is gone. */
  write(bytes: Uint8Array): number | null {
    if (this.#out.silent) return bytes.length;
    if (this.#out.refused) {
      // The reset that answers destroys what was under way to us.
      this.#in.clear();
      this.#in.ended = true;
      return null;
    }
    const n = this.#world.portion(bytes.length);
    this.#out.write(bytes.subarray(0, n));
    return n;
  }

  /** Writes all of it at once, or nothing if the connection is gone. */
  send(bytes: Uint8Array): void {
    if (!this.#out.refused) this.#out.write(bytes);
  }

  close(): void {
    if (this.#in.length > 0) this.#out.clear();
    this.#out.ended = true;
    this.#in.refused = true;
    this.#in.clear();
  }
}

/** A connection whose prefaces are not complete. */
interface Arriving {
  readonly end: End;
  readonly reader: PrefaceReader;
  readonly until: number;
  /** What was sent for the proof of the token. */
  readonly nonce?: Uint8Array;
}

class Side {
  readonly name: SideName;
  readonly plan: SidePlan;
  readonly session: Session;
  readonly stdout: Uint8Array;
  written: number;
  exit: number | undefined;
  error: unknown;
  alive = true;
  readonly #world: World;
  #taken = 0;
  #ended = false;
  #compared = false;
  #end: End | undefined;
  #pending: Uint8Array = new Uint8Array();
  /** Connections that have not begun; a connecting side has at most one. */
  #arriving: Arriving[] = [];
  #dialAt = 0;
  /** All that a side does; at some of it, this one is slow. */
  readonly #actors: readonly { act: () => boolean; slowness: number }[];
  /** For how long it waits for the first connection: as for any other one. */
  readonly #beginTimeoutMs: number;

  constructor(world: World, name: SideName, plan: Plan, room: number) {
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
        id: randomBytes(16, world.random),
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

  arrive(end: End): void {
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
    if (this.session.done) return this.#lose();
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
    return this.session.finished ? this.#leave(0) : true;
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
      if (bytes === undefined) return this.session.finished && this.#lose();
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
    if (end === "refused" && this.session.done) return this.#leave(0);
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
  #askForToken(end: End, preface: Preface): void {
    const nonce = randomBytes(32, this.#world.random);
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

  #attach(end: End, preface: Preface, nonce: Uint8Array | undefined): void {
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

  #refuse(end: End, { bytes }: Refusal): void {
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

class World {
  readonly random: () => number;
  now = 0;
  readonly #plan: Plan;
  readonly #sides: Record<SideName, Side>;
  readonly #passed: Record<SideName, number> = { connect: 0, listen: 0 };
  readonly #incidents: Incident[];
  /** How large portions are at most, in this run. */
  readonly #grain: number;
  #connections = 0;
  #current: Connection | undefined;
  #noConnectionBefore = 0;
  #strangers: number;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.random = seeded(plan.seed);
    this.#grain = 2 ** Math.floor(this.random() * 16);
    this.#incidents = [...plan.incidents ?? []];
    this.#strangers = plan.strangers ?? 0;
    const { connect, listen } = plan;
    this.#sides = {
      connect: new Side(this, "connect", plan, listen.stdin.length),
      listen: new Side(this, "listen", plan, connect.stdin.length),
    };
  }

  run(): Outcome {
    const sides = Object.values(this.#sides);
    for (let step = 0; sides.some((side) => side.alive); step++) {
      if (step > MAX_STEPS) throw new Error("It does not end");
      const first = this.random() < 0.5 ? 0 : 1;
      if (this.#strangers > 0 && this.random() < 0.05) this.#sendStranger();
      const inOrder = first === 0 ? sides : sides.toReversed();
      const acted = inOrder.some((side) => side.act("unhurried")) ||
        inOrder.some((side) => side.act("eager"));
      if (acted) continue;
      const next = Math.min(...sides.map((side) => side.wakeAt));
      if (next === Infinity) throw new Error("Both wait for ever");
      this.now = Math.max(next, this.now + 1);
    }
    const { connect, listen } = this.#sides;
    return {
      connect: outcomeOf(connect),
      listen: outcomeOf(listen),
      passed: this.#passed,
      connections: this.#connections,
      elapsedMs: this.now,
    };
  }

  /** Some number from 1 to `most`. */
  portion(most: number): number {
    return 1 + Math.floor(this.random() * Math.min(most, this.#grain));
  }

  /** How many bytes may pass to a side before something happens. */
  untilIncident(to: SideName): number {
    const at = this.#incidents
      .filter((incident) => incident.to === to)
      .map((incident) => incident.at - this.#passed[to])
      .filter((n) => n > 0);
    return Math.min(...at);
  }

  passed(to: SideName, bytes: number): void {
    this.#passed[to] += bytes;
    this.#happen();
  }

  connect(): End | "refused" | "unreachable" {
    if (this.now < this.#noConnectionBefore) return "unreachable";
    if (!this.#sides.listen.alive) return "refused";
    const connection = new Connection();
    this.#current = connection;
    this.#connections++;
    const { toConnect, toListen } = connection;
    this.#sides.listen.arrive(new End(this, toListen, toConnect));
    const end = new End(this, toConnect, toListen);
    // An incident at 0 breaks the first connection before any byte.
    this.#happen();
    return end;
  }

  #happen(): void {
    for (const incident of [...this.#incidents]) {
      if (this.#passed[incident.to] < incident.at) continue;
      this.#incidents.splice(this.#incidents.indexOf(incident), 1);
      if (incident.kill) this.#sides[incident.kill].die();
      this.#current?.break(incident);
      this.#noConnectionBefore = this.now + (incident.outageMs ?? 0);
    }
  }

  /** Somebody else, who is to be refused or ignored. */
  #sendStranger(): void {
    if (!this.#sides.listen.alive || !this.#sides.listen.session.begun) return;
    this.#strangers--;
    const toListen = new Pipe("listen");
    const toStranger = new Pipe("connect");
    this.#sides.listen.arrive(new StrangerEnd(this, toListen, toStranger));
    const kind = Math.floor(this.random() * 4);
    if (kind === 0) toListen.write(randomBytes(80, this.random));
    if (kind >= 2) {
      const { digest, token, resumesFiles } = this.#plan;
      const preface = {
        version: 1,
        role: ROLE.connect,
        flags: (kind & 1) | (digest ? 2 : 0) | (token ? 4 : 0) |
          (resumesFiles ? 24 : 0),
        id: randomBytes(16, this.random),
        received: 0,
        checksum: 0,
        window: 1000,
        patienceMs: 1000,
        additions: new Uint8Array(),
      };
      toListen.write(encodePreface(preface));
      const additions = randomBytes(64, this.random);
      toListen.write(encodePreface({ ...preface, additions }));
    }
    if (this.random() < 0.5) toListen.ended = true;
  }
}

/** Its bytes are not counted: incidents are about the session's connections. */
class StrangerEnd extends End {
  readonly #pipe: Pipe;

  constructor(world: World, incoming: Pipe, outgoing: Pipe) {
    super(world, incoming, outgoing);
    this.#pipe = incoming;
  }

  override read(into: Uint8Array): number | null | undefined {
    if (this.#pipe.length > 0) return this.#pipe.read(into);
    return this.#pipe.ended ? null : undefined;
  }
}

function outcomeOf({ exit, error, stdout, written }: Side): SideOutcome {
  return { exit, error, stdout: stdout.subarray(0, written) };
}

/** What a proof is checked with, on a line whose keys nobody looks at. */
function contextOf(nonce: Uint8Array | undefined): Partial<ProofContext> {
  return nonce === undefined ? {} : { nonce, listenerKey: undefined };
}
