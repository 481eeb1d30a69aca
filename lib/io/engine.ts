/** The switch between direct system calls and Deno's streams. */

// Read at once: a run gives up the right to do so when everything is open.
const isOff = Deno.env.get("SOCKPIPE_ENGINE") === "off";

/**
 * Whether SOCKPIPE_ENGINE is `off`, for tests and measurements: stdin and stdout
 * are moved by Deno's streams then, as where there is no C library.
 */
export function usesDenoStreams(): boolean {
  return isOff;
}
