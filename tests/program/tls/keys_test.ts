/**
 * Keys and certificates as people have them: which are read, on either side, and
 * what is said of those that are not.
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { RefusedError } from "../../../lib/base/errors.ts";
import { readKeyPair } from "../../../lib/tls/key_files.ts";
import { makeSelfSigned } from "../../../lib/tls/self_signed.ts";
import { opensslOnce } from "../../helpers/certificates.ts";
import { testWith } from "../../helpers/conditions.ts";
import { Folder } from "../../helpers/folder.ts";
import { run } from "../../helpers/process.ts";
import { listener, sockpipe } from "../../helpers/program.ts";

/** The forms of a key, and how openssl makes them out of NAME.key. */
const FORMS = {
  "pkcs8": "openssl pkcs8 -topk8 -nocrypt -in $1.key -out $1.pkcs8",
  "pkcs1": "openssl rsa -traditional -in $1.key -out $1.pkcs1",
  "sec1": "openssl ec -in $1.key -out $1.sec1",
} as const;

const KEYS = [
  { name: "rsa", make: "RSA -pkeyopt rsa_keygen_bits:2048", form: "pkcs1" },
  { name: "p256", make: "EC -pkeyopt ec_paramgen_curve:P-256", form: "sec1" },
  { name: "p384", make: "EC -pkeyopt ec_paramgen_curve:P-384", form: "sec1" },
  { name: "p521", make: "EC -pkeyopt ec_paramgen_curve:P-521", form: "sec1" },
  { name: "ed25519", make: "ED25519", form: "pkcs8" },
] as const;

const MADE = `
  root ca "our CA"
  ${
  KEYS.map(({ name, make, form }) => `
    openssl genpkey -algorithm ${make} -out ${name}.key
    issue ${name} localhost ca "$LEAF$NAMES"
    set -- ${name}; ${FORMS.pkcs8}; ${FORMS[form]}
  `).join("")
}
  issue middle "a CA between" ca "$CA"
  issue below localhost middle "$LEAF$NAMES"
  cat below.crt middle.crt > chain.crt
  cat rsa.key rsa.crt > both.pem
  printf 'Bag Attributes\\n    friendlyName: ours\\n' | cat - rsa.crt > noted.crt
  { openssl ecparam -name prime256v1; cat p256.sec1; } > params.sec1
  openssl pkcs8 -topk8 -in p256.key -passout pass:x -out locked.pkcs8
  openssl rsa -traditional -aes128 -in rsa.key -passout pass:x -out locked.pkcs1
  openssl ec -aes128 -in p256.key -passout pass:x -out locked.sec1
  openssl pkey -in p256.key -pubout -out public.key
  head -c 100 p256.key > cut.key
  sed '2s/[A-Za-z]/!/g' p256.key > damaged.key
  sed '3s/[A-Za-z]/!/g' p256.crt > damaged.crt
  openssl x509 -in p256.crt -outform DER -out binary.crt
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out k1.key
  issue k1 localhost ca "$LEAF$NAMES"
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out weak.key
  issue weak localhost ca "$LEAF$NAMES"
  openssl x509 -req -in p256.csr -CA ca.crt -CAkey ca.key -days 2 -out v1.crt
  : > empty
`;

/** Makes all of them, which takes some seconds. */
const files = opensslOnce(MADE);

/** Certificate and key files, with which each side has to be believed. */
const USED: readonly (readonly [cert: string, key: string | undefined])[] = [
  ...KEYS.map(({ name }) => [`${name}.crt`, `${name}.pkcs8`] as const),
  ...KEYS.map(({ name, form }) => [`${name}.crt`, `${name}.${form}`] as const),
  ["chain.crt", "below.key"],
  ["both.pem", undefined],
  ["noted.crt", "rsa.key"],
  ["p256.crt", "params.sec1"],
];

testWith(["openssl"], "keys and certificates that are read", async () => {
  const folder = await files();
  const at = (name: string) => `${folder.path}/${name}`;
  for (const [cert, key] of USED) {
    const options = [
      `--tls-cert=${at(cert)}`,
      ...key === undefined ? [] : [`--tls-key=${at(key)}`],
    ];
    const { server, at: { address } } = await listener(["--tls", ...options]);
    await using _server = server;
    await using client = sockpipe(
      ["--connect", address, "--tls", `--tls-ca=${at("ca.crt")}`, ...options],
      { stdin: "ours" },
    );
    const what = `${cert} ${key}: `;
    assertEquals(await client.code(), 0, what + client.stderr.text());
    assertEquals(await server.code(), 0, what + server.stderr.text());
    assertEquals(server.stdout.text(), "ours");
  }
});

