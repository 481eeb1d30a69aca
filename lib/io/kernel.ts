/**
 * The few things that the operating system can do and Deno has no call for, asked
 * of the C library directly. Each says whether it was done; where it cannot be
 * (another system, no permission for FFI), the program goes on without it.
 *
 * Opening the library takes 4 to 14 ms, so nothing here runs before it is needed.
 */

const SYMBOLS = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  dup2: { parameters: ["i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  fstat: { parameters: ["i32", "buffer"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  setsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "u32"],
    result: "i32",
  },
} as const;

/** Where the C library keeps errno; the name differs between systems. */
const ERRNO_SYMBOLS = {
  errno: { parameters: [], result: "pointer" },
} as const;

type LibC =
  & Deno.DynamicLibrary<typeof SYMBOLS>["symbols"]
  & Deno.DynamicLibrary<typeof ERRNO_SYMBOLS>["symbols"];

interface System {
  readonly library: string;
  readonly errno: string;
  readonly ECONNREFUSED: number;
  readonly EPROTOTYPE: number;
  readonly AF_INET6: number;
  readonly SOL_SOCKET: number;
  readonly SO_LINGER: number;
}

/** The C library's file name, and the numbers that differ between systems. */
const SYSTEMS: Partial<Record<typeof Deno.build.os, System>> = {
  linux: {
    library: "libc.so.6",
    errno: "__errno_location",
    ECONNREFUSED: 111,
    EPROTOTYPE: 91,
    AF_INET6: 10,
    SOL_SOCKET: 1,
    SO_LINGER: 13,
  },
  darwin: {
    library: "libSystem.dylib",
    errno: "__error",
    ECONNREFUSED: 61,
    EPROTOTYPE: 41,
    AF_INET6: 30,
    SOL_SOCKET: 0xffff,
    SO_LINGER: 0x0080,
  },
};
const system = SYSTEMS[Deno.build.os];

const O_RDWR = 2;
const SHUT_RDWR = 2;
/** How far descriptors are searched where they are not listed. */
const MAX_DESCRIPTORS = 1024;

let libc: LibC | null | undefined;

/** Opens the library now; later there may be no descriptor left to do it with. */
export function loadKernel(): void {
  loadLibC();
}

function loadLibC(): LibC | null {
  if (libc !== undefined) return libc;
  try {
    libc = system === undefined ? null : Deno.dlopen(system.library, {
      ...SYMBOLS,
      errno: { ...ERRNO_SYMBOLS.errno, name: system.errno },
    }).symbols;
  } catch {
    libc = null;
  }
  return libc;
}

/**
 * Closes stdout, so that the program that reads it sees its end now and not when
 * this process is gone. `Deno.stdout.close()` does not: the runtime keeps the
 * descriptor, and a duplicate of it, open for as long as it lives. Both are
 * replaced by /dev/null, and stay valid for whoever writes to them by mistake.
 *
 * @returns Whether it was done. It is not when stdin or stderr is the same pipe
 * or terminal as stdout, since their reader would see no end anyway.
 */
export function closeStdout(): boolean {
  const c = loadLibC();
  if (c === null) return false;
  const stdout = fileIdentity(c, 1);
  if (stdout === undefined) return false;
  if ([0, 2].some((fd) => fileIdentity(c, fd) === stdout)) return false;
  const nowhere = c.open(new TextEncoder().encode("/dev/null\0"), O_RDWR);
  if (nowhere < 0) return false;
  for (let fd = 1; fd < MAX_DESCRIPTORS; fd++) {
    if (fileIdentity(c, fd) === stdout) c.dup2(nowhere, fd);
  }
  c.close(nowhere);
  return true;
}

/**
 * Closes every descriptor above 2 that a file is open with: each stands for
 * /dev/null from then on, so that whoever writes to it may go on.
 *
 * @returns Whether none is left; `false` where that cannot be known.
 */
