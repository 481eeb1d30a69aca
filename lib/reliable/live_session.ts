/**
 * What both ways to get a connection have in common: the session, the connection
 * that it has now, and what is said about it.
 */

import { Link, type PeerConnection } from "./frame_connection.ts";
import type { Reporter } from "../report/reporter.ts";
import type { Session } from "./session.ts";
import type { Traffic } from "../pipe/traffic.ts";

/** A session on its way from connection to connection. */
export class Conversation {
  readonly session: Session;
  readonly report: Reporter;
  /** Aborted when the run is over, in whatever way. */
  readonly over: AbortSignal;
  /** The present connection, also when it has failed. */
  link: Link | undefined;
  readonly #onNews: () => void;
  readonly #traffic: Traffic;
  #resumed = false;
  #breaks = 0;

  /** @param options.onNews Called when a connection stands or the peer said something. */
  constructor(
    session: Session,
    options: {
      report: Reporter;
      traffic: Traffic;
      over: AbortSignal;
      onNews: () => void;
    },
  ) {
    this.session = session;
    this.report = options.report;
    this.over = options.over;
    this.#traffic = options.traffic;
    this.#onNews = options.onNews;
  }

  /** Whether no other connection is needed. */
  get ended(): boolean {
    return this.session.finished || this.session.over || this.over.aborted;
  }

  /**
   * Talks over a connection, for which the session is attached, until it is lost.
   *
   * @param first What is sent first.
   * @throws What ends the session; the connection is kept for a farewell.
   */
  async hold(connection: PeerConnection, first?: Uint8Array): Promise<void> {
    const { peer } = connection;
    const link = new Link(this.session, connection, this.#onNews);
    this.link = link;
    this.report.say({ event: "session", peer, resumed: this.#resumed });
    if (!this.#resumed) this.#reportFrom(performance.now());
    this.#resumed = true;
    this.#onNews();
    await link.run(first);
    this.link = undefined;
    if (this.ended) return;
    this.#breaks++;
    this.report.say({
      event: "interrupted",
      peer,
      confirmed: this.session.confirmedBytes,
      received: this.session.deliveredBytes,
    });
  }

  #reportFrom(begunAt: number): void {
    this.report.follow(() => ({
      sent: this.#traffic.sent,
      received: this.#traffic.received,
      connectedMs: performance.now() - begunAt,
      confirmed: this.session.confirmedBytes,
      breaks: this.#breaks,
    }));
  }
}
