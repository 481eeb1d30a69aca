import { assertEquals } from "@std/assert";
import { libc, SYSTEMS } from "../../../lib/base/libc.ts";
import { unixTest } from "../../helpers/descriptors.ts";

Deno.test("the numbers of macOS are those of its headers", () => {
  const { fstatName: _, ...numbers } = SYSTEMS.darwin ?? {};
  assertEquals(numbers, {
    library: "/usr/lib/libSystem.B.dylib",
    errnoName: "__error",
    strerrorName: "strerror_r",
    // <sys/errno.h>
    EAGAIN: 35,
    ECONNREFUSED: 61,
    EPROTOTYPE: 41,
    // <sys/fcntl.h>
    O_NONBLOCK: 0x4,
    O_NOCTTY: 0x20000,
    O_CLOEXEC: 0x1000000,
    O_APPEND: 0x8,
    // <sys/socket.h>
    AF_INET6: 30,
    SOL_SOCKET: 0xffff,
    SO_LINGER: 0x80,
    SO_ERROR: 0x1007,
    SO_RCVBUF: 0x1002,
    SO_SNDBUF: 0x1001,
    MSG_DONTWAIT: 0x80,
    // That of macOS is younger than the systems that Deno runs on.
    MSG_NOSIGNAL: 0,
    // SO_KEEPALIVE, and TCP_KEEPALIVE, TCP_KEEPINTVL, TCP_KEEPCNT of <netinet/tcp.h>
    keepalive: { SO_KEEPALIVE: 8, idle: 0x10, interval: 0x101, count: 0x102 },
  });
});

unixTest(
  "the C library of this system opens, and says what its errors mean",
  () => {
    const c = libc();
    assertEquals(c?.system, SYSTEMS[Deno.build.os]);
    const EBADF = 9;
    assertEquals(c?.close(-1), -1);
    assertEquals(c?.errno(), EBADF);
    assertEquals(c?.strerror(EBADF), "Bad file descriptor");
  },
);