export function closeDescriptorsOf(path: string): boolean {
  const c = loadLibC();
  if (c === null) return false;
  const asked = c.open(new TextEncoder().encode(`${path}\0`), O_RDWR);
  // Nobody else can have it open for writing, then.
  if (asked < 0) return true;
  const file = fileIdentity(c, asked);
  c.close(asked);
  const nowhere = c.open(new TextEncoder().encode("/dev/null\0"), O_RDWR);
  if (nowhere < 0 || file === undefined) return false;
  for (const fd of openDescriptors()) {
    if (fd > 2 && fileIdentity(c, fd) === file) c.dup2(nowhere, fd);
  }
  c.close(nowhere);
  return true;
}

/** Of `<fcntl.h>`, the same on all Linux; fcntl(2) is not asked elsewhere. */
const FCNTL = {
  getFlags: 3,
  setFlags: 4,
  setPipeSize: 1031,
  getPipeSize: 1032,
} as const;
const O_NONBLOCK = 0o4000;
const SEEK_CUR = 1;
/** What an unprivileged process may ask for (pipe(7), pipe-max-size). */
const LARGE_PIPE_BYTES = 1024 * 1024;

/**
 * How much of the file on stdin was read before, by whoever had it open.
 *
 * @returns In bytes; `undefined` when it cannot be told, or is no file.
 */
export function offsetOfStdin(): number | undefined {
  const offset = loadLibC()?.lseek(0, 0n, SEEK_CUR) ?? -1n;
  return offset < 0n ? undefined : Number(offset);
}

/**
 * Makes ready for bulk what is behind stdin or stdout, on Linux: a pipe gets room
 * for a megabyte, so that one call moves as much.
 *
 * @param fd 0 or 1.
 * @returns `file` for what never blocks for long (a regular file, /dev/null),
 * `large-pipe` for a pipe that has the room now, else `other`.
 */
export function prepareForBulk(fd: 0 | 1): "file" | "large-pipe" | "other" {
  const c = Deno.build.os === "linux" ? loadLibC() : null;
  if (c === null) return "other";
  if (c.fcntl(fd, FCNTL.setPipeSize, LARGE_PIPE_BYTES) > 0) return "large-pipe";
  const std = fd === 0 ? Deno.stdin : Deno.stdout;
  return !std.isTerminal() && c.lseek(fd, 0n, SEEK_CUR) >= 0n
    ? "file"
    : "other";
}

/**
 * Makes stdin or stdout block again, which another program that has it open as
 * well may have changed. Deno cannot work with one that does not: its stdout
 * writes a part, says that it would block, and does not say how much it wrote.
 *
 * @param fd 0 or 1.
 * @returns Undoes it, for those others; `undefined` when there was nothing to do.
 */
export function makeBlocking(fd: 0 | 1): (() => void) | undefined {
  const c = Deno.build.os === "linux" ? loadLibC() : null;
  const flags = c?.fcntl(fd, FCNTL.getFlags, 0) ?? -1;
  if (c === null || flags < 0 || (flags & O_NONBLOCK) === 0) return undefined;
  c.fcntl(fd, FCNTL.setFlags, flags & ~O_NONBLOCK);
  return () => c.fcntl(fd, FCNTL.setFlags, flags);
}

/** What a pipe takes in one piece, or not at all (pipe(7)). */
export const PIPE_BUF = 4096;
/** Of `<poll.h>`. */
const POLLOUT = 4;

/**
 * Watches the room in stdout, if that is a pipe, on Linux.
 *
 * @returns Tells whether a write of at most {@linkcode PIPE_BUF} bytes will not
 * wait. `undefined` where that cannot be known.
 */
export function watchStdoutRoom(): (() => boolean) | undefined {
  const c = Deno.build.os === "linux" ? loadLibC() : null;
  if (c === null || c.fcntl(1, FCNTL.getPipeSize, 0) <= 0) return undefined;
  // struct pollfd: the descriptor; what is asked for and what is so, 16 bits each.
  const request = Uint16Array.of(1, 0, POLLOUT, 0);
  const bytes = new Uint8Array(request.buffer);
  // A reader that is gone shows as POLLERR beside it: left to an ordinary write.
  return () => c.poll(bytes, 1n, 0) === 1 && request[3] === POLLOUT;
}

