/**
 * The environment variables by which the runtime would change whom TLS trusts, or
 * tell others its keys. The command line alone decides about that.
 */

import { UsageError } from "../base/errors.ts";
import { detachFile } from "../base/descriptors.ts";

/** Trust in more CAs. The runtime reads them when it is first asked for TLS. */
const TRUST = ["DENO_CERT", "NODE_EXTRA_CA_CERTS", "DENO_TLS_CA_STORE"];

/** A file for the keys of every connection. Deno 2.9 opens it when it starts. */
const KEY_LOG = "SSLKEYLOGFILE";

/**
 * Removes these variables and undoes what the runtime has done for them. To be
 * called before anything else that has to do with TLS; the programs of `--exec` do
 * not get the variables either.
 *
 * @throws {UsageError} The runtime writes keys, and cannot be kept from it here.
 */
export function ignoreTlsVariables(): void {
  for (const name of TRUST) Deno.env.delete(name);
  const file = Deno.env.get(KEY_LOG);
  if (!file) return;
  if (!detachFile(file)) {
    throw new UsageError(
      `${KEY_LOG} is set, so the keys of TLS would be written to "${file}": unset it`,
    );
  }
  Deno.env.delete(KEY_LOG);
}
