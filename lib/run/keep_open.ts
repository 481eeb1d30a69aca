/**
 * A listener for many (`--keep-open`): the loop that accepts, the limits, and the
 * way it ends. What one connection does, or fails to do, is said and ends that
 * connection alone.
 */

import type { KeepOpenOptions, Options } from "../cli/options.ts";
import { Descriptors } from "./descriptor_limit.ts";
import { prepareLocalEnd } from "./local_end.ts";
import {
  type Layers,
  openLayers,
  openMeter,
  type RunContext,
} from "./context.ts";
import { BrokenError, RecordError, SockpipeError } from "../base/errors.ts";
import { Hub, type HubStdio } from "./hub.ts";
import { halfCloseChoice, joinConnection, type OpenLocalEnd } from "./join.ts";
import { giveUpOnceOpen } from "./rights.ts";
import { libc } from "../base/libc.ts";
import { type Listener, nobodyCame } from "../net/listener.ts";
import type { Socket } from "../net/socket.ts";
import type { Totals } from "../report/event.ts";
import { Stdio } from "../io/stdio.ts";
import { countConnections, Traffic } from "../pipe/traffic.ts";
import { abortable } from "@std/async/abortable";
import { claim } from "../base/deadline.ts";
import { Connection } from "../net/connection.ts";

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
 * @throws What makes it impossible to go on: stdin, stdout or a record that fails,
 * a listener that does; and `signal.reason`.
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
  const local = meter?.inFrontOf(stdio) ?? stdio;
  const server = new KeepOpenServer(options, keepOpen, local, {
    ...context,
    layers,
  });
  await server.run(openListener);
}

/** The surroundings of the server. */
interface ServerContext extends RunContext {
  readonly layers: Layers;
}

/** One client, for as long as it is there. */
interface Client {
  readonly traffic: Traffic;
  /** Fulfils when it has been served, well or not. */
  readonly served: Promise<void>;
}

class KeepOpenServer {
  readonly #options: Options;
  readonly #keepOpen: KeepOpenOptions;
  readonly #context: ServerContext;
  readonly #descriptors: Descriptors;
  readonly #hub: Hub | undefined;
  readonly #clients = new Set<Client>();
  readonly #tally = new Tally();
  /** Aborted when no more clients are to come. */
  readonly #stopping = new AbortController();
  /** Aborted when those that are there are to end. */
  readonly #cut = new AbortController();
  /** Aborted when stdout is waited for no longer. */
  readonly #over = new AbortController();
  #grace: ReturnType<typeof setTimeout> | undefined;
  /** The failure that ends the run. */
  #failure: { readonly error: unknown } | undefined;
  /** Resolves when a client has left. */
  #freed = Promise.withResolvers<void>();
  #absence: AbsenceTimer | undefined;

  constructor(
    options: Options,
    keepOpen: KeepOpenOptions,
    stdio: HubStdio,
    context: ServerContext,
  ) {
    this.#options = options;
    this.#keepOpen = keepOpen;
    this.#context = context;
    this.#descriptors = new Descriptors(context.report);
    const { kind } = options.end;
    if (kind === "stdio" || kind === "serve") {
      this.#hub = new Hub(stdio, keepOpen, (error) => this.#fail(error));
    }
  }

