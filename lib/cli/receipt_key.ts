/** The key of a receipt's proof, made of a secret that both sides have. */

import { readToken } from "../reliable/token_file.ts";
import { derive } from "../tls/secret.ts";
import { readSecretFile } from "../tls/secret_file.ts";

/** The files that the key of a receipt can be made of; one is enough. */
export interface ReceiptKeyFiles {
  /** The file of `--secret-file`. */
  readonly secretFile: string | undefined;
  /** The file of `--token-file`. */
  readonly tokenFile: string | undefined;
}

/**
 * Makes the key of receipts out of what both sides know.
 *
 * @returns `undefined` when they have no secret.
 * @throws {LocalIoError} A file cannot be read, or is of no use.
 */
export async function receiptKey(
  { secretFile, tokenFile }: ReceiptKeyFiles,
): Promise<Uint8Array | undefined> {
  if (secretFile !== undefined) {
    const secret = await readSecretFile("--secret-file", secretFile);
    return await derive(secret, "receipt");
  }
  return tokenFile === undefined ? undefined : await readToken(tokenFile);
}
