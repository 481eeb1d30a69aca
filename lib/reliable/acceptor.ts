/**
 * How the listening side of a session gets its connections: it takes back its own
 * peer and nobody else.
 */

import { alarm } from "./wakeup.ts";
import type { Conversation } from "./live_session.ts";
import { BrokenError, DamagedError, TimeLimitError } from "../base/errors.ts";
import type { Preface } from "../../framing.ts";
import { type PeerConnection, readPreface } from "./frame_connection.ts";
import { REASON } from "./abort_codes.ts";
import type { Refusal } from "./session.ts";
import { newNonce } from "./token.ts";
import { formatDuration } from "../base/units.ts";

/**
 * How many connections may be without a preface at one time. Whoever comes next
 * takes the place of the one that has been at it for longest.
 */
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
  /** Who has not said who it is, the oldest first. */
  readonly #strangers = new Set<PeerConnection>();
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
      if (this.#conversation.ended) return visitor.close();
      const [oldest] = this.#strangers;
      if (this.#strangers.size >= MAX_STRANGERS) oldest?.close();
      this.#receive(visitor).catch(this.#ended.reject);
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
    this.#strangers.add(visitor);
    const greeting = await this.#greet(visitor);
    this.#strangers.delete(visitor);
    if (greeting === undefined) return visitor.close();
    const { preface, nonce } = greeting;
    const conversation = this.#conversation;
    const { session } = conversation;
    let refusal = session.refusal(preface, nonce);
    while (refusal === undefined && conversation.link !== undefined) {
      await conversation.link.stop();
      refusal = session.refusal(preface, nonce);
    }
    if (refusal !== undefined) {
      return await this.#refuse(visitor, refusal, "its token is wrong");
    }
    if (conversation.ended) return visitor.close();
    session.attach(preface, performance.now(), nonce);
    this.#giveUp?.[Symbol.dispose]();
    await conversation.hold(visitor, session.preface());
    if (conversation.ended) this.#ended.resolve();
    else if (!session.connected) this.#limitAbsence();
  }

  /**
   * Reads the visitor's preface; where a token is wanted, the one that proves it.
   *
   * @returns `undefined` for a stranger, who does not disturb.
   */
  async #greet(visitor: PeerConnection): Promise<Greeting | undefined> {
    const { session } = this.#conversation;
    const preface = await this.#prefaceOf(visitor);
    if (preface === undefined || !session.hasToken) {
      return preface && { preface };
    }
    const refusal = session.refusal(preface);
    if (refusal !== undefined) {
      await this.#refuse(visitor, refusal, "it has no token");
      return undefined;
    }
    const nonce = newNonce();
    await unlessGone(visitor.sink.write(session.challenge(nonce)));
    const proven = await this.#prefaceOf(visitor);
    return proven && { preface: proven, nonce };
  }

  async #prefaceOf(visitor: PeerConnection): Promise<Preface | undefined> {
    const { session, over } = this.#conversation;
    try {
      const preface = await readPreface(visitor, over);
      return typeof preface === "string" ? undefined : preface;
    } catch (error) {
      if (!(error instanceof DamagedError)) return undefined;
      // With a token, who has not proven to know it is not the peer.
      if (!session.begun && !session.hasToken) throw error;
      if (session.hasToken) {
        this.#sayRefused(visitor, "it speaks something else");
      }
      return undefined;
    }
  }

  async #refuse(
    visitor: PeerConnection,
    { reason, bytes }: Refusal,
    aboutToken: string,
  ): Promise<void> {
    if (reason === REASON.refused) {
      this.#sayRefused(visitor, `${aboutToken} (--token-file)`);
    }
    await unlessGone(visitor.sink.write(bytes));
    await unlessGone(visitor.sink.end());
    visitor.close();
  }

  #sayRefused({ peer }: PeerConnection, reason: string): void {
    const { report } = this.#conversation;
    report.say({ event: "handshake-failed", peer, reason });
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

/** What a visitor has said of itself. */
interface Greeting {
  readonly preface: Preface;
  /** What it was challenged with. */
  readonly nonce?: Uint8Array;
}

/** What is said to a visitor, who may have gone. */
async function unlessGone(saying: Promise<void>): Promise<void> {
  try {
    await saying;
  } catch (error) {
    if (!(error instanceof BrokenError)) throw error;
  }
}
