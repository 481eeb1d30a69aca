/** HMAC-SHA-256 (RFC 2104), for proofs that a side knows a secret. */

import { createHmac } from "node:crypto";
import process from "node:process";

/** Makes the HMAC-SHA-256 of the parts, one after another: 32 bytes. */
export function hmacSha256(
  key: Uint8Array,
  ...parts: readonly (Uint8Array | string)[]
): Uint8Array {
  // Deno 2.4 would warn on stderr of what createHmac itself does.
  Object.assign(process, { noDeprecation: true });
  const hmac = createHmac("sha256", key);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}
