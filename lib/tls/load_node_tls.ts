/** The TLS of `node:tls`, loaded only when it is needed, and only where it is fit. */

import { UsageError } from "../base/errors.ts";

/**
 * The runtimes whose `node:tls` shows the peer's certificate: that of Deno 2.4
 * invents one.
 */
export const NODE_TLS_NEEDS = "Deno 2.9 or newer";

/** Whether this runtime is one of {@linkcode NODE_TLS_NEEDS}. */
export function hasNodeTls(version: string = Deno.version.deno): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 2 || major === 2 && minor >= 9;
}

/**
 * Loads `node:tls`, which takes some 30 ms.
 *
 * @param option The option that needs it, for the message.
 * @throws {UsageError} This runtime's is not fit.
 */
export async function loadNodeTls(
  option: string,
): Promise<typeof import("./node_tls.ts")> {
  if (hasNodeTls()) return await import("./node_tls.ts");
  throw new UsageError(
    `${option} cannot be had with Deno ${Deno.version.deno}, which does not show the peer's certificate: use ${NODE_TLS_NEEDS}, or --secret-file on both sides`,
  );
}