  async run(openListener: () => Promise<Listener>): Promise<void> {
    const { signal, report } = this.#context;
    const open = await prepareLocalEnd(this.#options, this.#context, {
      descriptors: this.#descriptors,
      hub: this.#hub,
    });
    using listener = await openListener();
    giveUpOnceOpen(this.#options);
    report.follow(() => this.#tally.totals(this.#clients));
    signal.throwIfAborted();
    const onSignal = () => this.#stop();
    signal.addEventListener("abort", onSignal, { once: true });
    try {
      await this.#acceptAll(listener, open);
      await Promise.all([...this.#clients].map(({ served }) => served));
      await this.#conclude();
    } finally {
      signal.removeEventListener("abort", onSignal);
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
    using absence = new AbsenceTimer();
    absence.limit(limitMs, () => this.#fail(nobodyCame(listener, limitMs)));
    absence.limit(exitWhenIdleMs, () => this.#stop());
    this.#absence = absence;
    absence.begin();
    try {
      while (this.#tally.accepted < connections) {
        await this.#waitForRoom();
        const accept = () => listener.accept();
        const accepted = this.#descriptors.accept(accept, signal);
        this.#start(await claim(accepted, signal), open);
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
      this.#freed = Promise.withResolvers();
      await abortable(this.#freed.promise, this.#stopping.signal);
    }
  }

  #start(socket: Socket, open: OpenLocalEnd): void {
    this.#absence?.end();
    const traffic = new Traffic();
    this.#tally.accept(traffic);
    const served = this.#serve(socket, traffic, open)
      .catch((error) => this.#fail(error))
      .finally(() => {
        this.#clients.delete(client);
        this.#tally.leave(traffic);
        this.#freed.resolve();
        if (this.#clients.size === 0) this.#absence?.begin();
      });
    const client = { traffic, served };
    this.#clients.add(client);
  }

  /** Serves one client to its end, whatever that may be. */
  async #serve(
    socket: Socket,
    traffic: Traffic,
    open: OpenLocalEnd,
  ): Promise<void> {
    const { dataSize, idleTimeoutMs, keepaliveMs } = this.#options;
    const { report, layers } = this.#context;
    const { signal } = this.#cut;
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
        noHalfClose: halfCloseChoice(this.#options),
      });
      const { sent, received } = traffic;
      report.say({ event: "left", peer, sent, received });
    } catch (error) {
      if (signal.aborted) {
        this.#tally.cutOff++;
        return;
      }
      const isOfClient = error instanceof SockpipeError &&
        !(error instanceof RecordError);
      if (!isOfClient) throw error;
      this.#tally.failed++;
      report.say({ event: "failed", peer, reason: error.message });
    }
  }

  /** Accepts no more, and lets what is under way finish within `--grace`. */
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
    const cutOff = () => {
      this.#cut.abort(signal.reason);
      // What stdout does not take now, it may never take.
      const giveUp = () => this.#over.abort(signal.reason);
      this.#grace = setTimeout(giveUp, LAST_WRITE_MS);
    };
    this.#grace = setTimeout(cutOff, graceMs);
  }

  /** Ends the run with an error, at once. */
  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#cut.abort(error);
    this.#stop();
  }

  /** Says by its error how the run ended; returns when all went well. */
  async #conclude(): Promise<void> {
    const { signal, report } = this.#context;
    const { cutOff: count, failed, accepted } = this.#tally;
    if (this.#failure !== undefined) throw this.#failure.error;
    if (count > 0) report.say({ event: "cut-off", count });
    await abortable(
      this.#hub?.finish() ?? Promise.resolve(),
      this.#over.signal,
    );
    signal.throwIfAborted();
    this.#hub?.throwIfHeld();
    if (failed > 0) {
      throw new BrokenError(
        `Cannot say that all is well: ${failed} of ${
          countConnections(accepted)
        } failed`,
      );
    }
  }
}

/** What has come to pass with all clients together. */
class Tally {
  accepted = 0;
  failed = 0;
  /** Clients that were ended as the run was. */
  cutOff = 0;
  /** The time of the first client, as `performance.now()`. */
  #startedAt: number | undefined;
  /** Bytes moved by clients that have left. */
  #sent = 0;
  #received = 0;

  accept({ startedAt }: Traffic): void {
    this.accepted++;
    this.#startedAt ??= startedAt;
  }

  leave({ sent, received }: Traffic): void {
    this.#sent += sent;
    this.#received += received;
  }

  /** @param clients Those that are there now. */
  totals(clients: ReadonlySet<Client>): Totals {
    const now = performance.now();
    const traffics = [...clients].map(({ traffic }) => traffic);
    return {
      sent: traffics.reduce((sum, { sent }) => sum + sent, this.#sent),
      received: traffics.reduce(
        (sum, { received }) => sum + received,
        this.#received,
      ),
      connectedMs: now - (this.#startedAt ?? now),
      clients: this.accepted,
      connected: clients.size,
    };
  }
}

/** Timers that run while nobody is there. */
class AbsenceTimer implements Disposable {
  readonly #limits: { ms: number; onOver: () => void }[] = [];
  #timers: ReturnType<typeof setTimeout>[] = [];
  #isDisposed = false;

  /** @param ms How long until `onOver` is called; never when `undefined`. */
  limit(ms: number | undefined, onOver: () => void): void {
    if (ms !== undefined) this.#limits.push({ ms, onOver });
  }

  begin(): void {
    if (this.#isDisposed) return;
    this.#timers = this.#limits.map(({ ms, onOver }) => setTimeout(onOver, ms));
  }

  end(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.end();
  }
}
