/**
 * The signals that ask for the progress. They have a handler as soon as this module is
 * loaded, since without one they end the process; main.ts loads it first.
 */

import { onStatusSignal } from "./signals.ts";

let answer = () => {};

/** Sets the answer; until then there is none. */
export function setStatusAnswer(callback: () => void): void {
  answer = callback;
}

onStatusSignal(() => answer());
