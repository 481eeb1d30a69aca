/** Unit tests of the token: proofs, and sessions with them. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  DamagedError,
  LocalIoError,
  RefusedError,
  SockpipeError,
} from "../../../lib/base/errors.ts";
import {
  encodePreface,
  FLAG,
  type Preface,
  PREFACE_BYTES,
  PrefaceReader,
  sealPreface,
} from "../../../lib/reliable/preface.ts";
import { ABORT_CODE } from "../../../lib/reliable/abort_codes.ts";
import { Session } from "../../../lib/reliable/session.ts";
import {
  isProven,
  prefaceWithProof,
  type ProofContext,
} from "../../../lib/reliable/token.ts";
import { readToken } from "../../../lib/reliable/token_file.ts";
import { randomBytes } from "../../helpers/bytes.ts";
import { Folder } from "../../helpers/folder.ts";

const TOKEN = new TextEncoder().encode("correct horse battery staple");
const OTHER = new TextEncoder().encode("correct horse battery stapler");
const NONCE = { connect: randomBytes(32, 1), listen: randomBytes(32, 2) };
/** What each side checks a proof with when no key is known. */
const CONTEXT = {
  connect: { nonce: NONCE.connect, listenerKey: undefined },
  listen: { nonce: NONCE.listen, listenerKey: undefined },
};

const COMMON = {
  window: 1000,
  patienceMs: 15_000,
  resumeTimeoutMs: 60_000,
  digest: false,
};

function connecting(token: Uint8Array | undefined): Session {
  const id = new Uint8Array(16).fill(7);
  return new Session({ role: "connect", id, ...COMMON, token });
}

function listening(token: Uint8Array | undefined): Session {
  return new Session({ role: "listen", ...COMMON, token });
}

function read(bytes: Uint8Array): Preface {
  const reader = new PrefaceReader();
  for (let at = 0;;) {
    const room = reader.room();
    room.set(bytes.subarray(at, at + room.length));
    at += room.length;
    const preface = reader.filled(room.length);
    if (preface !== undefined) return preface;
  }
}

type ErrorClass = new (message: string) => SockpipeError;

/** What the connecting side answers to the challenge. */
function answer(connect: Session, listen: Session): Preface {
  assertEquals(listen.handshake.refusal(read(connect.preface())), undefined);
  const challenge = read(listen.handshake.challenge(NONCE.listen));
  return read(connect.handshake.answer(challenge, NONCE.connect));
}

/** Both sides, after their prefaces. */
function begin(connect: Session, listen: Session): void {
  const proven = answer(connect, listen);
  assertEquals(listen.handshake.refusal(proven, CONTEXT.listen), undefined);
  listen.attach(proven, 0, CONTEXT.listen);
  connect.attach(read(listen.preface()), 0, CONTEXT.connect);
}

/** What the listening side refuses with; `undefined` if it does not. */
function reasonFor(
  listen: Session,
  preface: Preface,
  context?: Partial<ProofContext>,
): number | undefined {
  const refusal = listen.handshake.refusal(preface, context);
  if (refusal === undefined) return undefined;
  const { flags, checksum } = read(refusal.bytes);
  assert((flags & FLAG.refused) !== 0);
  assertEquals(checksum, refusal.reason);
  return refusal.reason;
}

Deno.test("a proof is an HMAC-SHA-256 over the nonce and the preface before it", async () => {
  const preface = read(connecting(TOKEN).preface());
  const bytes = prefaceWithProof(preface, TOKEN, CONTEXT.listen);
  assertEquals(bytes.length, PREFACE_BYTES + 32);
  const extractable = false;
  const key = await crypto.subtle.importKey(
    "raw",
    TOKEN,
    { name: "HMAC", hash: "SHA-256" },
    extractable,
    ["sign"],
  );
  const covered = new Uint8Array([...NONCE.listen, ...bytes.subarray(0, 52)]);
  const proof = await crypto.subtle.sign("HMAC", key, covered);
  assertEquals(bytes.subarray(52, 84), new Uint8Array(proof));
});

