/**
 * A line that fails on purpose: a proxy in the test itself, for TCP or for unix
 * sockets, which does to each connection what the test wants of it.
 */

import { delay } from "@std/async/delay";
import { findSockets } from "../../lib/net/socket_descriptors.ts";

/** Who sends the bytes. */
export type Sender = "connect" | "listen";

/** What happens to a connection. */
export interface Fate {
  /** `half` ends one direction, and is silent in the other. */
  readonly kind:
    | "reset"
    | "end"
    | "half"
    | "silence"
    | "stall"
    | "corrupt"
    | "none";
  /** After how many bytes, of both directions together or of `from` alone. */
  readonly after?: number;
  readonly from?: Sender;
  /** Instead of `after`: before the first frame of this type from `from`. */
  readonly before?: number;
  /** How long it stalls. */
  readonly ms?: number;
  /** What happens after it has stalled. */
  readonly then?: Fate;
}

/** Leaves a connection as it is. */
export const NONE: Fate = { kind: "none" };

// Opened here and not in the first test that needs it, which would look like a leak.
findSockets([]);

const PREFACE_BYTES = 56;
const HEADER_BYTES = 24;

/** A port on 127.0.0.1, or the path of a unix socket. */
export type Place = number | string;

/** Disposing cuts everything, and whoever comes then is refused. Idempotent. */
export class FailingLine implements AsyncDisposable {
  /** `NaN` for a unix socket. */
  readonly port: number;
  /** How many connections there were. */
  connections = 0;
  /** How many of them met their fate. */
  incidents = 0;
  readonly #target: Place;
  readonly #fateOf: (connection: number) => Fate;
  readonly #listener: Deno.Listener<Deno.Conn>;
  readonly #open = new Set<Deno.Conn>();
  readonly #tasks = new Set<Promise<void>>();
  /** Ends every stall. */
  readonly #closing = new AbortController();

