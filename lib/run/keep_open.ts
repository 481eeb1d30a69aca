/**
 * A listener for many (`--keep-open`): the loop that accepts, the limits, and the
 * way it ends. What one connection does, or fails to do, is said and ends that
 * connection alone.
 */

import type { KeepOpenOptions, Options } from "../cli/options.ts";
import { DescriptorShortage } from "./descriptor_limit.ts";
import { prepareLocalEnd } from "./local_end.ts";
import {
  type Layers,
  openLayers,
  openMeter,
  type RunContext,
} from "./context.ts";
import { BrokenError, RecordError, SockpipeError } from "../base/errors.ts";
import { Hub, type HubStdio } from "./hub.ts";
import { joinConnection, noHalfCloseOf, type OpenLocalEnd } from "./join.ts";
import { dropRightsOnceOpen } from "./rights.ts";
import { libc } from "../base/libc.ts";
import { type Listener, nobodyCame } from "../net/listener.ts";
import type { Socket } from "../net/socket.ts";
import { Stdio } from "../io/stdio.ts";
import {
  ClientTotals,
  connectionTotals,
  localEndName,
} from "./connection_totals.ts";
import type { LocalEndName } from "../report/event.ts";
import { countConnections, Traffic } from "../pipe/traffic.ts";
import { abortable } from "@std/async/abortable";
import { claim, onAbort } from "../base/deadline.ts";
import { Connection } from "../net/connection.ts";
import { refuseSocket } from "../net/system_sockets.ts";

/** The time that stdout has for its last bytes when `--grace` is over, in ms. */
const LAST_WRITE_MS = 200;

/**
 * Serves everybody who comes, until stopped or `--connections` have come.
 *
 * @param context The abort of its signal stops accepting; what is under way has
 * `graceMs` to finish.
 * @param openListener Opens the listening socket; called once all else is ready.
 * @throws {BrokenError} Some of the `--connections` failed.
 * @throws {TimeLimitError} Nobody was there for `--accept-timeout`.
 * @throws The failure of stdin, stdout, the record or the listener; and
 * `signal.reason`.
 */
export async function serveClients(
  options: Options,
  keepOpen: KeepOpenOptions,
  context: RunContext,
  openListener: () => Promise<Listener>,
): Promise<void> {
  using layers = await openLayers(options);
  using meter = await openMeter(options, context.report);
  // Later there may be no descriptor left to load it with.
  libc();
  using stdio = new Stdio(options);
  const local = meter?.wrap(stdio) ?? stdio;
  const server = new KeepOpenServer(options, keepOpen, local, {
    ...context,
    layers,
  });
  await server.run(async () => {
    const listener = await openListener();
    dropRightsOnceOpen(options);
    return listener;
  });
}

/** The surroundings of the server. */
export interface ServerContext extends RunContext {
  readonly layers: Layers;
}

/**
 * Serves connections, many at a time (`--keep-open`) or one after another
 * (`--reconnect`).
 */
export class KeepOpenServer {
  readonly #options: Options;
  readonly #keepOpen: KeepOpenOptions;
  readonly #context: ServerContext;
  readonly #shortage: DescriptorShortage;
  readonly #hub: Hub | undefined;
  /** Each fulfils when a client has been served, well or not. */
  readonly #clients = new Set<Promise<void>>();
  readonly #localEnd: LocalEndName | undefined;
  readonly #totals: ClientTotals;
  #failed = 0;
  /** The number of clients that were ended as the run was. */
  #aborted = 0;
  /** Aborted when no more clients are to come. */
  readonly #stopping = new AbortController();
  /** Aborted when the clients that are there are to end. */
  readonly #abortClients = new AbortController();
  /** Aborted when stdout is waited for no longer. */
  readonly #stdoutDeadline = new AbortController();
  #grace: ReturnType<typeof setTimeout> | undefined;
  /** The failure that ends the run. */
  #failure: { readonly error: unknown } | undefined;
  /** Resolves when a client has left. */
  #clientLeft = Promise.withResolvers<void>();
  #idleTimers: IdleTimers | undefined;

  constructor(
    options: Options,
    keepOpen: KeepOpenOptions,
    stdio: HubStdio,
    context: ServerContext,
  ) {
    this.#options = options;
    this.#keepOpen = keepOpen;
    this.#context = context;
    this.#localEnd = localEndName(options);
    this.#totals = new ClientTotals(this.#localEnd);
    this.#shortage = new DescriptorShortage(context.report);
    const { kind } = options.end;
    if (kind === "stdio" || kind === "serve") {
      this.#hub = new Hub(stdio, keepOpen, (error) => this.#fail(error));
    }
  }

