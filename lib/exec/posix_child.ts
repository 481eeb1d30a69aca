/**
 * A command as a process that posix_spawn(3) has started. Its pipes are sockets of
 * `node:net`, the only part of the runtime that takes over descriptors.
 */

import { Socket } from "node:net";
import { constants } from "node:os";
import { SpareBuffers } from "../pipe/buffers.ts";
import type {
  Child,
  ChildInput,
  ChildOutput,
  ChildStatus,
  StartChild,
} from "./child.ts";
import { LocalIoError, reasonOf } from "../base/errors.ts";
import { type ExitStatus, type Spawned, Spawner } from "./posix_spawn.ts";
import { type Program, programOf, shellProgram } from "./shell.ts";

/** @returns `undefined` where it cannot be done, as before Deno 2.9. */
export function spawnStarter(
  command: string,
  dataSize: number,
): StartChild | undefined {
  const spawner = takesDescriptors() ? Spawner.open() : undefined;
  if (spawner === undefined) return undefined;
  const direct = programOf(command);
  const shell = shellProgram(command);
  const buffers = new SpareBuffers(dataSize);
  return async (added) => {
    const environment = Object.entries(added).map((entry) => entry.join("="));
    const exited = Promise.withResolvers<ExitStatus>();
    const start = ({ path, words }: Program) =>
      spawner.spawn(path, words, environment, exited.resolve);
    const startDirectly = async () => {
      try {
        return direct && await start(direct);
      } catch {
        // The shell may know how, or says why not.
        return undefined;
      }
    };
    try {
      const spawned = await startDirectly() ?? await start(shell);
      return new SpawnedChild(spawned, exited.promise, buffers);
    } catch (error) {
      throw new LocalIoError(
        `Cannot start "${shell.path}": ${reasonOf(error)}`,
        { cause: error },
      );
    }
  };
}

/** Whether this runtime's `node:net` has sockets for descriptors. */
function takesDescriptors(): boolean {
  try {
    new Socket({ fd: -1 });
    return true;
  } catch (error) {
    return !(error instanceof Error && "code" in error &&
      error.code === "ERR_NOT_IMPLEMENTED");
  }
}

/** The names of signals by their numbers. */
const SIGNALS = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number, name]),
);

class SpawnedChild implements Child {
  readonly pid: number;
  readonly output: ChildOutput;
  readonly input: ChildInput;
  readonly status: Promise<ChildStatus>;

  constructor(
    { pid, stdin, stdout }: Spawned,
    exited: Promise<ExitStatus>,
    buffers: SpareBuffers,
  ) {
    this.pid = pid;
    this.output = new PipeOutput(stdout, buffers);
    this.input = new PipeInput(stdin);
    this.status = exited.then(({ code, signal }) => ({
      code,
      signal: signal === undefined
        ? null
        : SIGNALS.get(signal) ?? `signal ${signal}`,
    }));
  }
}

class PipeOutput implements ChildOutput {
  readonly #socket: Socket;
  readonly #buffers: SpareBuffers;
  #buffer: Uint8Array;
  readonly #ended = Promise.withResolvers<void>();
  readonly ended: Promise<void> = this.#ended.promise;
  /** How many bytes of the buffer are filled and not taken. */
  #filled = 0;
  #isOver = false;
  /** Resolves when there is something to take, or it is over. */
  #news = Promise.withResolvers<void>();

  constructor(fd: number, buffers: SpareBuffers) {
    this.#buffers = buffers;
    const buffer = this.#buffer = buffers.take();
    const callback = (count: number) => {
      this.#filled = count;
      this.#news.resolve();
      return false;
    };
    this.#socket = new Socket({
      fd,
      writable: false,
      onread: { buffer, callback },
    });
    this.#socket.on("end", () => this.#end());
    this.#socket.on("error", () => this.#end());
  }

  async read(): Promise<Uint8Array | null> {
    if (this.#filled === 0 && !this.#isOver) {
      this.#socket.resume();
      await this.#news.promise;
    }
    const count = this.#filled;
    this.#filled = 0;
    this.#news = Promise.withResolvers();
    if (count > 0) return this.#buffer.subarray(0, count);
    this.#giveBack();
    this.#ended.resolve();
    return null;
  }

  /** What was read has been taken, and nothing more is read. */
  #giveBack(): void {
    this.#buffers.giveBack(this.#buffer);
    this.#buffer = new Uint8Array(0);
  }

  close(): void {
    this.#end();
    this.#ended.resolve();
    this.#socket.destroy();
  }

  #end(): void {
    this.#isOver = true;
    this.#news.resolve();
  }
}

class PipeInput implements ChildInput {
  readonly #socket: Socket;
  #isDeaf = false;
  #written = Promise.withResolvers<void>();

  constructor(fd: number) {
    this.#socket = new Socket({ fd, readable: false });
    this.#socket.on("error", () => this.close());
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isDeaf) return;
    this.#written = Promise.withResolvers();
    this.#socket.write(bytes, () => this.#written.resolve());
    await this.#written.promise;
  }

  end(): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  close(): void {
    this.#isDeaf = true;
    this.#written.resolve();
    this.#socket.destroy();
  }
}
