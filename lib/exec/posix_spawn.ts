/**
 * Starting a program by posix_spawn(3), asked of the C library directly: in a
 * session of its own, which the runtime can only do by a fork. That would copy the
 * page tables of a large process while all other connections wait.
 *
 * Linux only.
 */

import { Buffer } from "node:buffer";
import {
  type ExitStatus,
  type Group,
  type ProcessTable,
  Reaper,
} from "./reaper.ts";

const SYMBOLS = {
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
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

type ProcessCalls = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/**
 * Numbers of `<spawn.h>`: default and blocked signals are set, and setsid(2) is
 * called.
 */
const FLAGS = { setSigDef: 0x04, setSigMask: 0x08, setSid: 0x80 } as const;
/** More than glibc's or musl's `posix_spawnattr_t` and `posix_spawn_file_actions_t`. */
const OPAQUE_BYTES = 1024;
/** glibc's and musl's `sigset_t`. */
const SIGSET_BYTES = 128;
const SIGPIPE = 13;
const O_CLOEXEC = 0o2000000;
const F_DUPFD_CLOEXEC = 1030;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const WNOHANG = 1;
const ANY_CHILD = -1;
const PR_SET_CHILD_SUBREAPER = 36;

/** The errors of a lack of descriptors: of this process, of the system. */
const SHORTAGES: Readonly<Record<number, string>> = {
  24: "EMFILE",
  23: "ENFILE",
};

/** The program to start, and its surroundings. */
export interface SpawnOptions {
  /** The program's file. */
  readonly path: string;
  /** Its arguments, its own name the first; none has a NUL. */
  readonly words: readonly string[];
  /** `NAME=value` beside our own environment, or instead; none has a NUL. */
  readonly environment: readonly string[];
  /** Whether one socket is both its stdin and its stdout; else they are pipes. */
  readonly socket: boolean;
}

/** A program that was started, with our ends, the caller's to close. */
export interface Spawned {
  readonly group: Group;
  /** The descriptor to write to; of a socket, which has to be shut down. */
  readonly stdin: number;
  /** The descriptor to read from. */
  readonly stdout: number;
}

/** Starts programs by posix_spawn(3). */
export class Spawner implements Disposable {
  readonly #c: ProcessCalls;
  readonly #attributes = new Uint8Array(OPAQUE_BYTES);
  readonly #environment: readonly Variable[];
  readonly #reaper: Reaper;
  readonly #onChild = () => this.#reaper.reapAll();

  private constructor(c: ProcessCalls) {
    this.#c = c;
    this.#environment = variablesAt(c.environ);
    this.#reaper = new Reaper(processTable(c));
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
    // Whoever outlives its parent becomes our child, so that its end is seen.
    c.prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n);
    Deno.addSignalListener("SIGCHLD", this.#onChild);
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
   * Starts a program as the leader of a new session, with our stderr. Leaves no
   * zombie when it has ended.
   *
   * @throws {Error} With the system's reason, and `code` for a lack of descriptors.
   */
  async spawn(
    { path, words, environment, socket }: SpawnOptions,
  ): Promise<Spawned> {
    const c = this.#c;
    const { ours, theirs } = socket ? this.#socketPair() : this.#pipes();
    const actions = new Uint8Array(OPAQUE_BYTES);
    c.posix_spawn_file_actions_init(actions);
    c.posix_spawn_file_actions_adddup2(actions, theirs.stdin, 0);
    c.posix_spawn_file_actions_adddup2(actions, theirs.stdout, 1);
    const inherited = this.#inherited(environment);
    try {
      const group = await this.#reaper.start(async () => {
        const pid = new Int32Array(1);
        const errno = await c.posix_spawn(
          Buffer.from(pid.buffer),
          Buffer.from(`${path}\0`),
          actions,
          this.#attributes,
          strings(words),
          strings(environment, inherited),
        );
        if (errno !== 0) throw this.#error(errno);
        return pid[0] ?? 0;
      });
      return { group, ...ours };
    } catch (error) {
      this.#close(ours);
      throw error;
    } finally {
      this.#close(theirs);
      c.posix_spawn_file_actions_destroy(actions);
    }
  }

  /** Follows the processes no more. */
  [Symbol.dispose](): void {
    this.#c.prctl(PR_SET_CHILD_SUBREAPER, 0n, 0n, 0n, 0n);
    Deno.removeSignalListener("SIGCHLD", this.#onChild);
  }

  /**
   * Finds the strings of our own environment, without the given names, byte for
   * byte.
   */
  #inherited(others: readonly string[]): bigint[] {
    const names = new Set(others.map(nameOf));
    return this.#environment
      .filter(({ name }) => !names.has(name) && !NOT_INHERITED.has(name))
      .map(({ address }) => address);
  }

  #pipes(): Channel {
    const [theirStdin, stdin] = this.#pair((fds) =>
      this.#c.pipe2(fds, O_CLOEXEC)
    );
    try {
      const [stdout, theirStdout] = this.#pair((fds) =>
        this.#c.pipe2(fds, O_CLOEXEC)
      );
      return {
        ours: { stdin, stdout },
        theirs: { stdin: theirStdin, stdout: theirStdout },
      };
    } catch (error) {
      this.#close({ stdin, stdout: theirStdin });
      throw error;
    }
  }

  /**
   * Makes a socket pair, with two descriptors on our side so that each direction
   * can fail on its own.
   */
  #socketPair(): Channel {
    const [stdin, theirs] = this.#pair((fds) =>
      this.#c.socketpair(AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0, fds)
    );
    const stdout = this.#c.fcntl(stdin, F_DUPFD_CLOEXEC, 0);
    if (stdout < 0) {
      const error = this.#lastError();
      this.#close({ stdin, stdout: theirs });
      throw error;
    }
    return {
      ours: { stdin, stdout },
      theirs: { stdin: theirs, stdout: theirs },
    };
  }

  #pair(make: (fds: Buffer<ArrayBuffer>) => number): [number, number] {
    const fds = new Int32Array(2);
    if (make(Buffer.from(fds.buffer)) !== 0) throw this.#lastError();
    const [first = -1, second = -1] = fds;
    return [first, second];
  }

  #close({ stdin, stdout }: Descriptors): void {
    this.#c.close(stdin);
    if (stdout !== stdin) this.#c.close(stdout);
  }

  #lastError(): Error {
    const errno = this.#c.__errno_location();
    return this.#error(
      errno === null ? 0 : new Deno.UnsafePointerView(errno).getInt32(),
    );
  }

  #error(errno: number): Error {
    const text = this.#c.strerror(errno);
    const error = new Error(
      text === null ? `error ${errno}` : Deno.UnsafePointerView
        .getCString(text),
    );
    return Object.assign(error, { code: SHORTAGES[errno] });
  }
}