  /** Does what {@linkcode serveClients} says; the listener is closed by it. */
  async run(openListener: () => Promise<Listener>): Promise<void> {
    const { signal, report } = this.#context;
    const open = await prepareLocalEnd(this.#options, this.#context, {
      shortage: this.#shortage,
      hub: this.#hub,
    });
    using listener = await openListener();
    report.setTotals(() => this.#totals.total());
    signal.throwIfAborted();
    using _stop = onAbort(signal, () => this.#stop());
    try {
      await this.#acceptAll(listener, open);
      await Promise.all(this.#clients);
      await this.#conclude();
    } finally {
      clearTimeout(this.#grace);
    }
  }

  /** Accepts until enough have come, or no more are to; stops listening then. */
  async #acceptAll(listener: Listener, open: OpenLocalEnd): Promise<void> {
    const { connections = Infinity, exitWhenIdleMs } = this.#keepOpen;
    const { signal } = this.#stopping;
    const options = this.#options;
    const limitMs = options.mode === "listen"
      ? options.acceptTimeoutMs
      : undefined;
    using _closed = listener;
    using absence = new IdleTimers();
    absence.limit(limitMs, () => this.#fail(nobodyCame(listener, limitMs)));
    absence.limit(exitWhenIdleMs, () => this.#stop());
    this.#idleTimers = absence;
    absence.begin();
    try {
      while (this.#totals.accepted < connections) {
        await this.#waitForRoom();
        const accept = () => listener.accept();
        const accepted = this.#shortage.accept(accept, signal);
        this.#start(await claim(accepted, signal, refuseSocket), open);
      }
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
  }

  /** Waits while there are as many clients as may be at once. */
  async #waitForRoom(): Promise<void> {
    const { maxConnections: count = Infinity } = this.#keepOpen;
    while (this.#clients.size >= count) {
      if (this.#options.mode === "listen") {
        this.#context.report.say({ event: "full", count });
      }
      this.#clientLeft = Promise.withResolvers();
      await abortable(this.#clientLeft.promise, this.#stopping.signal);
    }
  }

  #start(socket: Socket, open: OpenLocalEnd): void {
    this.#idleTimers?.end();
    const traffic = new Traffic();
    this.#totals.accept(traffic);
    const served = this.#serve(socket, traffic, open)
      .catch((error) => this.#fail(error))
      .finally(() => {
        this.#clients.delete(served);
        this.#totals.leave(traffic);
        this.#clientLeft.resolve();
        if (this.#clients.size === 0) this.#idleTimers?.begin();
      });
    this.#clients.add(served);
  }

  /** Serves one client to its end, whatever that may be. */
  async #serve(
    socket: Socket,
    traffic: Traffic,
    open: OpenLocalEnd,
  ): Promise<void> {
    const { dataSize, idleTimeoutMs, keepaliveMs } = this.#options;
    const { report, layers } = this.#context;
    const { signal } = this.#abortClients;
    using connection = new Connection(socket, {
      dataSize,
      traffic,
      keepaliveMs,
    });
    const { peer, local } = connection;
    report.say({ event: "connected", peer, local, probe: false });
    try {
      await joinConnection(open, connection, layers, {
        signal,
        traffic,
        idleTimeoutMs,
        noHalfClose: noHalfCloseOf(this.#options),
      });
      const totals = connectionTotals(traffic, this.#localEnd);
      report.say({ event: "left", peer, ...totals });
    } catch (error) {
      if (signal.aborted) {
        this.#aborted++;
        return;
      }
      const isOfClient = error instanceof SockpipeError &&
        !(error instanceof RecordError);
      if (!isOfClient) throw error;
      this.#failed++;
      const totals = connectionTotals(traffic, this.#localEnd);
      report.say({ event: "failed", peer, reason: error.message, ...totals });
    }
  }

  /** Stops accepting, and lets what is under way finish within `--grace`. */
  #stop(): void {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    this.#hub?.stop();
    const { graceMs } = this.#keepOpen;
    const { signal, report } = this.#context;
    const count = this.#clients.size;
    if (!signal.aborted) return;
    if (count > 0 && graceMs > 0) {
      report.say({ event: "stopping", count, graceMs });
    }
    const abortClients = () => {
      this.#abortClients.abort(signal.reason);
      // What stdout does not take now, it may never take.
      const giveUp = () => this.#stdoutDeadline.abort(signal.reason);
      this.#grace = setTimeout(giveUp, LAST_WRITE_MS);
    };
    this.#grace = setTimeout(abortClients, graceMs);
  }

  /** Ends the run with an error, at once. */
  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#abortClients.abort(error);
    this.#stop();
  }

  /** Reports how the run ended; throws unless all went well. */
  async #conclude(): Promise<void> {
    const { signal, report } = this.#context;
    const [count, failed] = [this.#aborted, this.#failed];
    const { accepted } = this.#totals;
    if (this.#failure !== undefined) throw this.#failure.error;
    if (count > 0) report.say({ event: "cut-off", count });
    await abortable(
      this.#hub?.finish() ?? Promise.resolve(),
      this.#stdoutDeadline.signal,
    );
    signal.throwIfAborted();
    this.#hub?.throwIfUndelivered();
    if (failed > 0) {
      throw new BrokenError(
        `Cannot say that all is well: ${failed} of ${
          countConnections(accepted)
        } failed`,
      );
    }
  }
}

/** Timers that run while no client is there. */
class IdleTimers implements Disposable {
  readonly #limits: { ms: number; onOver: () => void }[] = [];
  #timers: ReturnType<typeof setTimeout>[] = [];
  #isDisposed = false;

  /** @param ms The time until `onOver` is called; never when `undefined`. */
  limit(ms: number | undefined, onOver: () => void): void {
    if (ms !== undefined) this.#limits.push({ ms, onOver });
  }

  /** Starts the timers. */
  begin(): void {
    if (this.#isDisposed) return;
    this.#timers = this.#limits.map(({ ms, onOver }) => setTimeout(onOver, ms));
  }

  /** Stops the timers. */
  end(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.end();
  }
}
