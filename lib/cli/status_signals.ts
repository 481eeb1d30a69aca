/**
 * The signals that ask how far the transfer is, answered by whoever took it over.
 *
 * Without a handler they would end the process. So they have one as soon as this
 * module is loaded, and main.ts loads it before all others.
 */

import { onStatusSignal } from "./signals.ts";

let answer = () => {};

/** Takes over answering; until then there is nothing to tell. */
export function answerStatusSignals(callback: () => void): void {
  answer = callback;
}

onStatusSignal(() => answer());
