/**
 * The signals that ask how far the transfer is. Without a handler they would end
 * the process, so they have one as soon as this module is loaded, before all
 * others, and until the process is gone.
 */

import { listen, signalsOf } from "./signals.ts";

let answer = () => {};

/** Takes over answering; until then there is nothing to tell. */
export function onStatusSignal(callback: () => void): void {
  answer = callback;
}

for (const signal of signalsOf(Deno.build.os).status) {
  listen(signal, () => answer());
}