Deno.test("a proof is of no use with a changed bit, another nonce or another token", () => {
  const bytes = prefaceWithProof(
    read(connecting(TOKEN).preface()),
    TOKEN,
    CONTEXT.listen,
  );
  assert(isProven(read(bytes), TOKEN, CONTEXT.listen));
  assert(!isProven(read(bytes), OTHER, CONTEXT.listen));
  assert(!isProven(read(bytes), TOKEN, CONTEXT.connect));
  // From the version on; the magic and the length are a reader's business.
  const changeable = [8, 9, ...Array.from({ length: 72 }, (_, i) => i + 12)];
  for (const at of changeable) {
    const changed = bytes.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    sealPreface(changed);
    assert(!isProven(read(changed), TOKEN, CONTEXT.listen), `byte ${at}`);
  }
});

Deno.test("Session with a token begins, and begins again, on both proofs", () => {
  const [connect, listen] = [connecting(TOKEN), listening(TOKEN)];
  for (let round = 0; round < 3; round++) {
    begin(connect, listen);
    assert(connect.connected && listen.connected);
    connect.lost(0);
  }
});

Deno.test("Session with a token lets nobody touch it who does not know it", () => {
  const [connect, listen] = [connecting(TOKEN), listening(TOKEN)];
  const intruder = connecting(OTHER);
  const first = read(intruder.preface());
  assertEquals(
    reasonFor(listen, read(connecting(undefined).preface())),
    ABORT_CODE.refused,
  );
  assertEquals(
    reasonFor(listen, answer(intruder, listen), CONTEXT.listen),
    ABORT_CODE.refused,
  );
  // One that leaves out the proof, or sends none of the right size.
  for (const length of [0, 32, 63]) {
    const short = { ...first, additions: new Uint8Array(length) };
    assertEquals(reasonFor(listen, short, CONTEXT.listen), ABORT_CODE.refused);
  }
  assertThrows(() => listen.attach(first, 0), RefusedError, "the token");
  assert(!listen.begun);
  begin(connect, listen);
  // The peer's own words, whom somebody has listened to, on another connection.
  const recorded = answer(connect, listen);
  assertEquals(
    reasonFor(listen, recorded, { nonce: randomBytes(32, 3) }),
    ABORT_CODE.refused,
  );
  assertEquals(listen.handshake.refusal(recorded, CONTEXT.listen), undefined);
});

Deno.test("Session with a token tells a stranger nothing of itself", () => {
  const [connect, listen] = [connecting(TOKEN), listening(TOKEN)];
  const before = read(listen.handshake.challenge(NONCE.listen));
  begin(connect, listen);
  connect.lost(0);
  begin(connect, listen);
  const after = read(listen.handshake.challenge(NONCE.listen));
  assertEquals(after, before);
  assertEquals(after.id, new Uint8Array(16));
  // Busy or not, known or not: that is told only to who knows the token.
  const other = { ...read(connect.preface()), id: new Uint8Array(16).fill(1) };
  assertEquals(listen.handshake.refusal(other), undefined);
  const known = prefaceWithProof(
    { ...other, additions: NONCE.connect },
    TOKEN,
    CONTEXT.listen,
  );
  assertEquals(
    reasonFor(listen, read(known), CONTEXT.listen),
    ABORT_CODE.session,
  );
});

Deno.test("Session of the connecting side does not begin with who does not know the token", () => {
  const challenge = read(listening(TOKEN).handshake.challenge(NONCE.listen));
  const plain = connecting(undefined);
  const plainListen = listening(undefined);
  plainListen.attach(read(plain.preface()), 0);
  const noChallenges: readonly [Partial<Preface>, ErrorClass][] = [
    [read(plainListen.preface()), RefusedError],
    [{ flags: 0 }, RefusedError],
    [{ additions: new Uint8Array(31) }, RefusedError],
    [{ version: 2 }, DamagedError],
  ];
  for (const [change, error] of noChallenges) {
    const connect = connecting(TOKEN);
    const preface = { ...challenge, ...change };
    assertThrows(() => connect.handshake.answer(preface, NONCE.connect), error);
    assert(!connect.begun);
  }
  // An impostor who challenges, and takes any proof.
  const [connect, impostor] = [connecting(TOKEN), listening(OTHER)];
  const proven = answer(connect, impostor);
  const knowing = read(
    prefaceWithProof(
      { ...proven, additions: NONCE.connect },
      OTHER,
      CONTEXT.listen,
    ),
  );
  impostor.attach(knowing, 0, CONTEXT.listen);
  const theirs = read(impostor.preface());
  assertThrows(
    () => connect.attach(theirs, 0, CONTEXT.connect),
    RefusedError,
    "the peer does not know the token",
  );
  // Nor does it take its own proof, sent back, for the other's.
  assertThrows(() => connect.attach(proven, 0, CONTEXT.connect), SockpipeError);
  const reflected = { ...theirs, additions: proven.additions.slice(32) };
  assertThrows(
    () => connect.attach(reflected, 0, CONTEXT.connect),
    RefusedError,
  );
  assert(!connect.begun);
});

