/** The rules for prefaces, one by one (`docs/protocol.md` sections 4 and 11). */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { SockpipeError } from "../../../lib/base/errors.ts";
import { ABORT_CODE } from "../../../lib/reliable/abort_codes.ts";
import {
  SessionHandshake,
  type SessionHandshakeOptions,
  type StreamProgress,
} from "../../../lib/reliable/handshake.ts";
import {
  FLAG,
  type Preface,
  PrefaceReader,
  ROLE,
} from "../../../lib/reliable/preface.ts";

const ID = new Uint8Array(16).fill(7);
const OTHER_ID = new Uint8Array(16).fill(8);
const WINDOW = 1024;

/** Streams of which the peer has 10 bytes, or holds 20 of an earlier run. */
const STATES: StreamProgress = {
  received: { offset: 5, checksum: 55 },
  awaitsStart: false,
  canResumeAt: (offset, checksum) => offset === 10 && checksum === 110,
  owesStart: (offset, checksum) => offset === 20 && checksum === 220,
};

function handshake(
  options: Partial<SessionHandshakeOptions> = {},
): SessionHandshake {
  const defaults = { role: "listen", patienceMs: 0, digest: false } as const;
  return new SessionHandshake({ ...defaults, ...options }, WINDOW, STATES);
}

function read(bytes: Uint8Array): Preface {
  const reader = new PrefaceReader();
  reader.room().set(bytes);
  const preface = reader.filled(bytes.length);
  assert(preface !== undefined);
  return preface;
}

/** What a connecting side says first. */
const FIRST: Preface = {
  version: 1,
  role: ROLE.connect,
  flags: 0,
  id: ID,
  received: 0,
  checksum: 0,
  window: WINDOW,
  patienceMs: 0,
  additions: new Uint8Array(),
};

/** What it says when it comes back. */
const AGAIN: Preface = {
  ...FIRST,
  flags: FLAG.resume,
  received: 10,
  checksum: 110,
};

type Row = readonly [
  options: Partial<SessionHandshakeOptions>,
  change: Partial<Preface>,
  reason: keyof typeof ABORT_CODE | undefined,
];

const FIRST_ROWS: readonly Row[] = [
  [{}, {}, undefined],
  [{}, { flags: 0xabcd0000 }, undefined],
  [{}, { additions: new Uint8Array(9) }, undefined],
  [{}, { patienceMs: 5 }, undefined],
  [{}, { version: 2 }, "version"],
  [{}, { flags: FLAG.digest }, "options"],
  [{}, { flags: FLAG.token }, "options"],
  [{}, { flags: FLAG.held }, "options"],
  [{}, { flags: FLAG.started }, "protocol"],
  [{}, { flags: 0x0800 }, "options"],
  [{ digest: true }, {}, "options"],
  [{ resumesFiles: true }, {}, "options"],
  [{ token: ID }, {}, "refused"],
  [{}, { flags: FLAG.refused }, "protocol"],
  [{}, { role: ROLE.listen }, "protocol"],
  [{}, { id: new Uint8Array(16) }, "protocol"],
  [{}, { window: 24 }, "protocol"],
  [{}, { window: 25 }, undefined],
  [{}, { flags: FLAG.resume }, "session"],
  [{}, { received: 1 }, "protocol"],
  [{}, { checksum: 1 }, "protocol"],
  [{ resumesFiles: true }, { flags: FLAG.held, received: 9 }, undefined],
  [{ resumesFiles: true }, { flags: FLAG.held | FLAG.started }, undefined],
  [
    { resumesFiles: true },
    { flags: FLAG.held | FLAG.started, received: 9 },
    "protocol",
  ],
];

const LATER_ROWS: readonly Row[] = [
  [{}, {}, undefined],
  [{}, { patienceMs: 5 }, undefined],
  [{}, { id: OTHER_ID }, "session"],
  [{}, { id: OTHER_ID, flags: 0 }, "busy"],
  [{}, { flags: 0 }, "session"],
  [{}, { received: 11 }, "protocol"],
  [{}, { checksum: 111 }, "protocol"],
  [{}, { window: WINDOW + 1 }, "protocol"],
  [
    { resumesFiles: true },
    { flags: FLAG.resume | FLAG.held, received: 20, checksum: 220 },
    undefined,
  ],
  [
    { resumesFiles: true },
    { flags: FLAG.resume | FLAG.held, received: 10, checksum: 110 },
    "protocol",
  ],
  [
    { resumesFiles: true },
    { flags: FLAG.resume | FLAG.held | FLAG.started },
    undefined,
  ],
];

function assertRows(rows: readonly Row[], isLater: boolean): void {
  for (const [options, change, reason] of rows) {
    const listening = handshake(options);
    if (isLater) listening.adopt(FIRST);
    listening.knownToPeer = isLater;
    const preface = { ...isLater ? AGAIN : FIRST, ...change };
    const refusal = listening.refusal(preface);
    const name = JSON.stringify([options, change]);
    assertEquals(refusal?.reason, reason && ABORT_CODE[reason], name);
    if (refusal === undefined) continue;
    const { flags, checksum, id, received } = read(refusal.bytes);
    assert((flags & FLAG.refused) !== 0);
    assertEquals([checksum, received], [refusal.reason, 0]);
    // A stranger learns nothing of the session.
    assertEquals(id, new Uint8Array(16));
  }
}

const LATER = true;

Deno.test("Handshake refuses a first preface by the first rule that applies", () => {
  assertRows(FIRST_ROWS, !LATER);
});

Deno.test("Handshake refuses a later preface by the first rule that applies", () => {
  assertRows(LATER_ROWS, LATER);
});

Deno.test("Handshake takes back a peer that may never have got the answer", () => {
  const listening = handshake();
  listening.adopt(FIRST);
  const preface = { ...FIRST, received: 10, checksum: 110 };
  assertEquals(listening.refusal(preface), undefined);
});

Deno.test("Handshake says what it has received, and in which session", () => {
  const connecting = handshake({ role: "connect", id: ID });
  const { id, received, checksum, flags } = read(connecting.preface());
  assertEquals([id, received, checksum, flags], [ID, 5, 55, 0]);
  connecting.adopt({ ...FIRST, role: ROLE.listen });
  assertEquals(read(connecting.preface()).flags, FLAG.resume);
  const listening = handshake({ resumesFiles: true });
  const own = read(listening.preface({ resumed: true }));
  assertEquals(own.flags, FLAG.resume | FLAG.held | FLAG.started);
});

Deno.test("Handshake of the connecting side turns each refusal into its error", () => {
  const exits: Record<string, number> = {
    version: 6,
    options: 6,
    protocol: 6,
    busy: 3,
    session: 6,
    refused: 7,
  };
  for (const [name, exit] of Object.entries(exits)) {
    const connecting = handshake({ role: "connect", id: ID });
    const checksum = ABORT_CODE[name as keyof typeof ABORT_CODE];
    const refusal = { ...FIRST, role: ROLE.listen, flags: FLAG.refused };
    const error = assertThrows(() =>
      connecting.check({ ...refusal, checksum }, undefined)
    );
    assert(error instanceof SockpipeError);
    assertEquals(error.exitCode, exit, name);
    assertEquals(connecting.peer, undefined);
  }
});
