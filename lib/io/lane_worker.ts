/**
 * The Worker behind a lane of `lane.ts`: it moves stdin into a ring, or a ring to
 * stdout, with calls that block this thread and no other. It answers with
 * {@linkcode LaneMessage}s, and is deaf to messages once it runs: all that it is
 * told comes through the ring.
 */

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

import { Ring } from "./ring.ts";

/** What a lane sends first, and only once. */
export interface LaneTask {
  readonly direction: "input" | "output";
  /** The memory of a {@linkcode Ring}. */
  readonly memory: SharedArrayBuffer;
  /** The most that one read or write takes, in bytes. */
  readonly blockSize: number;
}

/** What makes an error of the system again what it was, in another thread. */
export interface LaneFailure {
  /** The name of the class, such as "BrokenPipe". */
  readonly name: string;
  readonly message: string;
  /** Such as "EPIPE". */
  readonly code: string | undefined;
}

/**
 * - `ready`: waits to be started, and has not touched stdin or stdout;
 * - `wake`: what the lane waits for has happened, or the stream has ended;
 * - a failure: it is over. What was read before is in the ring.
 */
export type LaneMessage = "ready" | "wake" | LaneFailure;

/** How long to wait for a stdin that another program made non-blocking. */
const WOULD_BLOCK_DELAY_MS = 5;

self.onmessage = ({ data: task }: MessageEvent<LaneTask>) => {
  const ring = new Ring(task.memory);
  tell("ready");
  ring.waitForStart();
  try {
    if (task.direction === "input") moveStdin(ring, task.blockSize);
    else moveStdout(ring, task.blockSize);
  } catch (error) {
    tell(failureOf(error));
  }
  self.close();
};

function tell(message: LaneMessage): void {
  self.postMessage(message);
}

function moveStdin(ring: Ring, blockSize: number): void {
  while (!ring.stopped) {
    ring.waitForRoom();
    const room = ring.room(blockSize);
    if (room.length === 0) return;
    const count = retrying(ring, () => Deno.stdin.readSync(room));
    if (count === null) {
      if (ring.end()) tell("wake");
      return;
    }
    if (ring.commit(count)) tell("wake");
  }
}

function moveStdout(ring: Ring, blockSize: number): void {
  while (!ring.stopped) {
    ring.waitForBytes();
    const bytes = ring.filled(blockSize);
    if (bytes.length === 0) return;
    // Not tried again after a failure: Deno does not say how much was written.
    if (ring.release(Deno.stdout.writeSync(bytes))) tell("wake");
  }
}

/**
 * Does `call` until it neither was interrupted by a signal nor would block.
 *
 * @returns `null` too when the ring was stopped meanwhile.
 */
function retrying(ring: Ring, call: () => number | null): number | null {
  while (!ring.stopped) {
    try {
      return call();
    } catch (error) {
      if (error instanceof Deno.errors.WouldBlock) {
        ring.sleep(WOULD_BLOCK_DELAY_MS);
      } else if (!(error instanceof Deno.errors.Interrupted)) {
        throw error;
      }
    }
  }
  return null;
}

function failureOf(error: unknown): LaneFailure {
  const { name, message, code } = error as Error & { code?: string };
  return { name, message, code };
}
