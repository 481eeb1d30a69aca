/**
 * A listener for many (`--keep-open`): the loop that accepts, the limits, and the
 * way it ends. What one connection does, or fails to do, is said and ends that
 * connection alone.
 */

import type { KeepOpenOptions, ListenOptions } from "../cli/options.ts";
import { Descriptors } from "./descriptor_limit.ts";
import { prepareLocalEnd } from "./local_end.ts";
import {
  type Layers,
  openLayers,
  openMeter,
  type RunContext,
} from "./context.ts";
import {
  BrokenError,
  RecordError,
  SockpipeError,
  TimeLimitError,
} from "../base/errors.ts";
import { Hub, type HubStdio } from "./hub.ts";
import { joinConnection, type OpenLocalEnd } from "./join.ts";
import { loadKernel } from "../io/kernel.ts";
import type { Reporter } from "../report/reporter.ts";
import type { Listener } from "../net/listener.ts";
import type { Socket } from "../net/socket.ts";
import type { Totals } from "../report/event.ts";
import { Stdio } from "../io/stdio.ts";
import { countConnections, Traffic } from "../pipe/traffic.ts";
import { Connection } from "../net/connection.ts";
import { formatDuration } from "../base/units.ts";

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
  options: ListenOptions,
  keepOpen: KeepOpenOptions,
  context: RunContext,
  openListener: () => Promise<Listener>,
): Promise<void> {
  using layers = await openLayers(options);
  using meter = await openMeter(options, context.report);
  // Later there may be no descriptor left to load it with.
  loadKernel();
  using stdio = new Stdio(options);
  const local = meter?.inFrontOf(stdio) ?? stdio;
  const server = new KeepOpenServer(options, keepOpen, local, {
    ...context,
    layers,
  });
  await server.run(openListener);
}

/** What the server is given beside its options. */
interface ServerContext extends RunContext {
  readonly layers: Layers;
}

class KeepOpenServer {
  readonly #options: ListenOptions;
  readonly #keepOpen: KeepOpenOptions;
  readonly #context: ServerContext;
  readonly #signal: AbortSignal;
  readonly #report: Reporter;
  readonly #descriptors: Descriptors;
  readonly #hub: Hub | undefined;
  readonly #running = new Set<Promise<void>>();
  /** Each ends one connection; a signal for all would have to remember them all. */
  readonly #cuts = new Set<AbortController>();
  /** When the first connection stood, as `performance.now()`. */
  #startedAt: number | undefined;
  /** What the connections that have ended have moved. */
  readonly #moved = { sent: 0, received: 0 };
  /** What those that stand move. */
  readonly #traffics = new Set<Traffic>();
  #accepted = 0;
  #failed = 0;
  #cutOff = 0;
  #isStopping = false;
  /** Why all connections were ended. */
  #cutReason: { readonly error: unknown } | undefined;
  /** Why the run cannot go on. */
  #failure: { readonly error: unknown } | undefined;
  /** Resolves when a connection has ended, or all are to. */
  #freed = Promise.withResolvers<void>();
  #listener: Listener | undefined;
  #lonely: ReturnType<typeof setTimeout> | undefined;
  #grace: ReturnType<typeof setTimeout> | undefined;

  constructor(
    options: ListenOptions,
    keepOpen: KeepOpenOptions,
    stdio: HubStdio,
    context: ServerContext,
  ) {
    this.#options = options;
    this.#keepOpen = keepOpen;
    this.#context = context;
    this.#signal = context.signal;
    this.#report = context.report;
    this.#descriptors = new Descriptors(context.report);
    const { kind } = options.end;
    if (kind === "stdio" || kind === "serve") {
      this.#hub = new Hub(stdio, keepOpen, (error) => this.#fail(error));
    }
  }

