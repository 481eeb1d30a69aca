/**
 * Sockets that whoever started us has opened and passed on, by the protocol of
 * systemd (sd_listen_fds(3)): from descriptor 3 on, as many as LISTEN_FDS says, for
 * the process whose number LISTEN_PID says.
 */

import { libc } from "../base/libc.ts";
import { ListenError, reasonOf } from "../base/errors.ts";
import { formatAddress, isLoopback } from "./address.ts";
import {
  adoptListener,
  closeOnExec,
  type LinuxLibC,
  localAddress,
} from "./adopted_socket.ts";
import { type Accepting, JoinedListener } from "./joined_listener.ts";
import type { Socket } from "./socket.ts";

const FIRST_DESCRIPTOR = 3;
/** The most that is believed; systemd passes on no more than a unit names. */
const MAX_DESCRIPTORS = 256;

/** Numbers of `<sys/socket.h>` of Linux. */
const SO_TYPE = 3;
const SO_ACCEPTCONN = 30;
const SOCK_STREAM = 1;

/** A listening socket of Deno, of any kind. */
type AnyListener = Accepting<Socket, Deno.NetAddr | Deno.UnixAddr>;

/** The sockets that were passed on, as one listener; the caller's to close. */
export interface PassedSockets {
  readonly listener: Pick<AnyListener, "accept" | "close">;
  readonly addresses: readonly {
    readonly address: string;
    /** Whether other machines can reach it. */
    readonly exposed: boolean;
  }[];
}

/**
 * Takes the sockets that were passed on; a second call finds none, and neither do
 * programs that are started.
 *
 * @param listenTcp Opens a TCP listener of the kind that is wanted, of any address.
 * @param isTcpOnly Whether unix sockets cannot be used.
 * @throws {ListenError} There is none, or one is of no use.
 */
export function takePassedSockets(
  listenTcp: () => AnyListener,
  { isTcpOnly }: { readonly isTcpOnly: boolean },
): PassedSockets {
  const c = libc();
  const linux = c?.linux;
  if (c === undefined || linux === undefined) {
    throw failure("only Linux passes sockets on in this way");
  }
  const descriptors = passedDescriptors();
  using opened = new DisposableStack();
  const all = descriptors.map((fd) => {
    const address = checkedAddress({ ...c, linux }, fd);
    const isUnix = address.transport === "unix";
    if (isUnix && isTcpOnly) {
      throw failure(
        `"${formatAddress(address)}" is no TCP socket, and --tls goes over TCP`,
      );
    }
    const listener = adopt(
      { ...c, linux },
      fd,
      isUnix ? openPlaceholder : listenTcp,
    );
    opened.defer(() => listener.close());
    return { address, listener };
  });
  const [first, ...others] = all.map(({ listener }) => listener);
  if (first === undefined) throw failure("no socket was passed on");
  opened.move();
  return {
    listener: others.length === 0
      ? first
      : new JoinedListener([first, ...others]),
    addresses: all.map(({ address }) => ({
      address: formatAddress(address),
      exposed: address.transport === "tcp" && !isLoopback(address.hostname),
    })),
  };
}

/** Reads the environment, and leaves nothing in it for others. */
function passedDescriptors(): number[] {
  const [count, pid] = ["LISTEN_FDS", "LISTEN_PID"].map((name) => {
    const text = Deno.env.get(name) ?? "";
    Deno.env.delete(name);
    return /^\d+$/.test(text) ? Number(text) : 0;
  });
  Deno.env.delete("LISTEN_FDNAMES");
  if (count === undefined || count === 0 || pid !== Deno.pid) {
    throw failure(
      "no socket was passed on to this process (LISTEN_FDS, LISTEN_PID): start it by a socket unit of systemd, or by systemd-socket-activate",
    );
  }
  if (count > MAX_DESCRIPTORS) {
    throw failure(
      `${count} sockets were passed on, and ${MAX_DESCRIPTORS} is the most`,
    );
  }
  return Array.from({ length: count }, (_, index) => FIRST_DESCRIPTOR + index);
}

function checkedAddress(
  c: LinuxLibC,
  fd: number,
): Deno.NetAddr | Deno.UnixAddr {
  closeOnExec(c, fd);
  const address = localAddress(c, fd);
  const listens = option(c, fd, SO_TYPE) === SOCK_STREAM &&
    option(c, fd, SO_ACCEPTCONN) === 1;
  if (address !== undefined && listens) return address;
  throw failure(
    `descriptor ${fd} is no listening stream socket: the socket unit wants ListenStream= and Accept=no`,
  );
}

function option(c: LinuxLibC, fd: number, name: number): number | undefined {
  const answer = new Int32Array(1);
  const bytes = new Uint8Array(answer.buffer);
  const length = new Uint8Array(Uint32Array.of(bytes.length).buffer);
  const { SOL_SOCKET } = c.system;
  return c.getsockopt(fd, SOL_SOCKET, name, bytes, length) === 0
    ? answer[0]
    : undefined;
}

function adopt(
  c: LinuxLibC,
  fd: number,
  open: () => AnyListener,
): AnyListener {
  try {
    return adoptListener(c, fd, open);
  } catch (error) {
    throw failure(reasonOf(error), error);
  }
}

/** Opens a unix listener on a temporary path that is removed at once. */
function openPlaceholder(): Deno.UnixListener {
  const folder = Deno.makeTempDirSync({ prefix: "sockpipe-" });
  try {
    return Deno.listen({ transport: "unix", path: `${folder}/socket` });
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

function failure(reason: string, cause?: unknown): ListenError {
  return new ListenError(`Cannot listen on "systemd": ${reason}`, { cause });
}
