/** The listening side of `--secret-file`. */

import { areSecretsEqual } from "../base/bytes.ts";
import { RefusedError } from "../base/errors.ts";
import { formatAddress } from "../net/address.ts";
import { derivedKeyPair } from "./derived_certificate.ts";
import { CLIENT_HANDSHAKE_MS, handshake } from "./handshake.ts";
import { NativeTls, tlsConn } from "./native_tls.ts";
import { derive } from "./secret.ts";
import { readSecretFile } from "./secret_file.ts";
import type { SecretSettings } from "./settings.ts";
import type { TlsServer, TlsStream } from "./tls.ts";

/**
 * Reads the secret and makes all that follows from it; nothing is opened yet.
 *
 * @throws {LocalIoError} The file cannot be read, or is no secret.
 */
export async function prepareSecretServer(
  { option, file }: SecretSettings,
): Promise<TlsServer> {
  const secret = await readSecretFile(option, file);
  const listenTls = await derivedKeyPair(secret);
  const proof = await derive(secret, "dialler");
  const context = { role: "listen", secretOption: option } as const;
  return {
    listenTls,
    identity: undefined,
    secure: (socket, signal) => {
      const stream = new NativeTls(tlsConn(socket));
      return handshake(stream, {
        signal,
        limitMs: CLIENT_HANDSHAKE_MS,
        limitHint: "",
        peer: formatAddress(socket.remoteAddr),
        context,
        verifyPeer: () => requireProof(stream, proof),
      });
    },
  };
}

/**
 * Reads as many bytes as a proof has, and not one more.
 *
 * @throws {RefusedError} They are not the proof, or the client has ended before.
 */
async function requireProof(
  stream: Pick<TlsStream, "read">,
  proof: Uint8Array,
): Promise<void> {
  const given = new Uint8Array(proof.length);
  for (let filled = 0; filled < given.length;) {
    const count = await stream.read(given.subarray(filled));
    if (count === null) {
      throw new RefusedError(
        "it ended before it had proved to have the secret",
      );
    }
    filled += count;
  }
  if (!areSecretsEqual(given, proof)) {
    throw new RefusedError("it has not proved to have the secret");
  }
}
