/** `--port-file`: the port that a listener has, for scripts. */

import { LocalIoError, reasonOf } from "../base/errors.ts";
import { replaceFile } from "../base/replace_file.ts";

/**
 * Writes the port of an address and a newline into a file, which is there only when
 * it is complete: what had its name before is replaced.
 *
 * @param address As `formatAddress` writes it.
 * @throws {LocalIoError} It cannot be written.
 */
export async function writePortFile(
  path: string,
  address: string,
): Promise<void> {
  const port = address.slice(address.lastIndexOf(":") + 1);
  try {
    await replaceFile(path, `${port}\n`);
  } catch (error) {
    throw new LocalIoError(
      `Cannot write "${path}" (--port-file): ${reasonOf(error)}`,
      { cause: error },
    );
  }
}
