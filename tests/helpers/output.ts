import { concat } from "./bytes.ts";
import { DEADLINE_MS, within } from "./deadlines.ts";

const decoder = new TextDecoder();

/** Everything that a stream has brought so far. Read at once, unless held. */
export class Output {
  /** How many bytes have come. */
  length = 0;
  /** When each chunk came, in ms as of `performance.now`. */
  readonly times: number[] = [];
  /** Resolves at the end of the stream; never rejects. */
  readonly ended: Promise<void>;
  readonly #chunks: Uint8Array[] = [];
  readonly #released = Promise.withResolvers<void>();
  readonly #name: string;
  #change = Promise.withResolvers<void>();
  #isEnded = false;

  /**
   * @param options.held Whether to read nothing before {@linkcode release}.
   */
  constructor(
    name: string,
    stream: ReadableStream<Uint8Array>,
    options: { held?: boolean } = {},
  ) {
    this.#name = name;
    if (!options.held) this.release();
    this.ended = this.#readAll(stream);
  }

  /** Starts to read a held stream. */
  release(): void {
    this.#released.resolve();
  }

  async #readAll(stream: ReadableStream<Uint8Array>): Promise<void> {
    await this.#released.promise;
    try {
      for await (const chunk of stream) {
        this.#chunks.push(chunk);
        this.length += chunk.length;
        this.times.push(performance.now());
        this.#notify();
      }
    } finally {
      this.#isEnded = true;
      this.#notify();
    }
  }

  #notify(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  /** All bytes so far. */
  bytes(): Uint8Array<ArrayBuffer> {
    return concat(this.#chunks);
  }

  /** All text so far. */
  text(): string {
    return decoder.decode(this.bytes());
  }

  /** Waits until at least `length` bytes have come. */
  async atLeast(length: number): Promise<void> {
    await this.#when(
      () => this.length >= length ? true : undefined,
      () => `${length} bytes on ${this.#name}, got ${this.length}`,
    );
  }

  /** Waits until what has come so far matches. */
  match(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#when(
      () => pattern.exec(this.text()) ?? undefined,
      () => `${pattern} on ${this.#name}, got ${this.#quoted()}`,
    );
  }

  /**
   * Waits until what has come so far matches a pattern so many times. A pattern that
   * is repeated in itself would be tried in every combination.
   *
   * @param pattern With the flag `g`.
   * @returns The last of them.
   */
  nth(pattern: RegExp, count: number): Promise<RegExpExecArray> {
    return this.#when(
      () => [...this.text().matchAll(pattern)][count - 1],
      () => `${pattern} ${count} times on ${this.#name}, got ${this.#quoted()}`,
    );
  }

  #quoted(): string {
    return JSON.stringify(this.text());
  }

  async #when<T>(
    ask: () => T | undefined,
    what: () => string,
  ): Promise<T> {
    const end = performance.now() + DEADLINE_MS;
    for (;;) {
      const change = this.#change.promise;
      const answer = ask();
      if (answer !== undefined) return answer;
      if (this.#isEnded) throw new Error(`Ended without ${what()}`);
      await within(change, what, Math.max(1, end - performance.now()));
    }
  }
}
