/** A file on its way from one side to the other, over as many runs as it takes. */

import { assert, assertEquals } from "@std/assert";
import { randomBytes } from "./bytes.ts";
import { Folder, writtenTo } from "./folder.ts";
import type { Running } from "./process.ts";
import { sockpipe } from "./program.ts";

const RESUME = ["--reliable", "--resume"];
/** Short, so that who is left alone gives up soon. */
const PATIENCE = ["--resume-timeout", "200ms"];

/** The additions to the command lines of a {@linkcode Transfer}. */
export interface TransferOptions {
  /** Where the receiver listens; a port of its own when not given. */
  readonly address?: string;
  readonly receiver?: readonly string[];
  readonly sender?: readonly string[];
}

/** The two programs of a {@linkcode Transfer}. */
interface Sides {
  readonly receiver: Running;
  readonly sender: Running;
}

/** A file to be sent, and where it is received. */
export class Transfer implements Disposable {
  readonly data: Uint8Array;
  readonly #folder = new Folder();
  readonly #options: TransferOptions;

  constructor(bytes: number, options: TransferOptions = {}) {
    this.data = randomBytes(bytes, 7);
    this.#options = options;
    Deno.writeFileSync(this.source, this.data);
  }

  get source(): string {
    return `${this.#folder.path}/source`;
  }

  get target(): string {
    return `${this.#folder.path}/target`;
  }

  get part(): string {
    return `${this.target}.part`;
  }

  get names(): string[] {
    return this.#folder.names().toSorted();
  }

  /** Starts both sides, always with the same words. */
  async start(): Promise<Sides> {
    const { address = "0", receiver: more = [], sender = [] } = this.#options;
    const output = ["-v", "--receive-only", "--output", this.target];
    // So that a kill comes amid the transfer, however fast the machine is.
    const pace = ["--limit-rate", "32M"];
    const receiver = sockpipe([
      ...["--listen", address, ...RESUME, ...PATIENCE, ...pace],
      ...[...output, ...more],
    ]);
    const at = await receiver.listening();
    const retry = ["--retry-delay", "20ms", "--retry-timeout", "2s"];
    const args = ["--connect", at.address, ...retry, ...sender];
    return {
      receiver,
      sender: sockpipe([...args, "--send-only", ...RESUME, ...PATIENCE], {
        redirect: `< ${this.source}`,
      }),
    };
  }

  /** Waits until so much has come; throws at once when a side ends before. */
  async hasCome(bytes: number, { receiver, sender }: Sides): Promise<void> {
    await receiver.said(/session with .* begun/);
    const ended = [receiver, sender].map(async (side) => {
      const code = await side.code();
      const said = side.stderr.text();
      throw new Error(`It ended with ${code} before ${bytes} bytes:\n${said}`);
    });
    for (const end of ended) end.catch(() => {});
    await Promise.race([writtenTo(this.part, bytes), ...ended]);
  }

  async assertArrived(): Promise<void> {
    assertEquals(this.names, ["source", "target"]);
    const target = await Deno.readFile(this.target);
    // assertEquals would print all of both.
    assert(target.length === this.data.length);
    assert(target.every((byte, i) => byte === this.data[i]));
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}
