/** The connecting side of `--secret-file`. */

import { writeAll } from "../base/bytes.ts";
import { derivedKeyPair, SECRET_NAME } from "./derived_certificate.ts";
import { handshakeAsClient } from "./handshake.ts";
import { startNativeTls } from "./native_tls.ts";
import { derive } from "./secret.ts";
import { readSecretFile } from "./secret_file.ts";
import type { SecretSettings } from "./settings.ts";
import type { TlsClient } from "./tls.ts";

/**
 * Reads the secret and makes all that follows from it; nothing is connected yet.
 *
 * @param target.peer Its address, for messages.
 * @param target.limitMs The limit on the handshake.
 * @throws {LocalIoError} The file cannot be read, or is no secret.
 */
export async function prepareSecretClient(
  { option, file }: SecretSettings,
  target: { readonly peer: string; readonly limitMs: number },
): Promise<TlsClient> {
  const secret = await readSecretFile(option, file);
  const { cert } = await derivedKeyPair(secret);
  const proof = await derive(secret, "dialler");
  const context = { role: "connect", secretOption: option } as const;
  return {
    secure: async (socket, signal) => {
      const settings = { hostname: SECRET_NAME, caCerts: [cert] };
      const start = () => startNativeTls(socket, settings);
      return await handshakeAsClient(start, {
        ...target,
        signal,
        context,
        // Whoever got through the handshake has the secret, and may see it.
        verifyPeer: (stream) => writeAll(stream, proof),
      });
    },
  };
}