  /**
   * @param fateOf Asked once for each connection, which are counted from 0.
   * @param place Where it listens: that of a line that has been disposed of, say.
   */
  constructor(
    target: Place,
    fateOf: (connection: number) => Fate,
    place: Place = 0,
  ) {
    this.#listener = typeof place === "number"
      ? Deno.listen({ hostname: "127.0.0.1", port: place })
      : Deno.listen({ transport: "unix", path: place });
    const { addr } = this.#listener;
    this.port = addr.transport === "tcp" ? addr.port : NaN;
    this.#target = target;
    this.#fateOf = fateOf;
    this.#run(this.#accept());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closing.signal.aborted) this.#listener.close();
    this.#closing.abort();
    while (this.#tasks.size > 0) {
      for (const conn of this.#open) this.#close(conn);
      await Promise.race(this.#tasks);
    }
  }

  /** Resets the connections that there are. */
  cut(): void {
    for (const conn of this.#open) this.#reset(conn);
  }

  #run(task: Promise<void>): void {
    const settled = task.catch(() => {}).finally(() =>
      this.#tasks.delete(settled)
    );
    this.#tasks.add(settled);
  }

  async #accept(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      try {
        const near = await this.#listener.accept();
        this.#open.add(near);
        this.#run(this.#join(near, this.#fateOf(this.connections++)));
      } catch (error) {
        // Whoever was reset before it was accepted is not the end of the line.
        if (error instanceof Deno.errors.BadResource) return;
      }
    }
  }

  async #join(near: Deno.Conn, fate: Fate): Promise<void> {
    let far: Deno.Conn;
    try {
      far = await connectTo(this.#target);
    } catch {
      return this.#close(near);
    }
    this.#open.add(far);
    const line = new Line(
      fate,
      (struck, sender) =>
        sender === "connect"
          ? this.#strike(struck, near, far)
          : this.#strike(struck, far, near),
    );
    this.#run(this.#pass(near, far, "connect", line));
    this.#run(this.#pass(far, near, "listen", line));
  }

  async #strike(
    fate: Fate,
    from: Deno.Conn,
    to: Deno.Conn,
  ): Promise<void> {
    this.incidents++;
    if (fate.kind === "reset") [from, to].forEach((conn) => this.#reset(conn));
    if (fate.kind === "end") [from, to].forEach((conn) => this.#close(conn));
    if (fate.kind === "half") await to.closeWrite();
    if (fate.kind === "half" || fate.kind === "silence") {
      await never(this.#closing.signal);
    }
    if (fate.kind === "stall") {
      await delay(fate.ms ?? 100, this.#closing).catch(() => {});
    }
  }

  async #pass(
    from: Deno.Conn,
    to: Deno.Conn,
    sender: Sender,
    line: Line,
  ): Promise<void> {
    const buffer = new Uint8Array(65536);
    try {
      for (;;) {
        const count = await from.read(buffer);
        if (count === null) break;
        for (const piece of line.pieces(buffer.subarray(0, count), sender)) {
          if (piece === "strike") await line.strike(sender);
          else await writeAll(to, piece);
        }
        await line.silence;
      }
      await to.closeWrite();
    } catch {
      // Broken on one side is broken on the other.
      this.#reset(from);
      this.#reset(to);
    }
  }

  /** A unix socket knows no reset: what is unread then is an error at its peer. */
  #reset(conn: Deno.Conn): void {
    if (!this.#open.has(conn)) return;
    if (isTcp(conn)) findSockets([conn]).get(conn)?.reset();
    this.#close(conn);
  }

  #close(conn: Deno.Conn): void {
    if (this.#open.delete(conn)) conn.close();
  }
}

/** One connection on its way to its fate. */
class Line {
  #fate: Fate;
  readonly #onStrike: (fate: Fate, sender: Sender) => Promise<void>;
  #scanner = new FrameScanner(-1);
  #left = Infinity;
  #struck = false;
  /** Pending while neither direction may pass anything. */
  silence: Promise<void> = Promise.resolve();

  constructor(
    fate: Fate,
    onStrike: (fate: Fate, sender: Sender) => Promise<void>,
  ) {
    this.#fate = fate;
    this.#onStrike = onStrike;
    this.#begin();
  }

  async strike(sender: Sender): Promise<void> {
    const { then } = this.#fate;
    this.silence = this.#onStrike(this.#fate, sender);
    await this.silence;
    if (then === undefined) return;
    this.#fate = then;
    this.#begin();
  }

  #begin(): void {
    this.#struck = false;
    this.#left = this.#fate.after ?? Infinity;
    this.#scanner = new FrameScanner(this.#fate.before ?? -1);
  }

  /** What passes of `bytes`, and where the fate strikes. */
  *pieces(
    bytes: Uint8Array,
    sender: Sender,
  ): Generator<Uint8Array | "strike"> {
    const { kind, from = sender } = this.#fate;
    if (this.#struck || kind === "none" || from !== sender) return yield bytes;
    const at = Math.min(this.#left, this.#scanner.find(bytes));
    this.#left -= bytes.length;
    if (at >= bytes.length) return yield bytes;
    this.#struck = true;
    if (kind === "corrupt") bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    if (at > 0) yield bytes.subarray(0, at);
    yield "strike";
    yield bytes.subarray(at);
  }
}

/** Finds where a frame begins, however the bytes are cut. */
class FrameScanner {
  readonly #type: number;
  readonly #header: number[] = [];
  #skip = PREFACE_BYTES;

  constructor(type: number) {
    this.#type = type;
  }

  /** @returns Where in `bytes`; `Infinity` when nowhere. */
  find(bytes: Uint8Array): number {
    if (this.#type < 0) return Infinity;
    for (let at = 0; at < bytes.length;) {
      const skipped = Math.min(this.#skip, bytes.length - at);
      at += skipped;
      this.#skip -= skipped;
      const byte = bytes[at];
      if (byte === undefined) break;
      if (this.#header.length === 0 && byte === this.#type) return at;
      this.#header.push(byte);
      at++;
      if (this.#header.length < HEADER_BYTES) continue;
      const [, high = 0, middle = 0, low = 0] = this.#header.splice(0);
      this.#skip = high * 65536 + middle * 256 + low;
    }
    return Infinity;
  }
}

function connectTo(place: Place): Promise<Deno.Conn> {
  return typeof place === "number"
    ? Deno.connect({ hostname: "127.0.0.1", port: place })
    : Deno.connect({ transport: "unix", path: place });
}

function isTcp(conn: Deno.Conn): conn is Deno.TcpConn {
  return conn.remoteAddr.transport === "tcp";
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.length > 0;) {
    rest = rest.subarray(await conn.write(rest));
  }
}

function never(signal: AbortSignal): Promise<void> {
  const { promise, reject } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => reject(signal.reason));
  if (signal.aborted) reject(signal.reason);
  return promise;
}