/**
 * Which file a descriptor stands for: its device and inode, the first 16 bytes of
 * `struct stat` on 64-bit Linux and macOS.
 */
function fileIdentity(c: LibC, fd: number): string | undefined {
  const stat = new Uint8Array(256);
  if (c.fstat(fd, stat) !== 0) return undefined;
  return stat.subarray(0, 16).join();
}

const AF_UNIX = 1;
const SOCK_DGRAM = 2;

/**
 * Whether some process has the unix stream socket at `path` open. Connecting to it
 * would tell, too, but a listener that waits for one peer would take us for it. So
 * a datagram socket is connected, which a stream socket refuses: with EPROTOTYPE
 * while it lives, with ECONNREFUSED when it is only a name any more.
 *
 * @param path At most as long as the system allows.
 * @returns `undefined` where it cannot be known.
 */
export function isSocketAlive(path: string): boolean | undefined {
  const c = loadLibC();
  if (c === null || system === undefined) return undefined;
  const fd = c.socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0) return undefined;
  const address = unixSocketAddress(path);
  const done = c.connect(fd, address, address.length) === 0;
  const errno = errnoOf(c);
  c.close(fd);
  if (done || errno === system.EPROTOTYPE) return true;
  return errno === system.ECONNREFUSED ? false : undefined;
}

/** `struct sockaddr_un`: BSD has a length before the family, Linux does not. */
function unixSocketAddress(path: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(path);
  const address = new Uint8Array(2 + bytes.length + 1);
  if (Deno.build.os === "linux") {
    address.set(new Uint8Array(Uint16Array.of(AF_UNIX).buffer));
  } else {
    address.set([address.length, AF_UNIX]);
  }
  address.set(bytes, 2);
  return address;
}

function errnoOf(c: LibC): number | undefined {
  const pointer = c.errno();
  return pointer === null
    ? undefined
    : new Deno.UnsafePointerView(pointer).getInt32();
}

/** A handle on the descriptor of one TCP socket. */
export interface SocketHandle {
  /**
   * Makes a close that nobody asked for (the process is killed) reset the
   * connection. The peer then sees a failure instead of what looks like the end
   * of the stream. SO_LINGER with a time of 0, RFC 9293 section 3.10.4 ABORT.
   */
  resetOnClose(): void;
  /** Lets a close be an ordinary one again. */
  closeOnClose(): void;
  /** Says that the socket is about to be closed; the last call. */
  letGo(): void;
  /** Ends both directions, so that whatever waits on it ends; the last call. */
  shutDown(): void;
  /** Closes the socket with a reset, whatever the runtime thinks of it. */
  reset(): void;
}

/** Both addresses of a TCP connection, which no other one has both of. */
export interface SocketAddresses {
  readonly localAddr: Deno.NetAddr;
  readonly remoteAddr: Deno.NetAddr;
}

/**
 * Finds the descriptors of TCP connections. One search costs about a microsecond
 * for each descriptor that this process has open and no handle is held of, so it
 * is better done for many connections at a time.
 *
 * @returns Those that were found; none where there is no such call. A handle
 * counts as held until it resets the socket or lets go of it.
 */
export function findSockets<T extends SocketAddresses>(
  connections: Iterable<T>,
): Map<T, SocketHandle> {
  const found = new Map<T, SocketHandle>();
  const c = loadLibC();
  if (c === null || system === undefined) return found;
  const wanted = new Map<string, T>();
  const remotePorts = new Set<number>();
  for (const connection of connections) {
    const { localAddr, remoteAddr } = connection;
    wanted.set(`${nameOf(localAddr)} ${nameOf(remoteAddr)}`, connection);
    remotePorts.add(remoteAddr.port);
  }
  const socket = new SocketNames(c);
  for (const fd of openDescriptors()) {
    if (wanted.size === 0) break;
    if (fd < 3 || held.has(fd)) continue;
    // Most are of others, and making the name is what takes time.
    if (!remotePorts.has(socket.remotePort(fd))) continue;
    const name = socket.names(fd);
    const connection = wanted.get(name);
    if (connection === undefined) continue;
    wanted.delete(name);
    found.set(connection, handleOf(c, fd, system));
  }
  return found;
}

