/** Whether the operating system is asked directly, or by way of Deno's streams. */

/**
 * Whether SOCKPIPE_ENGINE is `off`, for tests and measurements: stdin and stdout
 * are moved by Deno's streams then, as where there is no C library.
 */
export function isEngineOff(): boolean {
  return Deno.env.get("SOCKPIPE_ENGINE") === "off";
}
