/** A session and the connection that it has now, whichever side made it. */

import { FrameConnection, type PeerConnection } from "./frame_connection.ts";
import type { Reporter } from "../report/reporter.ts";
import type { Session } from "./session.ts";
import type { Traffic } from "../pipe/traffic.ts";

/**
 * Leads a session from connection to connection, and reports each. It has at most
 * one at a time.
 */
export class LiveSession {
  readonly session: Session;
  readonly report: Reporter;
  /** Aborted when the run is over, however it ended. */
  readonly over: AbortSignal;
  /** The last connection of the peer, and when the first one stood. */
  peer: PeerAddresses | undefined;
  /** The present connection, also when it has failed. */
  connection: FrameConnection | undefined;
  readonly #onProgress: () => void;
  readonly #traffic: Traffic;
  #resumed = false;
  #breaks = 0;

  /** @param options.onProgress Called when a connection stands, and when a frame has come. */
  constructor(
    session: Session,
    options: {
      report: Reporter;
      traffic: Traffic;
      over: AbortSignal;
      onProgress: () => void;
    },
  ) {
    this.session = session;
    this.report = options.report;
    this.over = options.over;
    this.#traffic = options.traffic;
    this.#onProgress = options.onProgress;
  }

  /** Whether no other connection is needed. */
  get ended(): boolean {
    return this.session.finished || this.session.over || this.over.aborted;
  }

  /**
   * Moves frames over a connection, for which the session is attached, until it is
   * lost.
   *
   * @param first The preface to send first, if it is still due.
   * @throws What ends the session; the connection is kept for the last words.
   */
  async run(connection: PeerConnection, first?: Uint8Array): Promise<void> {
    const { peer, local } = connection;
    this.peer = { peer, local, since: this.peer?.since ?? new Date() };
    const frames = new FrameConnection(
      this.session,
      connection,
      this.#onProgress,
    );
    this.connection = frames;
    this.report.say({ event: "session", peer, resumed: this.#resumed });
    if (!this.#resumed) this.#reportFrom(performance.now());
    this.#resumed = true;
    this.#onProgress();
    await frames.run(first);
    this.connection = undefined;
    if (this.ended) return;
    this.#breaks++;
    this.report.say({
      event: "interrupted",
      peer,
      confirmed: this.session.outgoing.confirmedBytes,
      received: this.session.incoming.deliveredBytes,
    });
  }

  #reportFrom(begunAt: number): void {
    const { outgoing, incoming } = this.session;
    const held = () => outgoing.skippedBytes + incoming.skippedBytes;
    this.report.follow(() => ({
      ...held() > 0 ? { held: held() } : {},
      sent: this.#traffic.sent,
      received: this.#traffic.received,
      connectedMs: performance.now() - begunAt,
      confirmed: this.session.outgoing.confirmedBytes,
      breaks: this.#breaks,
    }));
  }
}

/** The addresses of both ends, and when they first met. */
export interface PeerAddresses {
  readonly peer: string;
  readonly local: string;
  readonly since: Date;
}