/** The descriptors of sockets that a handle is held of. */
const held = new Set<number>();

function handleOf(
  c: LibC,
  fd: number,
  { SOL_SOCKET, SO_LINGER }: System,
): SocketHandle {
  held.add(fd);
  const setLinger = (onOff: 0 | 1) => {
    const linger = new Int32Array([onOff, 0]);
    c.setsockopt(fd, SOL_SOCKET, SO_LINGER, bytesOf(linger), 8);
  };
  return {
    resetOnClose: () => setLinger(1),
    closeOnClose: () => setLinger(0),
    letGo: () => held.delete(fd),
    shutDown() {
      held.delete(fd);
      c.shutdown(fd, SHUT_RDWR);
    },
    reset() {
      held.delete(fd);
      const nowhere = c.open(new TextEncoder().encode("/dev/null\0"), O_RDWR);
      if (nowhere < 0) return;
      setLinger(1);
      c.dup2(nowhere, fd);
      c.close(nowhere);
    },
  };
}

/** The numbers of all descriptors, as far as the system tells them. */
function openDescriptors(): Iterable<number> {
  try {
    const folder = Deno.build.os === "linux" ? "/proc/self/fd" : "/dev/fd";
    return Array.from(Deno.readDirSync(folder), ({ name }) => Number(name));
  } catch {
    return Array(MAX_DESCRIPTORS).keys();
  }
}

const AF_INET = 2;

/** Tells the addresses of sockets. */
class SocketNames {
  readonly #c: LibC;
  readonly #address = new Uint8Array(128);
  readonly #view = new DataView(this.#address.buffer);
  readonly #length = new Uint32Array(1);
  readonly #lengthBytes = bytesOf(this.#length);

  constructor(c: LibC) {
    this.#c = c;
  }

  /** `NaN` when it has none. */
  remotePort(fd: number): number {
    return this.#ask(this.#c.getpeername, fd) ? this.#port() : NaN;
  }

  /** Its own address and the peer's, as {@linkcode nameOf} names them. */
  names(fd: number): string {
    const local = this.#ask(this.#c.getsockname, fd) && this.#name();
    const remote = this.#ask(this.#c.getpeername, fd) && this.#name();
    return `${local} ${remote}`;
  }

  #ask(
    call: LibC["getsockname"] | LibC["getpeername"],
    fd: number,
  ): boolean {
    this.#length[0] = this.#address.length;
    return call(fd, this.#address, this.#lengthBytes) === 0;
  }

  #port(): number {
    return this.#view.getUint16(2);
  }

  #name(): string | undefined {
    // struct sockaddr: macOS has a length before the family, both have one byte.
    const family = this.#address[Deno.build.os === "linux" ? 0 : 1];
    if (family === AF_INET) {
      return `${this.#address.subarray(4, 8).join(".")}:${this.#port()}`;
    }
    if (family !== system?.AF_INET6) return undefined;
    const groups = Array.from(
      { length: 8 },
      (_, i) => this.#view.getUint16(8 + 2 * i).toString(16),
    );
    const hostname = groups.join(":");
    return nameOf({ transport: "tcp", hostname, port: this.#port() });
  }
}

/** An address in the one form that each has (RFC 5952 for IPv6). */
function nameOf({ hostname, port }: Deno.NetAddr): string {
  if (!hostname.includes(":")) return `${hostname}:${port}`;
  const address = hostname.replace(/%.*$/, "");
  return `${new URL(`http://[${address}]`).hostname}:${port}`;
}

function bytesOf(array: Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>) {
  return new Uint8Array(array.buffer);
}
