import { assertEquals, assertRejects } from "@std/assert";
import { Connection } from "../../../lib/net/connection.ts";
import type { Socket } from "../../../lib/net/socket.ts";
import { BrokenError } from "../../../lib/base/errors.ts";
import { Traffic } from "../../../lib/pipe/traffic.ts";

const ADDRESS = { transport: "tcp", hostname: "192.0.2.1", port: 9 } as const;

/** A socket whose peer has ended, and whose writes fail once we have ended too. */
function socketOfEnded(failure: Error): Socket {
  let ended = false;
  return {
    localAddr: ADDRESS,
    remoteAddr: ADDRESS,
    read: () => Promise.resolve(null),
    write: (bytes) =>
      ended ? Promise.reject(failure) : Promise.resolve(bytes.length),
    closeWrite() {
      ended = true;
      return Promise.resolve();
    },
    close() {},
    [Symbol.dispose]() {},
  };
}

async function endBothSides(failure: Error): Promise<void> {
  const options = { dataSize: undefined, traffic: new Traffic() };
  using connection = new Connection(socketOfEnded(failure), options);
  assertEquals(await connection.source.read(), null);
  await connection.sink.end();
}

Deno.test("a connection has ended well where a write says so by its code only", async () => {
  // As on Windows, where no class of error stands for WSAESHUTDOWN.
  await endBothSides(Object.assign(new Error("shut down"), { code: "EPIPE" }));
});

Deno.test("a connection is broken when the write that asks meets a reset", async () => {
  await assertRejects(
    () => endBothSides(new Deno.errors.ConnectionReset("reset")),
    BrokenError,
  );
});

for (const isSelfDelimited of [false, true]) {
  const closes = isSelfDelimited ? "is closed" : "stays open";
  Deno.test(`a connection that cannot be reset, and whose close says that it has ended, ${closes} when aborted`, () => {
    let isClosed = false;
    const conn: Socket = {
      ...socketOfEnded(new Error()),
      // A unix socket knows no reset.
      localAddr: { transport: "unix", path: "/nowhere" },
      remoteAddr: { transport: "unix", path: "/nowhere" },
      closeSaysEnd: true,
      close: () => void (isClosed = true),
    };
    const traffic = new Traffic();
    new Connection(conn, { dataSize: 1, traffic, isSelfDelimited }).abort();
    assertEquals(isClosed, isSelfDelimited);
  });
}
