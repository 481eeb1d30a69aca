/** The TLS of `node:tls`, loaded only when it is needed, and only where it is fit. */

import { UsageError } from "../base/errors.ts";

/**
 * Loads it, which takes some 30 ms.
 *
 * @param option The option that needs it, for the message.
 * @throws {UsageError} That of this runtime does not show the peer's certificate.
 */
export async function loadNodeTls(
  option: string,
): Promise<typeof import("./node_tls.ts")> {
  const module = await import("./node_tls.ts");
  if (module.showsCertificates()) return module;
  throw new UsageError(
    `${option} cannot be had with Deno ${Deno.version.deno}, which does not show the peer's certificate: use Deno 2.9 or newer`,
  );
}
