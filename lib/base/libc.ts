/**
 * The C library: the calls of the operating system that Deno has none of its own
 * for. Nothing here throws; each call answers as the manual page says, and
 * {@linkcode errno} tells why it failed.
 *
 * Opening the library takes most of a millisecond, so it is done when it is needed
 * first, and once.
 */

import { openFunctions } from "./foreign_functions.ts";

/** Calls that answer at once, or block this thread for as long as they are asked to. */
const SYMBOLS = {
  close: { parameters: ["i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  dup2: { parameters: ["i32", "i32"], result: "i32" },
  // fcntl(2), ioctl(2) and open(2) take more arguments, but those are variadic,
  // which the foreign functions of Deno cannot say on every processor.
  fcntl: { parameters: ["i32", "i32"], result: "i32" },
  fstat: { parameters: ["i32", "buffer"], result: "i32" },
  geteuid: { parameters: [], result: "u32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpgrp: { parameters: [], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  // Without the third argument, for requests that have none.
  ioctl: { parameters: ["i32", "u64"], result: "i32" },
  isatty: { parameters: ["i32"], result: "i32" },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  pipe: { parameters: ["buffer"], result: "i32" },
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
  // What these move is less than 2 GiB, so that 32 bits hold the answer, which
  // costs no bigint.
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  raise: { parameters: ["i32"], result: "i32" },
  sched_yield: { parameters: [], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  setsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "u32"],
    result: "i32",
  },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  // The handler is null for SIG_DFL.
  signal: { parameters: ["i32", "pointer"], result: "pointer" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  tcgetpgrp: { parameters: ["i32"], result: "i32" },
  umask: { parameters: ["i32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  // The same on another thread; errno is that thread's, and cannot be had.
  pollAsync: {
    name: "poll",
    parameters: ["buffer", "usize", "i32"],
    result: "i32",
    nonblocking: true,
  },
  openAsync: {
    name: "open",
    parameters: ["buffer", "i32"],
    result: "i32",
    nonblocking: true,
  },
  readAsync: {
    name: "read",
    parameters: ["i32", "buffer", "usize"],
    result: "i32",
    nonblocking: true,
  },
  writeAsync: {
    name: "write",
    parameters: ["i32", "buffer", "usize"],
    result: "i32",
    nonblocking: true,
  },
} as const;

/** The calls that are made for every message. */
const COMPILED = ["poll", "read", "recv", "send", "write"] as const;

/** Calls that only Linux has, or that only there have one form on every processor. */
const LINUX_SYMBOLS = {
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  dup3: { parameters: ["i32", "i32", "i32"], result: "i32" },
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  fallocate: { parameters: ["i32", "i32", "i64", "i64"], result: "i32" },
  fallocateAsync: {
    name: "fallocate",
    parameters: ["i32", "i32", "i64", "i64"],
    result: "i32",
    nonblocking: true,
  },
  fcntlSet: {
    name: "fcntl",
    parameters: ["i32", "i32", "i32"],
    result: "i32",
  },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  splice: {
    parameters: ["i32", "pointer", "i32", "pointer", "usize", "u32"],
    result: "i32",
  },
} as const;

/** The call that gives the address of errno; its name differs between systems. */
const ERRNO_SYMBOL = { parameters: [], result: "pointer" } as const;
/** strerror_r(3) of POSIX; the name differs between systems. */
const STRERROR_SYMBOL = {
  parameters: ["i32", "buffer", "usize"],
  result: "i32",
} as const;

/** The calls, by name. */
export type LibC =
  & Deno.DynamicLibrary<typeof SYMBOLS>["symbols"]
  & {
    /** The numbers of this system. */
    readonly system: System;
    /** The calls of Linux; `undefined` elsewhere. */
    readonly linux:
      | Deno.DynamicLibrary<typeof LINUX_SYMBOLS>["symbols"]
      | undefined;
    /** Reads why the last call on this thread failed. Read it before any other call. */
    readonly errno: () => number;
    /** Writes the system's words for such a number, in English. */
    readonly strerror: (errno: number) => string;
  };

/** The numbers of `<errno.h>`, `<fcntl.h>` and `<sys/socket.h>` that differ between systems. */
export interface System {
  readonly library: string;
  readonly errnoName: string;
  /** fstat(2) with `struct stat` as it is today. */
  readonly fstatName: string;
  readonly strerrorName: string;
  readonly EAGAIN: number;
  readonly ECONNREFUSED: number;
  readonly EPROTOTYPE: number;
  readonly O_NONBLOCK: number;
  readonly O_NOCTTY: number;
  readonly O_CLOEXEC: number;
  readonly O_APPEND: number;
  readonly AF_INET6: number;
  readonly SOL_SOCKET: number;
  readonly SO_LINGER: number;
  readonly SO_ERROR: number;
  readonly SO_RCVBUF: number;
  readonly SO_SNDBUF: number;
  /** The options that `SocketDescriptor.keepAlive` sets, the last three of TCP. */
  readonly keepalive: {
    readonly SO_KEEPALIVE: number;
    readonly idle: number;
    readonly interval: number;
    readonly count: number;
  };
  readonly MSG_DONTWAIT: number;
  readonly MSG_NOSIGNAL: number;
}

/** The systems whose C library is known. */
export const SYSTEMS: Partial<Record<typeof Deno.build.os, System>> = {
  linux: {
    library: "libc.so.6",
    errnoName: "__errno_location",
    fstatName: "fstat",
    // glibc's strerror_r() is not the one of POSIX.
    strerrorName: "__xpg_strerror_r",
    EAGAIN: 11,
    ECONNREFUSED: 111,
    EPROTOTYPE: 91,
    O_NONBLOCK: 0o4000,
    O_NOCTTY: 0o400,
    O_CLOEXEC: 0o2000000,
    O_APPEND: 0o2000,
    AF_INET6: 10,
    SOL_SOCKET: 1,
    SO_LINGER: 13,
    SO_ERROR: 4,
    SO_RCVBUF: 8,
    SO_SNDBUF: 7,
    keepalive: { SO_KEEPALIVE: 9, idle: 4, interval: 5, count: 6 },
    MSG_DONTWAIT: 0x40,
    MSG_NOSIGNAL: 0x4000,
  },
  darwin: {
    library: "/usr/lib/libSystem.B.dylib",
    errnoName: "__error",
    // On Intel the plain name is that of an older structure.
    fstatName: Deno.build.arch === "x86_64" ? "fstat$INODE64" : "fstat",
    strerrorName: "strerror_r",
    EAGAIN: 35,
    ECONNREFUSED: 61,
    EPROTOTYPE: 41,
    O_NONBLOCK: 0x4,
    O_NOCTTY: 0x20000,
    O_CLOEXEC: 0x1000000,
    O_APPEND: 0x8,
    AF_INET6: 30,
    SOL_SOCKET: 0xffff,
    SO_LINGER: 0x80,
    SO_ERROR: 0x1007,
    SO_RCVBUF: 0x1002,
    SO_SNDBUF: 0x1001,
    keepalive: { SO_KEEPALIVE: 8, idle: 0x10, interval: 0x101, count: 0x102 },
    MSG_DONTWAIT: 0x80,
    // SIGPIPE is ignored in this program anyway.
    MSG_NOSIGNAL: 0,
  },
};

/** The request of macOS that has a descriptor closed in programs that are started. */
export const FIOCLEX = 0x20006601n;

/** The numbers that Linux and macOS share. */
export const AF_UNIX = 1;
export const AF_INET = 2;
export const EINTR = 4;
export const EPERM = 1;
export const EPIPE = 32;
export const F_GETFL = 3;
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const POLLIN = 1;
export const POLLOUT = 4;
export const POLLERR = 8;
export const POLLHUP = 16;
export const POLLNVAL = 32;
export const SEEK_CUR = 1;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;

let opened: LibC | null | undefined;

/**
 * Opens the C library, the first time; later there may be no descriptor left to
 * do it with.
 *
 * @returns `undefined` where there is none (Windows), or no permission for it.
 */
export function libc(): LibC | undefined {
  if (opened === undefined) opened = open() ?? null;
  return opened ?? undefined;
}

function open(): LibC | undefined {
  const system = SYSTEMS[Deno.build.os];
  if (system === undefined) return undefined;
  try {
    const symbols = openFunctions(system.library, {
      ...SYMBOLS,
      fstat: { ...SYMBOLS.fstat, name: system.fstatName },
      errnoAt: { ...ERRNO_SYMBOL, name: system.errnoName },
      strerrorTo: { ...STRERROR_SYMBOL, name: system.strerrorName },
    }, COMPILED);
    const at = symbols.errnoAt();
    if (at === null) return undefined;
    // A view of the memory, which can be read when the right to FFI is given up.
    const errnoView = new Int32Array(
      Deno.UnsafePointerView.getArrayBuffer(at, Int32Array.BYTES_PER_ELEMENT),
    );
    const linux = Deno.build.os === "linux"
      ? openFunctions(system.library, LINUX_SYMBOLS)
      : undefined;
    return {
      ...symbols,
      system,
      linux,
      errno: () => errnoView[0] ?? 0,
      strerror: (errno) => {
        const text = new Uint8Array(256);
        symbols.strerrorTo(errno, text, BigInt(text.length));
        return new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
      },
    };
  } catch {
    return undefined;
  }
}

const encoder = new TextEncoder();

/** Encodes a string as C has them, with a zero behind it. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(`${text}\0`);
}

/** Errors that others look for, by number; the numbers differ between systems. */
const CODES: Readonly<Record<number, string>> = Deno.build.os === "darwin"
  ? { [EPIPE]: "EPIPE", 54: "ECONNRESET", 60: "ETIMEDOUT" }
  : {
    13: "EACCES",
    [EPIPE]: "EPIPE",
    98: "EADDRINUSE",
    99: "EADDRNOTAVAIL",
    100: "ENETDOWN",
    101: "ENETUNREACH",
    104: "ECONNRESET",
    110: "ETIMEDOUT",
    111: "ECONNREFUSED",
    113: "EHOSTUNREACH",
  };

/** A call of the system that failed. Its message is the system's own, in English. */
export class SystemError extends Error {
  /** The number, such as 32 for EPIPE. */
  readonly errno: number;
  /** The name, such as "EPIPE"; `undefined` for errors that nothing here looks for. */
  readonly code: string | undefined;

  /** @param errno Why the last call failed. */
  constructor(c: LibC, errno: number = c.errno()) {
    super(c.strerror(errno));
    this.name = "SystemError";
    this.errno = errno;
    this.code = CODES[errno];
  }
}
