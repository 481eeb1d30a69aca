/**
 * How the listening side of a session gets its connections: it takes back its own
 * peer and nobody else.
 */

import { alarm } from "./bell.ts";
import type { Conversation } from "./conversation.ts";
import { BrokenError, DamagedError, TimeLimitError } from "./errors.ts";
import type { Preface } from "./framing.ts";
import { type PeerConnection, readPreface } from "./link.ts";
import { formatDuration } from "./units.ts";

/** How many connections may be without a preface at one time. */
const MAX_STRANGERS = 64;
/** The pause after the system could not accept a connection. */
const ACCEPT_PAUSE_MS = 100;

/** Where the listening side waits for its peer. */
export interface Receiving {
  readonly role: "listen";
  /** Waits for the next connection; rejects when the listener is closed. */
  accept(): Promise<PeerConnection>;
  /** The longest wait for the first peer, in ms. */
  readonly acceptTimeoutMs: number | undefined;
}

/**
 * Receives the peer of a session, whenever it comes, until the session has ended.
 *
 * @throws {TimeLimitError} Nobody came, or not again, in time.
 * @throws {DamagedError} The first who came does not speak this.
 * @throws What `receiving.accept` and the conversation throw.
 */
export async function receiveOn(
  receiving: Receiving,
  conversation: Conversation,
): Promise<void> {
  const { acceptTimeoutMs } = receiving;
  const reception = new Reception(receiving, conversation);
  using _limit = alarm(acceptTimeoutMs, () => {
    if (conversation.session.begun) return;
    reception.fail(
      new TimeLimitError(
        `Nobody came within ${
          formatDuration(acceptTimeoutMs ?? 0)
        } (--accept-timeout)`,
      ),
    );
  });
  await reception.run();
}

class Reception {
  readonly #receiving: Receiving;
  readonly #conversation: Conversation;
  readonly #ended = Promise.withResolvers<void>();
  #strangers = 0;
  #giveUp: Disposable | undefined;

  constructor(receiving: Receiving, conversation: Conversation) {
    this.#receiving = receiving;
    this.#conversation = conversation;
  }

  /** Until the session has ended, or a failure. */
  async run(): Promise<void> {
    this.#acceptOn().catch(this.#ended.reject);
    try {
      await this.#ended.promise;
    } finally {
      this.#giveUp?.[Symbol.dispose]();
    }
  }

  fail(error: Error): void {
    this.#ended.reject(error);
  }

  async #acceptOn(): Promise<void> {
    while (!this.#conversation.ended) {
      const visitor = await this.#accept();
      if (visitor === undefined) continue;
      if (this.#conversation.ended || this.#strangers >= MAX_STRANGERS) {
        visitor.close();
      } else {
        this.#receive(visitor).catch(this.#ended.reject);
      }
    }
  }

  /** A system that is short of something for a while must not end a session. */
  async #accept(): Promise<PeerConnection | undefined> {
    try {
      return await this.#receiving.accept();
    } catch (error) {
      const { session, ended } = this.#conversation;
      if (!session.begun && !ended) throw error;
      await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
      return undefined;
    }
  }

  /** Refuses a stranger; the peer's connection takes the place of its last one. */
  async #receive(visitor: PeerConnection): Promise<void> {
    const preface = await this.#prefaceOf(visitor);
    if (preface === undefined) return visitor.close();
    const conversation = this.#conversation;
    const { session } = conversation;
    let refusal = session.refusal(preface);
    while (refusal === undefined && conversation.link !== undefined) {
      await conversation.link.stop();
      refusal = session.refusal(preface);
    }
    if (refusal !== undefined) await sayAndEnd(visitor, refusal);
    if (refusal !== undefined || conversation.ended) return visitor.close();
    session.attach(preface, performance.now());
    this.#giveUp?.[Symbol.dispose]();
    await conversation.hold(visitor, session.preface());
    if (conversation.ended) this.#ended.resolve();
    else if (!session.connected) this.#limitAbsence();
  }

  /** The visitor's preface, unless it is a stranger, who does not disturb. */
  async #prefaceOf(visitor: PeerConnection): Promise<Preface | undefined> {
    const { session, over } = this.#conversation;
    this.#strangers++;
    try {
      const preface = await readPreface(visitor, over);
      return typeof preface === "string" ? undefined : preface;
    } catch (error) {
      if (error instanceof DamagedError && !session.begun) throw error;
      return undefined;
    } finally {
      this.#strangers--;
    }
  }

  #limitAbsence(): void {
    const { session } = this.#conversation;
    this.#giveUp = alarm(session.giveUpAt - performance.now(), () => {
      try {
        session.giveUp();
        this.#ended.resolve();
      } catch (error) {
        this.#ended.reject(error);
      }
    });
  }
}

async function sayAndEnd(
  { sink }: PeerConnection,
  bytes: Uint8Array,
): Promise<void> {
  try {
    await sink.write(bytes);
    await sink.end();
  } catch (error) {
    if (!(error instanceof BrokenError)) throw error;
  }
}
