/** Clients of TLS with certificates of all kinds, of openssl, which sends what it is told to. */

import { opensslOnce, WITHOUT_CAS } from "./certificates.ts";
import type { Folder } from "./folder.ts";
import { type Announced, type Running, shell } from "./process.ts";

/** A client with a certificate: its file and its key's, and those sent with it. */
export interface Client {
  readonly what: string;
  /** Of NAME.crt and NAME.key. */
  readonly cert: string;
  readonly key?: string;
  readonly chain?: string;
}

const MADE = String.raw`
  root ca "our CA"
  issue server localhost ca "$LEAF$NAMES"
  issue client client ca "$LEAF"
  issue purpose client ca "$LEAF"'extendedKeyUsage=clientAuth\n\'
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key
  issue rsa client ca "$LEAF"
  openssl genpkey -algorithm ED25519 -out ed25519.key
  issue ed25519 client ca "$LEAF"
  issue middle "a CA between" ca "$CA"'keyUsage=critical,keyCertSign\n\'
  issue below client middle "$LEAF"

  openssl req -x509 $EC -keyout unsigned.key -out unsigned.crt -days 3 -subj /CN=unsigned -addext basicConstraints=critical,CA:FALSE
  openssl req -x509 $EC -keyout posing.key -out posing.crt -days 3 -subj /CN=client -addext basicConstraints=critical,CA:FALSE
  root twin "our CA"
  issue twins client twin "$LEAF"
  dated expired client ca "$LEAF" 20200101000000Z 20210101000000Z
  dated early client ca "$LEAF" 20990101000000Z 20991231000000Z
  issue server-only client ca "$LEAF"'extendedKeyUsage=serverAuth\n\'
  issue unknown client ca "$LEAF"'1.2.3.4=critical,DER:0500\n\'
  issue under-leaf client client "$LEAF"
  dated old-middle "an old CA between" ca "$CA" 20200101000000Z 20210101000000Z
  issue under-old client old-middle "$LEAF"
  issue no-signer "a CA that may not sign" ca "$CA"'keyUsage=critical,digitalSignature\n'
  issue under-no-signer client no-signer "$LEAF"
  issue last "the last CA" ca 'basicConstraints=critical,CA:TRUE,pathlen:0\n'
  issue too-deep "one CA too many" last "$CA"
  issue under-deep client too-deep "$LEAF"
  cat too-deep.crt last.crt > deep.crt
  issue narrow "a CA for others" ca "$CA"'nameConstraints=critical,permitted;DNS:example.com\n\'
  issue outside client narrow "$LEAF"'subjectAltName=DNS:elsewhere.org\n\'
  openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -days 2 -out v1.crt
  { openssl x509 -in client.crt -outform DER | head -c -1; printf '\0'; } > damaged.der
  openssl x509 -inform DER -in damaged.der -out damaged.crt
  openssl req -new $EC -keyout v1-ca.key -out v1-ca.csr -subj "/CN=an old CA"
  openssl x509 -req -in v1-ca.csr -signkey v1-ca.key -days 3 -out v1-ca.crt
  forged unsigned ca && mv forged.key ca-forged.key
  forged unsigned v1-ca && mv forged.key v1-ca-forged.key
  forged unsigned client && mv forged.key client-forged.key
  cat v1-ca.crt ca.crt > cas.crt
`;

/** Makes all of them, which takes a second or two. */
export const clientCertificates: () => Promise<Folder> = opensslOnce(MADE);

/** Starts a client that sends a line at once, and stays until it is sent away. */
export function connectWith(
  { path }: Folder,
  { port }: Announced,
  { cert, key = cert, chain }: Omit<Client, "what">,
  options: readonly string[],
): Running {
  const client = shell(
    `cd "$1"; port=$2; shift 2
    exec openssl s_client ${WITHOUT_CAS} -no_ign_eof -connect 127.0.0.1:$port "$@" 2>&1`,
    [
      path,
      port,
      `-cert=${cert}.crt`,
      `-key=${key}.key`,
      ...chain === undefined ? [] : [`-cert_chain=${chain}.crt`],
      ...options,
    ],
    { stdin: "piped" },
  );
  client.feed("ours\n").catch(() => {});
  return client;
}
