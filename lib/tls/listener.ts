/** A listener whose peers have passed TLS. */

import { HandshakeListener } from "../net/handshake_listener.ts";
import type { Listener } from "../net/listener.ts";
import type { Reporter } from "../report/reporter.ts";
import type { TlsServer } from "./tls.ts";

/** Accepts the clients that pass TLS; the others are reported. */
export class TlsListener extends HandshakeListener {
  /** @param listener Opened with `server.listenTls`; this object's from now on. */
  constructor(
    listener: Listener,
    server: TlsServer,
    report: Pick<Reporter, "say">,
  ) {
    super(
      listener,
      async (socket, signal) =>
        Object.assign(await server.secure(socket, signal), {
          listenerPin: server.identity?.pin,
        }),
      (peer, reason) => report.say({ event: "handshake-failed", peer, reason }),
    );
  }
}
