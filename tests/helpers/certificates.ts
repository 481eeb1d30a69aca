/**
 * Keys and certificates of all kinds for the tests of TLS, made by openssl (3.0 or
 * newer), or by our own code where that is enough.
 */

import { assertEquals } from "@std/assert";
import { makeSelfSigned } from "../../lib/tls/self_signed.ts";
import { Folder } from "./folder.ts";
import { run } from "./process.ts";

/**
 * What the scripts of {@linkcode openssl} are made of. Each makes NAME.key and
 * NAME.crt; SUBJECT is a common name, EXTENSIONS are as in openssl's x509v3_config
 * with \n between them.
 */
const WORDS = String.raw`
  set -e
  cd "$1"
  EC="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

  # root NAME SUBJECT: a CA
  root() {
    openssl req -x509 $EC -keyout $1.key -out $1.crt -days 3 -subj "/CN=$2"
  }

  # request NAME SUBJECT EXTENSIONS
  request() {
    [ -e $1.key ] || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $1.key
    openssl req -new -key $1.key -out $1.csr -subj "/CN=$2"
    printf "$3" > $1.ext
  }

  # issue NAME SUBJECT CA EXTENSIONS
  issue() {
    request $1 "$2" "$4"
    openssl x509 -req -in $1.csr -CA $3.crt -CAkey $3.key -CAcreateserial -days 2 -extfile $1.ext -out $1.crt
  }

  # dated NAME SUBJECT CA EXTENSIONS FROM TO: with dates like 20200101000000Z
  dated() {
    request $1 "$2" "$4"
    printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\npolicy=p\ndefault_md=sha256\nunique_subject=no\nserial=serial\n[p]\ncommonName=supplied\n' > ca.conf
    : > index
    openssl rand -hex 8 > serial
    openssl ca -batch -config ca.conf -cert $3.crt -keyfile $3.key -in $1.csr -startdate $5 -enddate $6 -extfile $1.ext -notext -out $1.crt
  }

  # forged KEY WHOSE: a key file that says to be WHOSE key, and signs with KEY's
  forged() {
    { openssl ec -in $1.key -outform DER | head -c 56
      openssl pkey -in $2.key -pubout -outform DER | tail -c 65; } > forged.der
    openssl ec -inform DER -in forged.der -out forged.key
  }

  CA='basicConstraints=critical,CA:TRUE\n'
  LEAF='basicConstraints=CA:FALSE\n'
  NAMES='subjectAltName=DNS:localhost,IP:127.0.0.1\n'
`;

/**
 * For an openssl that believes any server: it does not read the CAs of the system,
 * which takes longer than all else that it does.
 */
export const WITHOUT_CAS = "-no-CAfile -no-CApath -no-CAstore";

/** A folder with what a script makes; see the words above. */
export async function openssl(script: string): Promise<Folder> {
  const folder = new Folder();
  await using made = run(["bash", "-c", WORDS + script, "bash", folder.path]);
  assertEquals(await made.code(), 0, made.stderr.text());
  return folder;
}

/**
 * Tells how to get the folder with what a script makes: once for all tests of a
 * module, when the first of them asks. It is removed after the last.
 */
export function opensslOnce(script: string): () => Promise<Folder> {
  let made: Promise<Folder> | undefined;
  Deno.test.afterAll(async () => (await made)?.[Symbol.dispose]());
  return () => made ??= openssl(script);
}

/** A folder with keys, and the pins of these. */
export type KeyFolder = Folder & { readonly pins: readonly string[] };

/** A folder with `NAME.crt` and `NAME.key` of a key of its own for each name. */
export async function keys(
  names: readonly string[],
  madeAt: Date = new Date(),
): Promise<KeyFolder> {
  const folder = new Folder();
  const pins: string[] = [];
  for (const name of names) {
    const made = await makeSelfSigned(["localhost", "127.0.0.1"], madeAt);
    await Deno.writeTextFile(`${folder.path}/${name}.crt`, made.cert);
    await Deno.writeTextFile(`${folder.path}/${name}.key`, made.key);
    pins.push(made.pin);
  }
  return Object.assign(folder, { pins });
}

/** `--tls` with a key and certificate of a folder. */
export function keyOptions({ path }: Folder, name = "server"): string[] {
  return [
    "--tls",
    `--tls-cert=${path}/${name}.crt`,
    `--tls-key=${path}/${name}.key`,
  ];
}

/** A CA, and a certificate of it for localhost, made by openssl. */
export async function certificates(): Promise<Folder> {
  const folder = new Folder();
  const script = `cd "$1"
    new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "$@"; }
    new -x509 -keyout ca.key -out ca.crt -days 3 -subj /CN=ca
    new -keyout server.key -out server.csr -subj /CN=localhost
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > names
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt`;
  await using made = run(["bash", "-c", script, "bash", folder.path]);
  if (await made.code() !== 0) throw new Error(made.stderr.text());
  return folder;
}
