/** Both addresses of a socket as one text, by which a socket of Deno's is found. */

import { AF_INET, AF_UNIX } from "../base/libc.ts";

/** Both addresses of a connection. */
export interface SocketAddresses {
  readonly localAddr: Deno.Addr;
  readonly remoteAddr: Deno.Addr;
}

/** Calls getpeername(2) or getsockname(2), with a descriptor or a handle of Windows. */
type AskAddress<Handle> = (
  socket: Handle,
  address: Uint8Array<ArrayBuffer>,
  length: Uint8Array<ArrayBuffer>,
) => number;

/** The calls and numbers that differ between systems. */
export interface NameCalls<Handle> {
  readonly getpeername: AskAddress<Handle>;
  readonly getsockname: AskAddress<Handle>;
  /** The offset of the family in `struct sockaddr`, in bytes. */
  readonly familyAt: 0 | 1;
  /** AF_INET6. */
  readonly inet6: number;
}

/** Indexes connections by the name of their sockets. */
export function indexByName<T extends SocketAddresses>(
  connections: Iterable<T>,
): Map<string, T> {
  const byName = new Map<string, T>();
  for (const connection of connections) {
    const { localAddr, remoteAddr } = connection;
    byName.set(`${nameOf(localAddr)} ${nameOf(remoteAddr)}`, connection);
  }
  return byName;
}

/** Names of sockets, made of their addresses. */
export class SocketNames<Handle = number> {
  readonly #calls: NameCalls<Handle>;
  readonly #address = new Uint8Array(128);
  readonly #view = new DataView(this.#address.buffer);
  readonly #length = new Uint32Array(1);
  readonly #lengthBytes = new Uint8Array(this.#length.buffer);

  constructor(calls: NameCalls<Handle>) {
    this.#calls = calls;
  }

  /**
   * Makes the name of a socket: its own address and the peer's; empty when it is
   * not connected.
   */
  of(socket: Handle): string {
    // Most are of other things, and making the names is what takes time.
    if (!this.#ask(this.#calls.getpeername, socket)) return "";
    const remote = this.#name();
    if (!this.#ask(this.#calls.getsockname, socket)) return "";
    return `${this.#name()} ${remote}`;
  }

  #ask(call: AskAddress<Handle>, socket: Handle): boolean {
    this.#length[0] = this.#address.length;
    return call(socket, this.#address, this.#lengthBytes) === 0;
  }

  #name(): string | undefined {
    const { familyAt, inet6 } = this.#calls;
    const family = this.#address[familyAt];
    const port = this.#view.getUint16(2);
    if (family === AF_UNIX) return this.#path();
    if (family === AF_INET) {
      return `${this.#address.subarray(4, 8).join(".")}:${port}`;
    }
    if (family !== inet6) return undefined;
    const groups = Array.from(
      { length: 8 },
      (_, i) => this.#view.getUint16(8 + 2 * i).toString(16),
    );
    const hostname = groups.join(":");
    return nameOf({ transport: "tcp", hostname, port });
  }

  #path(): string {
    const path = this.#address.subarray(2, this.#length[0]);
    const end = path.indexOf(0);
    return `unix:${
      new TextDecoder().decode(end < 0 ? path : path.subarray(0, end))
    }`;
  }
}

/** Writes an address in its canonical form (RFC 5952 for IPv6). */
function nameOf(address: Deno.Addr): string {
  if (address.transport === "unix" || address.transport === "unixpacket") {
    return `unix:${address.path ?? ""}`;
  }
  if (!("hostname" in address)) return "";
  const { hostname, port } = address;
  if (!hostname.includes(":")) return `${hostname}:${port}`;
  const bare = hostname.replace(/%.*$/, "");
  return `${new URL(`http://[${bare}]`).hostname}:${port}`;
}
