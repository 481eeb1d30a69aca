/** `--check-receipt`: a receipt is checked, and nothing else done. */

import { checkReceipt } from "../reliable/receipt.ts";
import { receiptKey, type ReceiptKeyFiles } from "./receipt_key.ts";

/**
 * Checks a receipt, with a key if there is one.
 *
 * @returns What it says, for stdout.
 * @throws What `receiptKey` and `checkReceipt` throw.
 */
export async function receiptText(
  path: string,
  files: ReceiptKeyFiles,
): Promise<string> {
  return await checkReceipt(path, await receiptKey(files));
}
