/**
 * The path of a listening unix socket: taking over one that a killed process has
 * left, and removing our own at the end, but nobody else's.
 */

import { claim, Deadline } from "../base/deadline.ts";
import { isSocketAlive, nameError } from "./unix_socket.ts";

/** The longest wait for the lock of another process, in ms. */
const TURN_MS = 1000;

/** A listening unix socket whose path is removed with it. */
export interface UnixListener {
  readonly listener: Deno.UnixListener;
  /** Closes it and removes its path, if that is still ours. Does not throw. */
  close(): void;
}

/**
 * Listens on a path, or on a name of Linux's abstract namespace, which begins with
 * a NUL and needs no care. A socket there on which nobody listens any more is replaced;
 * of several that start at the same time, one gets it.
 *
 * @throws The system's error: somebody listens there, or something is in the way.
 */
export async function listenUnix(path: string): Promise<UnixListener> {
  if (path.startsWith("\0")) {
    const listener = listenOnName(path);
    return { listener, close: () => listener.close() };
  }
  using _turn = await lockFolder(path);
  if (isSocket(path) && isSocketAlive(path) === false) await Deno.remove(path);
  const listener = Deno.listen({ transport: "unix", path });
  const ours = identityOf(path);
  return { listener, close: () => closeUnix(listener, path, ours) };
}

function listenOnName(path: string): Deno.UnixListener {
  try {
    return Deno.listen({ transport: "unix", path });
  } catch (error) {
    throw nameError(error);
  }
}

/** Whether the path, which is taken, is that of something else than a socket. */
export function isTakenByFile(path: string): boolean {
  return !path.startsWith("\0") && !isSocket(path);
}

function isSocket(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSocket === true;
  } catch {
    return false;
  }
}

/**
 * Removes the path, then closes the listener: while it listens nobody replaces it.
 * Some runtimes remove it once more when they close the socket, whatever is there
 * by then: what is not ours is put out of the way for a moment.
 */
function closeUnix(
  listener: Deno.UnixListener,
  path: string,
  ours: string | undefined,
): void {
  const found = identityOf(path);
  const aside = `${path}.${crypto.randomUUID()}`;
  const isAside = found !== undefined && found !== ours &&
    succeeds(() => Deno.renameSync(path, aside));
  // A path that cannot be removed any more is the next listener's to replace.
  if (found === ours) succeeds(() => Deno.removeSync(path));
  succeeds(() => listener.close());
  if (isAside) succeeds(() => Deno.renameSync(aside, path));
}

/**
 * Takes the lock of a folder while a stale socket in it is replaced: between
 * looking and replacing, somebody might begin to listen. The lock is on the folder,
 * so that nothing is left behind. Where it cannot be had, or somebody keeps it, it
 * is done without.
 */
async function lockFolder(path: string): Promise<Disposable | undefined> {
  using deadline = new Deadline(undefined, TURN_MS, () => new Error("late"));
  try {
    const folder = await Deno.open(path.replace(/[^/]*$/, "") || ".");
    const exclusive = true;
    const locked = folder.lock(exclusive).then(() => folder, (error) => {
      folder.close();
      throw error;
    });
    return await claim(locked, deadline.signal);
  } catch {
    return undefined;
  }
}

/** Whether an attempt succeeds. */
function succeeds(attempt: () => void): boolean {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
}

/** Makes a value that changes when another file takes the path. */
function identityOf(path: string): string | undefined {
  try {
    const { dev, ino, mtime } = Deno.lstatSync(path);
    return `${dev} ${ino} ${mtime?.getTime()}`;
  } catch {
    return undefined;
  }
}
