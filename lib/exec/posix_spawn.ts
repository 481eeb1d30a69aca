/**
 * Starting a program by posix_spawn(3), asked of the C library directly: in a
 * session of its own, which the runtime can only do by a fork. That would copy the
 * page tables of a large process while all other connections wait.
 *
 * Linux only.
 */

import { Buffer } from "node:buffer";

const SYMBOLS = {
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  posix_spawn: {
    // Buffers and no pointers, as the runtime keeps those alive during the call.
    parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
    // The calling thread waits for the program to be loaded: some milliseconds.
    nonblocking: true,
  },
  posix_spawn_file_actions_init: { parameters: ["buffer"], result: "i32" },
  posix_spawn_file_actions_adddup2: {
    parameters: ["buffer", "i32", "i32"],
    result: "i32",
  },
  posix_spawn_file_actions_destroy: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_init: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_setflags: { parameters: ["buffer", "i16"], result: "i32" },
  posix_spawnattr_setsigdefault: {
    parameters: ["buffer", "buffer"],
    result: "i32",
  },
  posix_spawnattr_setsigmask: {
    parameters: ["buffer", "buffer"],
    result: "i32",
  },
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  strerror: { parameters: ["i32"], result: "pointer" },
  environ: { type: "pointer" },
  __errno_location: { parameters: [], result: "pointer" },
} as const;

type LibC = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** Of `<spawn.h>`: default and blocked signals are set, and setsid(2) is called. */
const FLAGS = { setSigDef: 0x04, setSigMask: 0x08, setSid: 0x80 } as const;
/** More than glibc's or musl's `posix_spawnattr_t` and `posix_spawn_file_actions_t`. */
const OPAQUE_BYTES = 1024;
/** glibc's and musl's `sigset_t`. */
const SIGSET_BYTES = 128;
const SIGPIPE = 13;
const O_CLOEXEC = 0o2000000;
const WNOHANG = 1;

/** What errno says of descriptors: this process has too many, the system has. */
const SHORTAGES: Readonly<Record<number, string>> = {
  24: "EMFILE",
  23: "ENFILE",
};

/** A program that was started, and our ends of its pipes, the caller's to close. */
export interface Spawned {
  readonly pid: number;
  /** The descriptor to write to. */
  readonly stdin: number;
  /** The descriptor to read from. */
  readonly stdout: number;
}

/** How a process ended: by an exit code, or by the number of a signal. */
export interface ExitStatus {
  readonly code: number;
  readonly signal: number | undefined;
}

/** The C library, as far as processes need it; `undefined` where it is not to be had. */
export class Spawner {
  readonly #c: LibC;
  readonly #attributes = new Uint8Array(OPAQUE_BYTES);
  readonly #environment: readonly Variable[];
  /** Those that live, and who is told of their end. */
  readonly #living = new Map<number, (status: ExitStatus) => void>();

  private constructor(c: LibC) {
    this.#c = c;
    this.#environment = variablesAt(c.environ);
    c.posix_spawnattr_init(this.#attributes);
    const none = new Uint8Array(SIGSET_BYTES);
    const pipe = new Uint8Array(SIGSET_BYTES);
    // The runtime ignores it; a program that is started must not.
    pipe[(SIGPIPE - 1) >> 3] = 1 << ((SIGPIPE - 1) & 7);
    c.posix_spawnattr_setsigdefault(this.#attributes, pipe);
    c.posix_spawnattr_setsigmask(this.#attributes, none);
    const { setSigDef, setSigMask, setSid } = FLAGS;
    c.posix_spawnattr_setflags(
      this.#attributes,
      setSigDef | setSigMask | setSid,
    );
    Deno.addSignalListener("SIGCHLD", () => this.#reapAll());
  }

  /** @returns `undefined` where the C library cannot be asked. */
  static open(): Spawner | undefined {
    try {
      return new Spawner(Deno.dlopen("libc.so.6", SYMBOLS).symbols);
    } catch {
      return undefined;
    }
  }

  /**
   * Starts a program as the leader of a new session, with pipes as its stdin and
   * stdout, and our stderr.
   *
   * @param path The program's file.
   * @param words Its arguments, with its own name as the first; none has a NUL.
   * @param environment What its environment has beside or instead of ours, as
   * `NAME=value`; none has a NUL.
   * @param onExit Called once when it has ended; no zombie is left then.
   * @throws {Error} With the system's reason, and `code` for a lack of descriptors.
   */
  async spawn(
    path: string,
    words: readonly string[],
    environment: readonly string[],
    onExit: (status: ExitStatus) => void,
  ): Promise<Spawned> {
    const c = this.#c;
    const input = this.#pipe();
    let output: Pipe | undefined;
    const actions = new Uint8Array(OPAQUE_BYTES);
    c.posix_spawn_file_actions_init(actions);
    try {
      output = this.#pipe();
      c.posix_spawn_file_actions_adddup2(actions, input.reader, 0);
      c.posix_spawn_file_actions_adddup2(actions, output.writer, 1);
      const pid = new Int32Array(1);
      const inherited = this.#inherited(environment);
      const errno = await c.posix_spawn(
        Buffer.from(pid.buffer),
        Buffer.from(`${path}\0`),
        actions,
        this.#attributes,
        strings(words),
        strings(environment, inherited),
      );
      if (errno !== 0) throw this.#error(errno);
      const [child = 0] = pid;
      this.#living.set(child, onExit);
      // It may have ended before anybody knew of it.
      this.#reap(child);
      return { pid: child, stdin: input.writer, stdout: output.reader };
    } catch (error) {
      c.close(input.writer);
      if (output !== undefined) c.close(output.reader);
      throw error;
    } finally {
      c.close(input.reader);
      if (output !== undefined) c.close(output.writer);
      c.posix_spawn_file_actions_destroy(actions);
    }
  }

  /** Our own environment, byte for byte as it is, without the names of others. */
  #inherited(others: readonly string[]): bigint[] {
    const names = new Set(others.map(nameOf));
    return this.#environment
      .filter(({ name }) => !names.has(name))
      .map(({ address }) => address);
  }

  #pipe(): Pipe {
    const ends = new Int32Array(2);
    if (this.#c.pipe2(Buffer.from(ends.buffer), O_CLOEXEC) !== 0) {
      const errno = this.#c.__errno_location();
      throw this.#error(
        errno === null ? 0 : new Deno.UnsafePointerView(errno).getInt32(),
      );
    }
    const [reader = -1, writer = -1] = ends;
    return { reader, writer };
  }

  #error(errno: number): Error {
    const text = this.#c.strerror(errno);
    const error = new Error(
      text === null ? `error ${errno}` : Deno.UnsafePointerView
        .getCString(text),
    );
    return Object.assign(error, { code: SHORTAGES[errno] });
  }

