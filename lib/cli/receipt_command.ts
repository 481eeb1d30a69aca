/** `--check-receipt`: a receipt is checked, and nothing else done. */

import { checkReceipt } from "../reliable/receipt.ts";
import { readToken } from "../reliable/token_file.ts";

/**
 * Checks a receipt, with the secret of a file if there is one.
 *
 * @returns What it says, for stdout.
 * @throws What `readToken` and `checkReceipt` throw.
 */
export async function receiptText(
  path: string,
  tokenFile: string | undefined,
): Promise<string> {
  const secret = tokenFile === undefined
    ? undefined
    : await readToken(tokenFile);
  return await checkReceipt(path, secret);
}