  async run(openListener: () => Promise<Listener>): Promise<void> {
    const open = await prepareLocalEnd(this.#options, this.#context, {
      descriptors: this.#descriptors,
      hub: this.#hub,
    });
    using listener = await openListener();
    this.#listener = listener;
    this.#report.follow(() => this.#totals());
    this.#signal.throwIfAborted();
    const onSignal = () => this.#stop();
    this.#signal.addEventListener("abort", onSignal, { once: true });
    try {
      await this.#acceptAll(listener, open);
      await Promise.all(this.#running);
    } finally {
      clearTimeout(this.#grace);
      clearTimeout(this.#lonely);
      this.#signal.removeEventListener("abort", onSignal);
    }
    await this.#conclude();
  }

  /** Says by its error how the run ended; returns when all went well. */
  async #conclude(): Promise<void> {
    const count = this.#cutOff;
    if (this.#failure !== undefined) throw this.#failure.error;
    if (count > 0) this.#report.say({ event: "cut-off", count });
    await this.#hub?.finish();
    this.#signal.throwIfAborted();
    this.#hub?.throwIfHeld();
    if (this.#failed > 0) {
      throw new BrokenError(
        `Cannot say that all is well: ${this.#failed} of ${
          countConnections(this.#accepted)
        } failed`,
      );
    }
  }

  /** Accepts until enough have come, or no more are to. */
  async #acceptAll(listener: Listener, open: OpenLocalEnd): Promise<void> {
    const { connections = Infinity, maxConnections = Infinity } =
      this.#keepOpen;
    while (!this.#isStopping && this.#accepted < connections) {
      if (this.#running.size >= maxConnections) {
        this.#report.say({ event: "full", count: maxConnections });
        this.#freed = Promise.withResolvers();
        await this.#freed.promise;
        continue;
      }
      const conn = await this.#accept(listener);
      if (conn === undefined) continue;
      this.#accepted++;
      const served = this.#serve(conn, open)
        .catch((error) => this.#fail(error))
        .finally(() => {
          this.#running.delete(served);
          this.#freed.resolve();
          this.#watchLoneliness();
        });
      this.#running.add(served);
    }
    listener.close();
  }

  /** The next connection, or `undefined` when this one came to nothing. */
  async #accept(
    listener: Listener,
  ): Promise<Socket | undefined> {
    this.#watchLoneliness();
    try {
      return await this.#descriptors.accept(
        () => listener.accept(),
        this.#signal,
      );
    } catch (error) {
      if (!this.#isStopping) this.#fail(error);
      return undefined;
    } finally {
      clearTimeout(this.#lonely);
      this.#lonely = undefined;
    }
  }

  /** Ends the run when nobody is there for as long as `--accept-timeout`. */
  #watchLoneliness(): void {
    const { acceptTimeoutMs } = this.#options;
    if (acceptTimeoutMs === undefined || this.#lonely !== undefined) return;
    if (this.#running.size > 0 || this.#isStopping) return;
    this.#lonely = setTimeout(() => {
      this.#fail(
        new TimeLimitError(
          `Nobody came to "${this.#listener?.address}" within ${
            formatDuration(acceptTimeoutMs)
          } (--accept-timeout)`,
        ),
      );
    }, acceptTimeoutMs);
  }

  /** Serves one connection to its end, whatever that may be. */
  async #serve(
    conn: Socket,
    open: OpenLocalEnd,
  ): Promise<void> {
    const { dataSize, idleTimeoutMs } = this.#options;
    const traffic = new Traffic();
    this.#startedAt ??= traffic.startedAt;
    this.#traffics.add(traffic);
    const cut = this.#newCut();
    using remote = new Connection(conn, { dataSize, traffic });
    const { peer, local } = remote;
    this.#report.say({ event: "connected", peer, local, probe: false });
    try {
      await joinConnection(open, remote, this.#context.layers, {
        signal: cut.signal,
        traffic,
        idleTimeoutMs,
      });
      const { sent, received } = traffic;
      this.#report.say({ event: "left", peer, sent, received });
    } catch (error) {
      if (cut.signal.aborted) this.#cutOff++;
      else if (!(error instanceof SockpipeError)) throw error;
      else if (error instanceof RecordError) throw error;
      else {
        this.#failed++;
        this.#report.say({ event: "failed", peer, reason: error.message });
      }
    } finally {
      this.#cuts.delete(cut);
      this.#traffics.delete(traffic);
      this.#moved.sent += traffic.sent;
      this.#moved.received += traffic.received;
    }
  }

  #totals(): Totals {
    const totals = { ...this.#moved };
    for (const { sent, received } of this.#traffics) {
      totals.sent += sent;
      totals.received += received;
    }
    const now = performance.now();
    return {
      ...totals,
      connectedMs: now - (this.#startedAt ?? now),
      clients: this.#accepted,
      connected: this.#traffics.size,
    };
  }

  /** Accepts no more, and lets what is under way finish within `--grace`. */
  #stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#listener?.close();
    this.#freed.resolve();
    this.#hub?.stop();
    const { graceMs } = this.#keepOpen;
    const count = this.#running.size;
    if (count > 0 && this.#failure === undefined) {
      this.#report.say({ event: "stopping", count, graceMs });
    }
    this.#grace = setTimeout(
      () => this.#cutAll(this.#signal.reason),
      graceMs,
    );
  }

  /** Ends the run with an error, at once. */
  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#cutAll(error);
    this.#stop();
  }

  #newCut(): AbortController {
    const cut = new AbortController();
    this.#cuts.add(cut);
    if (this.#cutReason !== undefined) cut.abort(this.#cutReason.error);
    return cut;
  }

  /** Ends all connections, and those that come. */
  #cutAll(error: unknown): void {
    this.#cutReason ??= { error };
    for (const cut of this.#cuts) cut.abort(error);
  }
}
