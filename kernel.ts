/**
 * The few things that the operating system can do and Deno has no call for, asked
 * of the C library directly. Each says whether it was done; where it cannot be
 * (another system, no permission for FFI), the program goes on without it.
 *
 * Opening the library takes 4 to 14 ms, so nothing here runs before it is needed.
 */

const SYMBOLS = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  dup2: { parameters: ["i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  fstat: { parameters: ["i32", "buffer"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
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

/** The C library's file name, and the numbers that differ between systems. */
const SYSTEMS: Partial<
  Record<
    typeof Deno.build.os,
    {
      readonly library: string;
      readonly errno: string;
      readonly ECONNREFUSED: number;
      readonly EPROTOTYPE: number;
      readonly SOL_SOCKET: number;
      readonly SO_LINGER: number;
    }
  >
> = {
  linux: {
    library: "libc.so.6",
    errno: "__errno_location",
    ECONNREFUSED: 111,
    EPROTOTYPE: 91,
    SOL_SOCKET: 1,
    SO_LINGER: 13,
  },
  darwin: {
    library: "libSystem.dylib",
    errno: "__error",
    ECONNREFUSED: 61,
    EPROTOTYPE: 41,
    SOL_SOCKET: 0xffff,
    SO_LINGER: 0x0080,
  },
};
const system = SYSTEMS[Deno.build.os];

const O_RDWR = 2;
/** How far descriptors are searched; a run with one connection has about 30. */
const MAX_DESCRIPTORS = 1024;

let libc: LibC | null | undefined;

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
  /** Closes the socket with a reset, whatever the runtime thinks of it. */
  reset(): void;
}

/**
 * Finds the descriptor of a TCP connection by its two ports, which no other
 * socket of this process can have both, on the same addresses.
 *
 * @returns `undefined` where there is no such call or no such socket.
 */
export function findSocket(
  localPort: number,
  remotePort: number,
): SocketHandle | undefined {
  const c = loadLibC();
  if (c === null || system === undefined) return undefined;
  const fd = findDescriptor(c, localPort, remotePort);
  if (fd === undefined) return undefined;
  const { SOL_SOCKET, SO_LINGER } = system;
  const setLinger = (onOff: 0 | 1) => {
    const linger = new Int32Array([onOff, 0]);
    c.setsockopt(fd, SOL_SOCKET, SO_LINGER, bytesOf(linger), 8);
  };
  return {
    resetOnClose: () => setLinger(1),
    closeOnClose: () => setLinger(0),
    reset() {
      const nowhere = c.open(new TextEncoder().encode("/dev/null\0"), O_RDWR);
      if (nowhere < 0) return;
      setLinger(1);
      c.dup2(nowhere, fd);
      c.close(nowhere);
    },
  };
}

function findDescriptor(
  c: LibC,
  localPort: number,
  remotePort: number,
): number | undefined {
  const address = new Uint8Array(128);
  const length = new Uint32Array(1);
  const portOf = (call: typeof c.getsockname, fd: number) => {
    length[0] = address.length;
    if (call(fd, address, bytesOf(length)) !== 0) return undefined;
    // sin_port and sin6_port lie at the same place, in network byte order.
    return ((address[2] ?? 0) << 8) | (address[3] ?? 0);
  };
  for (let fd = 3; fd < MAX_DESCRIPTORS; fd++) {
    if (
      portOf(c.getsockname, fd) === localPort &&
      portOf(c.getpeername, fd) === remotePort
    ) return fd;
  }
  return undefined;
}

function bytesOf(array: Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>) {
  return new Uint8Array(array.buffer);
}
