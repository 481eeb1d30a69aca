/** HandshakeListener: what becomes of those that nobody takes any more. */

import { assertEquals, assertRejects } from "@std/assert";
import { libc } from "../../../lib/base/libc.ts";
import { HandshakeListener } from "../../../lib/net/handshake_listener.ts";
import type { Listener } from "../../../lib/net/listener.ts";
import type { Socket } from "../../../lib/net/socket.ts";
import { within } from "../../helpers/deadlines.ts";
import { dial, rawListener, receiveText, send } from "../../helpers/tcp.ts";

// Opened once, and not by the test that needs it first.
libc();

/** A listener on a port of its own. */
function listen(): Listener & { readonly port: number } {
  const raw = rawListener();
  const close = () => raw.close();
  return {
    address: "here",
    exposed: false,
    port: raw.port,
    accept: () => raw.accept(),
    close,
    [Symbol.dispose]: close,
  };
}

for (const when of ["before", "after"]) {
  Deno.test(`close() resets those that have passed ${when} it, so that none takes it for the end of a stream`, async () => {
    const below = listen();
    const passed = Promise.withResolvers<void>();
    const late = Promise.withResolvers<void>();
    const here = Promise.withResolvers<void>();
    let count = 0;
    const handshake = async (socket: Socket) => {
      const isFirst = count++ === 0;
      if (count === 3) here.resolve();
      await (isFirst || when === "before" ? passed : late).promise;
      return socket;
    };
    const listener = new HandshakeListener(below, handshake, () => {});
    const accepted = listener.accept();
    using one = await dial(below.port);
    using two = await dial(below.port);
    using three = await dial(below.port);
    await within(here.promise, "three clients");
    passed.resolve();
    using first = await within(accepted, "the first");
    listener.close();
    late.resolve();
    await first.write(new TextEncoder().encode("welcome"));
    assertEquals(await receiveText(one, 7), "welcome");
    for (const other of [two, three]) {
      await assertRejects(
        () => receiveText(other),
        Deno.errors.ConnectionReset,
      );
    }
    await send(one, "thanks");
    assertEquals(await first.read(new Uint8Array(9)), 6);
  });
}
