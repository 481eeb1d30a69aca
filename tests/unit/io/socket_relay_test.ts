/** A relay of sockets of which epoll(7) takes no notice. */

import { assertRejects } from "@std/assert";
import { BrokenError } from "../../../lib/base/errors.ts";
import { libc } from "../../../lib/base/libc.ts";
import { SocketRelay } from "../../../lib/io/socket_relay.ts";
import { Traffic } from "../../../lib/pipe/traffic.ts";
import { within } from "../../helpers/deadlines.ts";

// Opened for all tests of this process; it is never closed.
const c = libc();

Deno.test({
  name: "SocketRelay ends a pair that epoll(7) does not take",
  ignore: c?.linux === undefined,
  async fn() {
    if (c?.linux === undefined) return;
    const linux = { ...c.linux, epoll_ctl: () => -1 };
    using relay = SocketRelay.open({ ...c, linux }, 1024);
    const socket = (fd: number) => ({
      fd,
      peer: `socket ${fd}`,
      shutdown: () => {},
      takeError: () => undefined,
    });
    const { signal } = new AbortController();
    const traffic = new Traffic();
    const joined = relay?.join(socket(9998), socket(9999), { signal, traffic });
    await assertRejects(
      () => within(joined ?? Promise.resolve(), "the end", 5000),
      BrokenError,
      '"socket 9998"',
    );
  },
});
