/** A command as a process of the runtime's own `Deno.Command`. */

import type {
  Child,
  ChildInput,
  ChildOutput,
  ChildStatus,
  StartChild,
} from "./child.ts";
import { LocalIoError, reasonOf } from "../base/errors.ts";
import { mayBeExecuted, programOf, shellProgram } from "./shell.ts";

/** Where Linux has the program that starts another one in a session of its own. */
const SETSID_PATHS = ["/usr/bin/setsid", "/bin/setsid"] as const;

export function commandStarter(
  command: string,
  dataSize: number,
): StartChild {
  const { words, detached } = launch(command);
  const [program, ...args] = words;
  return (environment) => {
    try {
      const child = new Deno.Command(program, {
        args,
        env: environment,
        stdin: "piped",
        stdout: "piped",
        stderr: "inherit",
        detached,
      }).spawn();
      return new CommandChild(child, dataSize);
    } catch (error) {
      throw new LocalIoError(`Cannot start "${program}": ${reasonOf(error)}`, {
        cause: error,
      });
    }
  };
}

/** How the command is started, in a group of its own. */
interface Launch {
  readonly words: readonly [string, ...string[]];
  readonly detached: boolean;
}

/**
 * With `detached` the runtime must fork, which copies its page tables and holds up
 * everything else for several milliseconds; without it the runtime need not
 * (posix_spawn), and a small program can make the group.
 */
function launch(command: string): Launch {
  const setsid = Deno.build.os === "linux"
    ? SETSID_PATHS.find(mayBeExecuted)
    : undefined;
  const shell = shellProgram(command);
  if (setsid === undefined) {
    return { words: shell.words, detached: Deno.build.os !== "windows" };
  }
  const { words } = programOf(command) ?? shell;
  return { words: [setsid, ...words], detached: false };
}

class CommandChild implements Child {
  readonly pid: number;
  readonly output: ChildOutput;
  readonly input: ChildInput;
  readonly status: Promise<ChildStatus>;

  constructor(child: Deno.ChildProcess, dataSize: number) {
    this.pid = child.pid;
    this.status = child.status;
    this.output = new StreamOutput(child.stdout, dataSize);
    this.input = new StreamInput(child.stdin);
  }
}

class StreamOutput implements ChildOutput {
  readonly #reader: ReadableStreamBYOBReader;
  readonly #ended = Promise.withResolvers<void>();
  readonly ended: Promise<void> = this.#ended.promise;
  #buffer: ArrayBuffer;

  constructor(stream: ReadableStream<Uint8Array>, dataSize: number) {
    this.#reader = stream.getReader({ mode: "byob" });
    this.#buffer = new ArrayBuffer(dataSize);
  }

  async read(): Promise<Uint8Array | null> {
    const { done, value } = await this.#reader.read(
      new Uint8Array(this.#buffer),
    );
    if (done || value === undefined) {
      this.#ended.resolve();
      return null;
    }
    this.#buffer = value.buffer;
    return value;
  }

  close(): void {
    this.#ended.resolve();
    this.#reader.cancel().catch(() => {});
  }
}

class StreamInput implements ChildInput {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #isDeaf = false;

  constructor(stream: WritableStream<Uint8Array>) {
    this.#writer = stream.getWriter();
    this.#writer.closed.catch(() => {});
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isDeaf) return;
    await this.#writer.write(bytes).catch(() => this.#isDeaf = true);
  }

  async end(): Promise<void> {
    if (this.#isDeaf) return;
    this.#isDeaf = true;
    await this.#writer.close().catch(() => {});
  }

  close(): void {
    this.#isDeaf = true;
    this.#writer.abort().catch(() => {});
  }
}