interface Descriptors {
  readonly stdin: number;
  readonly stdout: number;
}

/** The descriptors between us and a program. */
interface Channel {
  readonly ours: Descriptors;
  readonly theirs: Descriptors;
}

function processTable(c: ProcessCalls): ProcessTable {
  return {
    reap() {
      const status = new Int32Array(1);
      const pid = c.waitpid(ANY_CHILD, Buffer.from(status.buffer), WNOHANG);
      return pid > 0 ? { pid, status: statusOf(status[0] ?? 0) } : undefined;
    },
    signalGroup: (leader, signal) => c.kill(-leader, signal) === 0,
  };
}

/** Decodes a status as `<sys/wait.h>` does: WTERMSIG, WEXITSTATUS. */
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

/** Variables that are meant for this process alone (sd_notify(3), sd_listen_fds(3)). */
const NOT_INHERITED: ReadonlySet<string> = new Set([
  "LISTEN_FDNAMES",
  "LISTEN_FDS",
  "LISTEN_PID",
  "NOTIFY_SOCKET",
]);

/** Lists the variables of our environment, once: nobody adds to it. */
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

/** Finds the name in `NAME=value`. */
function nameOf(variable: string): string {
  return variable.slice(0, variable.indexOf("="));
}

/**
 * Makes an array of C strings with a null pointer at its end, with the strings
 * behind it in the same memory.
 *
 * @param others The addresses of strings that come first, and stay where they are.
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