/** Those that are of no use, with what is said. */
const USELESS = [
  ["p256.crt", "locked.pkcs8", "it is encrypted; decrypt it with openssl pkey"],
  ["rsa.crt", "locked.pkcs1", "it is encrypted; decrypt it with openssl pkey"],
  ["p256.crt", "locked.sec1", "it is encrypted; decrypt it with openssl pkey"],
  ["p256.crt", "public.key", "there is no private key in PEM in it"],
  ["p256.crt", "p256.crt", "there is no private key in PEM in it"],
  ["p256.crt", undefined, "there is no private key in PEM in it"],
  ["p256.crt", "empty", "there is no private key in PEM in it"],
  ["p256.crt", "cut.key", 'cut.key": it is damaged'],
  ["p256.crt", "damaged.key", 'damaged.key": it is damaged'],
  ["p256.crt", "p384.key", "the private key belongs to another certificate"],
  ["p256.key", "p256.key", "there is no certificate in PEM in it"],
  ["binary.crt", "p256.key", "there is no certificate in PEM in it"],
  ["damaged.crt", "p256.key", 'damaged.crt": it is damaged'],
  ["k1.crt", "k1.key", "of a kind that is not used for TLS"],
  ["weak.crt", "weak.key", "too short"],
  ["v1.crt", "p256.key", "it is of an old version"],
  ["empty", "p256.key", "there is no certificate in PEM in it"],
] as const;

testWith(["openssl"], "keys and certificates that are of no use", async () => {
  const { path } = await files();
  for (const [cert, key, reason] of USELESS) {
    const pair = { cert: `${path}/${cert}`, key: key && `${path}/${key}` };
    const { message } = await assertRejects(
      () => readKeyPair(pair),
      RefusedError,
      reason,
      `${cert} ${key}`,
    );
    assertMatch(message, /^Cannot use [^\n]+: [^\n]+$/);
  }
});

testWith(
  ["openssl"],
  "exit 7 for a key of another certificate, on either side",
  async () => {
    const { path } = await files();
    const pair = [`--tls-cert=${path}/p256.crt`, `--tls-key=${path}/p384.key`];
    for (const mode of ["--listen=0", "--connect=1"]) {
      await using tried = sockpipe([mode, "--tls", ...pair]);
      assertEquals(await tried.code(), 7, mode);
      const reason = "the private key belongs to another certificate";
      assertStringIncludes(tried.stderr.text(), reason, mode);
    }
  },
);

const DAY_MS = 86_400_000;

/** Moments at which UTC and the encoding of times have an edge. */
const EDGES = [
  "2026-01-01T00:00:00Z",
  "2027-12-31T23:59:59.999Z",
  "2028-02-29T12:00:00Z",
  // RFC 5280 section 4.1.2.5: from 2050 on, years have four digits.
  "2048-12-30T23:59:59Z",
  "2049-12-31T23:59:59Z",
  "2050-01-01T00:00:00Z",
];

testWith(
  ["openssl"],
  "a key made at the edges of UTC is good then",
  async () => {
    for (const edge of EDGES) {
      using folder = new Folder();
      const at = new Date(edge);
      const { cert } = await makeSelfSigned(["localhost", "::1"], at);
      const file = `${folder.path}/made.crt`;
      await Deno.writeTextFile(file, cert);
      const verify = async (ms: number) => {
        const seconds = Math.floor((at.getTime() + ms) / 1000);
        await using openssl = run(
          ["openssl", "verify", "-x509_strict", "-attime", `${seconds}`]
            .concat("-check_ss_sig", "-partial_chain", "-CAfile", file, file),
        );
        const code = await openssl.code();
        return code === 0 ? "" : openssl.stderr.text();
      };
      for (const ms of [0, -DAY_MS + 1000, 365 * DAY_MS]) {
        assertEquals(await verify(ms), "", `${edge} ${ms}`);
      }
      assertStringIncludes(await verify(-DAY_MS - 2000), "not yet valid", edge);
      assertStringIncludes(await verify(367 * DAY_MS), "expired", edge);
    }
  },
);

testWith(
  ["openssl"],
  "a key made for the run is good in every time zone",
  async () => {
    for (const zone of ["Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu"]) {
      const { server, at } = await listener(
        ["--tls", "--tls-self-signed"],
        { under: ["env", `TZ=${zone}`] },
      );
      await using _server = server;
      await using client = run(
        [
          "bash",
          "-c",
          "openssl s_client -connect $0 </dev/null | openssl x509 -noout -checkend 86400 -ext subjectAltName -startdate",
          at.address,
        ],
      );
      assertEquals(await client.code(), 0, client.stderr.text());
      assertStringIncludes(client.stdout.text(), "DNS:localhost");
      const [, from = ""] = /notBefore=(.*)/.exec(client.stdout.text()) ?? [];
      assert(Date.parse(from) < Date.now(), from);
    }
  },
);