Deno.test("Session says which side has no token", () => {
  const cases = [
    [undefined, TOKEN, "wants a token"],
    [TOKEN, undefined, "has no token"],
  ] as const;
  for (const [ours, theirs, text] of cases) {
    const [connect, listen] = [connecting(ours), listening(theirs)];
    const refusal = listen.handshake.refusal(read(connect.preface()));
    const said = read(refusal?.bytes ?? encodePreface(read(connect.preface())));
    const hear = () =>
      ours === undefined
        ? connect.attach(said, 0)
        : connect.handshake.answer(said, NONCE.connect);
    assertThrows(hear, RefusedError, text);
  }
});

// The file.

Deno.test("readToken() takes what is in the file but for white space around it", async () => {
  using folder = new Folder();
  const path = `${folder.path}/token`;
  for (const text of ["%", "%\n", "\r\n \t% \r\n"]) {
    const mode = 0o600;
    const content = text.replace("%", "inner space counts");
    await Deno.writeTextFile(path, content, { mode });
    assertEquals(
      new TextDecoder().decode(await readToken(path)),
      "inner space counts",
    );
  }
});

Deno.test("readToken() says what is wrong with a file", async () => {
  using folder = new Folder();
  const path = `${folder.path}/token`;
  const cases: readonly [string, number, string][] = [
    ["", 0o600, "nothing is in it"],
    [" \n\n", 0o600, "nothing is in it"],
    ["123456789012345\n", 0o600, "only 15 bytes are in it"],
    ["a".repeat(1025), 0o600, "more than 1024 bytes"],
    ["a".repeat(20) + " ".repeat(5000), 0o600, "more than 1024 bytes"],
    ["a".repeat(20), 0o644, "everybody on this machine can read"],
    ["a".repeat(20), 0o602, "everybody on this machine can read"],
  ];
  for (const [content, mode, why] of cases) {
    await Deno.writeTextFile(path, content);
    if (Deno.build.os !== "windows") await Deno.chmod(path, mode);
    else if (mode !== 0o600) continue; // there are no such permissions
    await assertRejects(() => readToken(path), LocalIoError, why);
  }
  await assertRejects(
    () => readToken(`${folder.path}/none`),
    LocalIoError,
    'none": no such file',
  );
});

/** The keys of two listeners: the right one, and that of somebody between. */
const KEY = { right: randomBytes(32, 3), between: randomBytes(32, 4) };

/** Whether a session begins over one or two TLS connections. */
function begins(
  seen: Uint8Array | undefined,
  own: Uint8Array | undefined,
): boolean {
  const [connect, listen] = [connecting(TOKEN), listening(TOKEN)];
  const first = read(connect.preface(seen));
  if (reasonFor(listen, first, { listenerKey: own }) !== undefined) {
    return false;
  }
  const challenge = read(listen.handshake.challenge(NONCE.listen));
  const proven = read(
    connect.handshake.answer(challenge, NONCE.connect, seen),
  );
  const context = { nonce: NONCE.listen, listenerKey: own };
  if (reasonFor(listen, proven, context) !== undefined) return false;
  listen.attach(proven, 0, context);
  const answer = read(listen.preface());
  connect.attach(answer, 0, { nonce: NONCE.connect, listenerKey: seen });
  return true;
}

Deno.test("a token cannot be relayed by somebody between two TLS connections", () => {
  assert(begins(KEY.right, KEY.right));
  assert(!begins(KEY.between, KEY.right));
  // A CA has vouched for the listener, and the runtime does not show the key.
  assert(begins(undefined, KEY.right));
  // The listener does not know its key, so it cannot have been asked for it.
  assert(!begins(KEY.right, undefined));
});

Deno.test("a connecting side that knows the key takes no proof that is not bound to it", () => {
  const [connect, listen] = [connecting(TOKEN), listening(TOKEN)];
  const proven = answer(connect, listen);
  listen.attach(proven, 0, CONTEXT.listen);
  const unbound = read(listen.preface());
  const context = { nonce: NONCE.connect, listenerKey: KEY.right };
  assertThrows(() => connect.attach(unbound, 0, context), RefusedError);
});
