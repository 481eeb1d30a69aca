/** sockpipe on another system, SOCKPIPE_OTHER, beside the one on this. */

import { assert, assertEquals } from "@std/assert";
import { randomBytes } from "./bytes.ts";
import { run, type Running, type StartOptions } from "./process.ts";
import { sockpipe } from "./program.ts";
import type { FailingLine } from "./proxy.ts";

/** The program of the other system. */
export const OTHER: string = Deno.env.get("SOCKPIPE_OTHER") ?? "sockpipe";
/** Whether that is Windows, under wine. */
export const isWindows: boolean =
  Deno.env.get("SOCKPIPE_OTHER_SYSTEM") === "wine";

export const MEGABYTES: Uint8Array<ArrayBuffer> = randomBytes(4 * 1024 * 1024);

/** Starts sockpipe on one of the two systems. */
export type Start = (
  args: readonly string[],
  options?: StartOptions,
) => Running;

/** Starts the program of the other system. */
export function other(
  args: readonly string[],
  options?: StartOptions,
): Running {
  return run([OTHER, ...args], options);
}

/** Who listens and who connects, each pair by its name. */
export const PAIRS: readonly (readonly [string, Start, Start])[] = [
  ["there to here", sockpipe, other],
  ["here to there", other, sockpipe],
  ["there to there", other, other],
];

/** A test that one of the systems has no part in. */
export function testUnless(
  ignore: boolean,
  name: string,
  fn: () => Promise<void>,
): void {
  Deno.test({ name, ignore, fn });
}

/** Sends megabytes both ways at once; both must end well and have them. */
export async function assertExchanges(
  listening: Start,
  connecting: Start,
  listen: readonly string[],
  connect: readonly string[],
  line?: (port: number) => FailingLine,
): Promise<void> {
  await using server = listening(["--listen=0", ...listen], {
    stdin: MEGABYTES,
  });
  const { port } = await server.listening();
  await using between = line?.(port);
  const target = `127.0.0.1:${between?.port ?? port}`;
  await using client = connecting(["--connect", target, ...connect], {
    stdin: MEGABYTES,
  });
  for (const side of [client, server]) {
    assertEquals(await side.code(), 0, side.stderr.text());
    const bytes = side.stdout.bytes();
    assertEquals(bytes.length, MEGABYTES.length);
    assert(bytes.every((byte, index) => byte === MEGABYTES[index]));
  }
}
