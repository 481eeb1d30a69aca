/** Both of the runtime's ways to be a client: its own TLS, and that of `node:tls`. */

import type { KeyFolder } from "./certificates.ts";
import { say } from "./conditions.ts";
import { canPin } from "./program.ts";

const CAN_PIN = await canPin();

/** A test of what needs pins. */
export function pinTest(name: string, fn: () => Promise<void>): void {
  if (!CAN_PIN) say(`skipped, as this runtime cannot pin keys: ${name}`);
  Deno.test({ name, ignore: !CAN_PIN, fn });
}

/**
 * The options of a client of either kind that believes in the folder's `server`,
 * each with the one that makes it of this kind.
 */
export function clientOptions(
  { path, pins: [pin] }: KeyFolder,
): [kind: string, options: string[]][] {
  const byCa = ["--tls", `--tls-ca=${path}/server.crt`];
  const byPin = ["--tls", `--tls-pin=${pin}`];
  return [["--tls-ca", byCa], ...CAN_PIN ? [["--tls-pin", byPin]] : []] as [
    string,
    string[],
  ][];
}
