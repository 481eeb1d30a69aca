/**
 * The rights that the runtime's sandbox leaves a run. What it does not need any
 * more it gives up, so that a mistake in it, or what a peer makes of one, can do
 * no more than the run itself.
 *
 * Whatever a run is to use later has to be named here: without a right, the runtime
 * asks the person at the terminal for it, or refuses it.
 */

import { libc } from "../base/libc.ts";
import type { Address } from "../net/address.ts";
import { winsock } from "../net/windows_sockets.ts";
import type { Options } from "../cli/options.ts";

/** A right, as `Deno.permissions` names it. */
type Right = "run" | "ffi" | "env" | "read" | "write" | "net";

/** Drops, before anything is opened, the rights that this run never needs. */
export function dropRightsAtStart({ end }: Options): void {
  if (end.kind !== "exec") dropRights(["run"]);
}

/**
 * Drops the rights that are not needed once everything is opened: the listening
 * socket, or the one connection and our own end.
 */
export function dropRightsOnceOpen(options: Options): void {
  const needed = rightsOf(options);
  const openLibrary = Deno.build.os === "windows" ? winsock : libc;
  // Later it cannot be opened any more.
  if (!needed.has("ffi")) openLibrary();
  const all: readonly Right[] = ["run", "ffi", "env", "read", "write", "net"];
  dropRights(all.filter((right) => !needed.has(right)));
}

function dropRights(rights: readonly Right[]): void {
  for (const name of rights) Deno.permissions.revokeSync({ name });
}

/** Lists the rights that a run goes on with. */
function rightsOf(options: Options): ReadonlySet<Right> {
  const { end, mode, address } = options;
  const rights = new Set<Right>();
  const add = (...more: Right[]) => more.forEach((right) => rights.add(right));
  const addDial = ({ transport }: Address) =>
    transport === "unix" ? add("net", "read", "write") : add("net");
  if (mayReconnect(options)) {
    // The end of each connection reads its settings from the environment.
    add("env");
    if (mode === "connect") addDial(address);
    if (end.kind === "forward") addDial(end.address);
    if (end.kind === "serve") add("read");
    if (end.kind === "exec") add("read");
  }
  // The process of --exec is watched, and killed when it has to be.
  if (end.kind === "exec") add("run", "ffi");
  // What has arrived gets its name at the end.
  if (options.output !== undefined) add("read", "write");
  if (options.reliable?.receiptFile !== undefined) add("read", "write");
  // The path of a unix socket is removed at the end.
  if (mode === "listen" && address.transport === "unix") add("read", "write");
  return rights;
}

/** Whether there may be another connection after the first. */
export function mayReconnect(options: Options): boolean {
  if (options.reliable !== undefined) return true;
  return options.mode === "listen"
    ? options.keepOpen !== undefined
    : options.reconnect !== undefined;
}
