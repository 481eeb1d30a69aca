/**
 * A command as a process that posix_spawn(3) has started. Our ends are sockets of
 * `node:net`, the only part of the runtime that takes over descriptors.
 */

import { Socket } from "node:net";
import { constants } from "node:os";
import { BufferPool } from "../../framing.ts";
import type {
  Child,
  ChildInput,
  ChildOptions,
  ChildOutput,
  ChildStatus,
  StartChild,
} from "./child.ts";
import { LocalIoError, reasonOf } from "../base/errors.ts";
import { type Spawned, Spawner } from "./posix_spawn.ts";
import type { ExitStatus, Group } from "./reaper.ts";
import { findDirectProgram, type Program, shellProgram } from "./shell.ts";

/**
 * Prepares to start a command by posix_spawn(3).
 *
 * @returns `undefined` where it cannot be done, as before Deno 2.9.
 */
export function posixChildStarter(
  command: string,
  options: ChildOptions,
): (StartChild & Disposable) | undefined {
  const spawner = takesDescriptors() ? Spawner.open() : undefined;
  if (spawner === undefined) return undefined;
  const direct = findDirectProgram(command);
  const shell = shellProgram(command);
  const buffers = new BufferPool(options.dataSize);
  const start: StartChild = async (added) => {
    const environment = Object.entries(added).map((entry) => entry.join("="));
    const spawn = ({ path, words }: Program) =>
      spawner.spawn({ path, words, environment, socket: options.socket });
    const spawnDirectly = async () => {
      try {
        return direct && await spawn(direct);
      } catch {
        // The shell may know how, or says why not.
        return undefined;
      }
    };
    try {
      const spawned = await spawnDirectly() ?? await spawn(shell);
      return new PosixChild(spawned, options.socket, buffers);
    } catch (error) {
      throw new LocalIoError(
        `Cannot start "${shell.path}": ${reasonOf(error)}`,
        { cause: error },
      );
    }
  };
  return Object.assign(start, {
    [Symbol.dispose]: () => spawner[Symbol.dispose](),
  });
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

/** The numbers of signals by their names. */
const NUMBERS: Readonly<Record<string, number>> = constants.signals;

/** The names of signals by their numbers. */
const NAMES = new Map(
  Object.entries(NUMBERS).map(([name, number]) => [number, name]),
);

class PosixChild implements Child {
  readonly output: ChildOutput;
  readonly input: ChildInput;
  readonly status: Promise<ChildStatus>;
  readonly groupEnded: Promise<void>;
  readonly #group: Group;

  constructor(
    { group, stdin, stdout }: Spawned,
    isSocket: boolean,
    buffers: BufferPool,
  ) {
    this.#group = group;
    this.output = new DescriptorOutput(stdout, buffers);
    this.input = new DescriptorInput(stdin, isSocket);
    this.status = group.status.then(statusOf);
    this.groupEnded = group.ended;
  }

  kill(signal: Deno.Signal): void {
    const number = NUMBERS[signal];
    if (number !== undefined) this.#group.signal(number);
  }
}

function statusOf({ code, signal }: ExitStatus): ChildStatus {
  if (signal === undefined) return { code, signal: null };
  return { code, signal: NAMES.get(signal) ?? `signal ${signal}` };
}

class DescriptorOutput implements ChildOutput {
  readonly #socket: Socket;
  readonly #buffers: BufferPool;
  #buffer: Uint8Array;
  readonly #ended = Promise.withResolvers<void>();
  readonly ended: Promise<void> = this.#ended.promise;
  /** The bytes of the buffer that are filled and not taken. */
  #filled = 0;
  #isOver = false;
  /** Resolves when there is something to take, or it is over. */
  #ready = Promise.withResolvers<void>();

  constructor(fd: number, buffers: BufferPool) {
    this.#buffers = buffers;
    const buffer = this.#buffer = buffers.take();
    const callback = (count: number) => {
      this.#filled = count;
      this.#ready.resolve();
      return false;
    };
    this.#socket = new Socket({
      fd,
      writable: false,
      onread: { buffer, callback },
    });
    this.#socket.on("end", () => this.#end());
    // Of a socket: the process has ended, and has not read everything. Other errors
    // end its output, too; its exit code tells whether that was a failure.
    this.#socket.on("error", () => this.#end());
  }

  async read(): Promise<Uint8Array | null> {
    if (this.#filled === 0 && !this.#isOver) {
      this.#socket.resume();
      await this.#ready.promise;
    }
    const count = this.#filled;
    this.#filled = 0;
    this.#ready = Promise.withResolvers();
    if (count > 0) return this.#buffer.subarray(0, count);
    this.#giveBack();
    this.#ended.resolve();
    return null;
  }

  /** Gives the buffer back; call it when all was taken and nothing more is read. */
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
    this.#ready.resolve();
  }
}

class DescriptorInput implements ChildInput {
  readonly #socket: Socket;
  readonly #isSocket: boolean;
  #isClosed = false;
  #written = Promise.withResolvers<void>();

  constructor(fd: number, isSocket: boolean) {
    this.#isSocket = isSocket;
    this.#socket = new Socket({ fd, readable: false });
    this.#socket.on("error", () => this.close());
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isClosed) return;
    this.#written = Promise.withResolvers();
    this.#socket.write(bytes, () => this.#written.resolve());
    await this.#written.promise;
  }

  end(): Promise<void> {
    if (!this.#isSocket || this.#isClosed) this.close();
    // The other descriptor keeps a socket open: its end has to be sent.
    else this.#socket.end(() => this.close());
    return Promise.resolve();
  }

  close(): void {
    this.#isClosed = true;
    this.#written.resolve();
    this.#socket.destroy();
  }
}
