/** `--new-secret`: makes the file, and says what to do with it. */

import { createSecretFile } from "../tls/secret_file.ts";

/**
 * Makes a secret.
 *
 * @returns A sentence for the user, without the secret.
 * @throws {LocalIoError} A file of that name is there, or cannot be written.
 */
export async function makeSecret(path: string): Promise<string> {
  await createSecretFile(path);
  return `made the secret "${path}"; copy it to the other machine, with its permissions (scp -p), and give --secret-file on both sides`;
}
