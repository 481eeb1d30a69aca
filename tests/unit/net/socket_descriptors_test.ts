import { assert, assertEquals, assertThrows } from "@std/assert";
import type { LibC } from "../../../lib/base/libc.ts";
import {
  findSockets,
  SocketDescriptor,
} from "../../../lib/net/socket_descriptors.ts";
import { c, macLike, unixTest } from "../../helpers/descriptors.ts";

const ECONNRESET = 104;
const SO_NWRITE = 0x1024;

/** A library of macOS in which a socket has errors, one a question, and a queue. */
function withAnswers(errors: number[], queued: number): LibC {
  return macLike({
    getsockopt: (_fd, _level, option, answer) => {
      const value = option === SO_NWRITE ? queued : errors.shift() ?? 0;
      if (answer instanceof Uint8Array) {
        answer.set(new Uint8Array(Int32Array.of(value).buffer));
      }
      return 0;
    },
  });
}

unixTest("isAcknowledged() is true on macOS when nothing is queued", () => {
  for (const [queued, expected] of [[0, true], [7, false]] as const) {
    const socket = new SocketDescriptor(withAnswers([], queued), 1000);
    assertEquals(socket.isAcknowledged(), expected);
    socket.forget();
  }
});

unixTest(
  "isAcknowledged() takes no reset of macOS for an acknowledgement",
  () => {
    // The reset comes between the two questions, and empties the queue.
    const socket = new SocketDescriptor(withAnswers([0, ECONNRESET], 0), 1000);
    assertThrows(() => socket.isAcknowledged(), Error, "reset");
    socket.forget();
  },
);

unixTest("reset() on macOS puts /dev/null in the place of the socket", () => {
  const done: string[] = [];
  const socket = new SocketDescriptor(
    macLike({
      setsockopt: (fd, _level, _option, value) => {
        const linger = value instanceof Uint8Array ? value.slice() : undefined;
        const [onOff, seconds] = new Int32Array(linger?.buffer ?? []);
        done.push(`linger ${fd} ${onOff} ${seconds}`);
        return 0;
      },
      open: (path) =>
        done.push(new TextDecoder().decode(path ?? undefined)) + 6,
      dup2: (from, to) => done.push(`dup2 ${from} ${to}`),
      close: (fd) => done.push(`close ${fd}`),
    }),
    1000,
  );
  socket.reset();
  assertEquals(done, [
    "linger 1000 1 0",
    "/dev/null\0",
    "dup2 8 1000",
    "close 8",
  ]);
});

unixTest(
  "findSockets() finds a connection, and tells its two ends apart",
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const [dialled, accepted] = await Promise.all([
      Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
      listener.accept(),
    ]);
    using _dialled = dialled;
    using _accepted = accepted;
    const found = findSockets([dialled, accepted]);
    const fds = [found.get(dialled)?.fd, found.get(accepted)?.fd];
    assert(fds.every((fd) => fd !== undefined && fd > 2));
    assert(fds[0] !== fds[1]);
    for (const socket of found.values()) socket.forget();
    assert(c().fcntl(fds[0] ?? -1, 1) >= 0, "it is open still");
  },
);
