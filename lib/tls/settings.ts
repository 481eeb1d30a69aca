/** The settings of a TLS connection, as the command line gives them. */

import type { Pin } from "./pin.ts";

/** `--tls` and what belongs to it. The fields of one mode are empty in the other. */
export interface TlsSettings {
  readonly certFile: string | undefined;
  /** The certificate's file when absent. */
  readonly keyFile: string | undefined;
  readonly alpn: readonly string[];
  // connect
  readonly caFile: string | undefined;
  readonly name: string | undefined;
  readonly pin: Pin | undefined;
  readonly insecure: boolean;
  // listen; with no certificate, one is made
  readonly clientCaFile: string | undefined;
  readonly clientPins: readonly Pin[];
}