  /** One signal may tell of several. */
  #reapAll(): void {
    for (const pid of this.#living.keys()) this.#reap(pid);
  }

  #reap(pid: number): void {
    const status = new Int32Array(1);
    const bytes = Buffer.from(status.buffer);
    const found = this.#c.waitpid(pid, bytes, WNOHANG);
    if (found === 0) return;
    // Where it is gone already, nobody can say how it ended.
    const onExit = this.#living.get(pid);
    this.#living.delete(pid);
    onExit?.(statusOf(status[0] ?? 0));
  }
}

interface Pipe {
  readonly reader: number;
  readonly writer: number;
}

/** As `<sys/wait.h>` reads it: WTERMSIG, WEXITSTATUS. */
function statusOf(status: number): ExitStatus {
  const signal = status & 0x7f;
  return signal === 0
    ? { code: (status >> 8) & 0xff, signal: undefined }
    : { code: 128 + signal, signal };
}

/** A variable of our environment, and where it is. */
interface Variable {
  readonly name: string;
  readonly address: bigint;
}

/** Nobody changes our environment, so this is good for the whole run. */
function variablesAt(environ: Deno.PointerValue): Variable[] {
  const variables: Variable[] = [];
  // The address of the C variable.
  const first = environ && new Deno.UnsafePointerView(environ).getPointer();
  if (first === null) return variables;
  const table = new Deno.UnsafePointerView(first);
  for (let offset = 0;; offset += 8) {
    const text = table.getPointer(offset);
    if (text === null) return variables;
    // Only the name is looked at; the value need not be UTF-8.
    const bytes = new Deno.UnsafePointerView(text);
    let name = "";
    for (let i = 0, byte; (byte = bytes.getUint8(i)) !== 0; i++) {
      if (byte === EQUALS) break;
      name += String.fromCharCode(byte);
    }
    variables.push({ name, address: Deno.UnsafePointer.value(text) });
  }
}

const EQUALS = "=".charCodeAt(0);

/** The name in `NAME=value`. */
function nameOf(variable: string): string {
  return variable.slice(0, variable.indexOf("="));
}

/**
 * An array of C strings with a null pointer at its end, with the strings behind it
 * in the same memory.
 *
 * @param others Where strings are that come first, and stay where they are.
 */
function strings(
  texts: readonly string[],
  others: readonly bigint[] = [],
): ArrayBuffer {
  const bytes = Buffer.from(texts.map((text) => `${text}\0`).join(""));
  const count = others.length + texts.length;
  const tableBytes = (count + 1) * BigUint64Array.BYTES_PER_ELEMENT;
  const memory = new ArrayBuffer(tableBytes + bytes.length);
  const table = new BigUint64Array(memory, 0, count);
  table.set(others);
  new Uint8Array(memory, tableBytes).set(bytes);
  const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(memory));
  let offset = 0;
  for (let i = others.length; i < count; i++) {
    table[i] = address + BigInt(tableBytes + offset);
    offset = bytes.indexOf(0, offset) + 1;
  }
  return memory;
}
