/**
 * Noticing a reset where nobody reads or writes: once the peer has ended its side,
 * there is nothing left to read, and we may be silent for hours.
 */

import { startClock } from "../base/clock.ts";
import { libc } from "../base/libc.ts";
import { AsyncPoll, PollSet } from "../base/poll.ts";
import { ResetGuard } from "./reset_on_kill.ts";

/** The time for which a connection is half-closed before it is watched, in ms. */
const WATCH_AFTER_MS = 100;

/** Receives the reason why a connection broke. */
type OnReset = (error: Error) => void;

/** The connections that are watched, or soon will be. */
const watched = new Map<ResetGuard, OnReset>();
/** One wait for all of them, on one thread, and those that are part of it. */
let wait: AsyncPoll | undefined;
let waitedFor: readonly ResetGuard[] = [];
let clock: Disposable | undefined;

/**
 * Watches a connection whose peer has ended its side.
 *
 * @param onReset Called once, if it is reset.
 * @returns Disposing ends the watch; to be done before the connection is closed.
 */
export function watchForReset(guard: ResetGuard, onReset: OnReset): Disposable {
  watched.set(guard, onReset);
  clock ??= startClock(WATCH_AFTER_MS, renew);
  return {
    [Symbol.dispose]() {
      if (!watched.delete(guard)) return;
      // A wait that is under way would keep the socket open.
      if (waitedFor.includes(guard)) stop();
      if (watched.size > 0) clock ??= startClock(WATCH_AFTER_MS, renew);
      else stopClock();
    },
  };
}

function stopClock(): void {
  clock?.[Symbol.dispose]();
  clock = undefined;
}

function stop(): void {
  wait?.[Symbol.dispose]();
  wait = undefined;
  waitedFor = [];
}

/** Waits anew, for those that are watched by now. */
function renew(): void {
  stopClock();
  stop();
  const c = libc();
  if (c === undefined || watched.size === 0) return;
  ResetGuard.findDescriptors([...watched.keys()]);
  const set = new PollSet(c);
  waitedFor = [...watched.keys()];
  for (const { descriptor } of waitedFor) set.add(descriptor?.fd ?? -1, 0);
  wait = new AsyncPoll(c);
  const current = wait;
  current.wait(set).then(() => {
    if (!current.isOver) look(set);
  });
}

/** Tells those whose connection has broken. */
function look(set: PollSet): void {
  for (const [place, guard] of waitedFor.entries()) {
    if (set.happened(place) === 0) continue;
    const onReset = watched.get(guard);
    watched.delete(guard);
    // A unix socket whose peer is gone has no error: a write will tell.
    const error = guard.descriptor?.takeError();
    if (error !== undefined) onReset?.(error);
  }
  renew();
}
