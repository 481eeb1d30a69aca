/** A session and the connection that it has now, whichever side made it. */

import { FrameConnection, type PeerConnection } from "./frame_connection.ts";
import type { Reporter } from "../report/reporter.ts";
import type { Totals } from "../report/event.ts";
import type { Session } from "./session.ts";
import type { Traffic } from "../pipe/traffic.ts";

/** Runs the connections of a session, one at a time, and reports each. */
export class LiveSession {
  readonly session: Session;
  readonly report: Reporter;
  /** Aborted when the run is over, however it ended. */
  readonly runSignal: AbortSignal;
  /** The addresses of the last connection, and when the first one was made. */
  addresses: PeerAddresses | undefined;
  /** The present connection; also one that failed, until the run is over. */
  connection: FrameConnection | undefined;
  readonly #onProgress: () => void;
  readonly #traffic: Traffic;
  #resumed = false;
  #breaks = 0;
  /** The segments that were sent again on connections that are over. */
  #retransmits = 0;

  /**
   * @param options.onProgress Called when a connection begins, and whenever the
   * peer has sent something.
   */
  constructor(
    session: Session,
    options: {
      report: Reporter;
      traffic: Traffic;
      runSignal: AbortSignal;
      onProgress: () => void;
    },
  ) {
    this.session = session;
    this.report = options.report;
    this.runSignal = options.runSignal;
    this.#traffic = options.traffic;
    this.#onProgress = options.onProgress;
  }

  /** Whether the session needs no other connection. */
  get needsNoConnection(): boolean {
    return this.session.isClosed || this.session.isAborted ||
      this.runSignal.aborted;
  }

  /**
   * Moves frames over a connection, for which the session is attached, until it is
   * lost.
   *
   * @param first The preface to send first, if it is still due.
   * @throws The error that ends the session; the connection is kept, to tell the
   * peer why.
   */
  async run(connection: PeerConnection, first?: Uint8Array): Promise<void> {
    const { peer, local } = connection;
    this.addresses = {
      peer,
      local,
      since: this.addresses?.since ?? new Date(),
    };
    const frames = new FrameConnection(
      this.session,
      connection,
      this.#onProgress,
    );
    this.connection = frames;
    this.#retransmits += this.#traffic.line?.tcpInfo?.retransmits ?? 0;
    this.#traffic.line = connection.line;
    this.report.say({ event: "session", peer, resumed: this.#resumed });
    if (!this.#resumed) {
      const begunAt = performance.now();
      this.report.setTotals(() => this.#totals(begunAt));
    }
    this.#resumed = true;
    this.#onProgress();
    await frames.run(first);
    this.connection = undefined;
    if (this.needsNoConnection) return;
    this.#breaks++;
    this.report.say({
      event: "interrupted",
      peer,
      confirmed: this.session.outgoing.confirmedBytes,
      received: this.session.incoming.deliveredBytes,
    });
  }

  #totals(begunAt: number): Totals {
    const { outgoing, incoming, hints: { peerWaited } } = this.session;
    const { sent, received, waited, line } = this.#traffic;
    const now = performance.now();
    const held = outgoing.skippedBytes + incoming.skippedBytes;
    const tcpInfo = line?.tcpInfo;
    return {
      ...held > 0 ? { held } : {},
      sent,
      received,
      connectedMs: now - begunAt,
      confirmed: outgoing.confirmedBytes,
      breaks: this.#breaks,
      waitedMs: waited.total(now),
      ...peerWaited === undefined ? {} : { peerWaitedMs: peerWaited },
      ...tcpInfo === undefined ? {} : {
        roundTripMs: tcpInfo.roundTripMs,
        retransmits: this.#retransmits + tcpInfo.retransmits,
      },
    };
  }
}

/** The addresses of both ends, and the time of the first connection. */
export interface PeerAddresses {
  readonly peer: string;
  readonly local: string;
  readonly since: Date;
}
