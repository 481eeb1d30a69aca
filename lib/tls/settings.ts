/** The settings of a TLS connection, as the command line gives them. */

import type { Pin } from "./pin.ts";

/** The ways in which the two sides verify each other. */
export type TlsSettings = CertificateSettings | SecretSettings;

/** One secret on both sides. */
export interface SecretSettings {
  readonly kind: "secret";
  /** The option that names the file, for messages. */
  readonly option: "--secret-file" | "--forward-secret-file";
  readonly file: string;
}

/** `--tls` and what belongs to it. The fields of one mode are empty in the other. */
export interface CertificateSettings {
  readonly kind: "certificates";
  readonly certFile: string | undefined;
  /** The certificate's file when absent. */
  readonly keyFile: string | undefined;
  readonly alpn: readonly string[];
  // connect
  readonly caFile: string | undefined;
  readonly name: string | undefined;
  readonly pin: Pin | undefined;
  readonly insecure: boolean;
  /** Whether a token proves the listener, if its key is known to the other side. */
  readonly hasToken: boolean;
  // listen; with no certificate, one is made
  readonly clientCaFile: string | undefined;
  readonly clientPins: readonly Pin[];
}
