/** Unit tests of a session: what it sends, takes and refuses. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  BrokenError,
  ConnectError,
  DamagedError,
  RefusedError,
  type SockpipeError,
} from "../../../lib/base/errors.ts";
import { crc32 } from "../../../lib/reliable/crc32.ts";
import { FLAG, type Preface, ROLE } from "../../../lib/reliable/preface.ts";
import {
  encodeAbort,
  encodeControl,
  encodeSummary,
  FRAME,
  HEADER_BYTES,
} from "../../../lib/reliable/wire.ts";
import { ABORT_CODE } from "../../../lib/reliable/abort_codes.ts";
import { dataFrame } from "../../helpers/frames.ts";
import { assertAllDone, check, holding } from "../../helpers/session_plans.ts";
import {
  connectSession,
  deliverAll,
  listenSession,
  Pair,
  readPreface,
  receive,
} from "../../helpers/session_pair.ts";

Deno.test("Session sends nothing of what is held", () => {
  const plan = holding(1000, 1000);
  const { passed } = check(plan, assertAllDone);
  assert(passed.connect < 600 && passed.listen < 600);
});

const HI = new TextEncoder().encode("hi");
const HI_END = { checksum: crc32(HI), digest: undefined };

Deno.test("Session ends both sides after both goodbyes, and not before", () => {
  const pair = new Pair();
  pair.connect.outgoing.accept(HI);
  pair.connect.outgoing.end();
  pair.listen.outgoing.end();
  pair.move("connect");
  assert(!pair.listen.incoming.complete);
  assertEquals(deliverAll(pair.listen), HI);
  assert(pair.listen.incoming.complete);
  pair.move("listen");
  assert(
    pair.connect.isDelivered && !pair.connect.isClosed &&
      !pair.listen.isDelivered,
  );
  pair.move("connect");
  assert(pair.listen.isDelivered && !pair.listen.isClosed);
  pair.move("listen");
  assert(pair.connect.isClosed && pair.listen.isClosed);
});

Deno.test("Session refuses what a peer must not send, and delivers nothing of it", () => {
  const end = (summary: Uint8Array, offset: number) =>
    encodeControl(FRAME.end, { offset, payload: summary });
  const truth = encodeSummary(HI_END);
  const cases: Record<string, readonly Uint8Array[]> = {
    "data at a wrong offset": [dataFrame(HI, 1)],
    "data twice": [dataFrame(HI, 0), dataFrame(HI, 0)],
    "data of another stream": [dataFrame(HI, 0), dataFrame(HI, 2, 99)],
    "data after the end": [
      dataFrame(HI, 0),
      end(truth, 2),
      dataFrame(HI, 2, crc32(HI)),
    ],
    "an end that comes too early": [end(truth, 2)],
    "an end with a wrong checksum": [
      dataFrame(HI, 0),
      end(encodeSummary({ ...HI_END, checksum: 1 }), 2),
    ],
    "an end with a digest that was not agreed": [
      dataFrame(HI, 0),
      end(encodeSummary({ ...HI_END, digest: new Uint8Array(32) }), 2),
    ],
    "two ends": [dataFrame(HI, 0), end(truth, 2), end(truth, 2)],
    "an acknowledgement from the future": [
      encodeControl(FRAME.ack, { offset: 3 }),
    ],
    "an acknowledgement that goes back": [
      encodeControl(FRAME.ack, { offset: 2 }),
      encodeControl(FRAME.ack, { offset: 1 }),
    ],
    "a confirmation before the end": [
      encodeControl(FRAME.confirm, { offset: 2, payload: truth }),
    ],
    "a goodbye at the beginning": [encodeControl(FRAME.goodbye)],
    "an abort without a code": [encodeControl(FRAME.abort)],
  };
  for (const [name, frames] of Object.entries(cases)) {
    const { connect } = new Pair();
    connect.outgoing.accept(HI);
    connect.nextToSend(0);
    for (const frame of frames.slice(0, -1)) receive(connect, frame);
    const good = connect.incoming.undeliveredBytes;
    const last = frames.at(-1) ?? new Uint8Array();
    assertThrows(() => receive(connect, last), DamagedError, undefined, name);
    assertEquals(connect.incoming.undeliveredBytes, good, name);
    const abort = connect.abort(ABORT_CODE.protocol, "no");
    assertEquals(abort?.[0], FRAME.abort, name);
    assertEquals(connect.nextToSend(0), undefined, name);
  }
});

Deno.test("Session refuses a confirmation of another length or checksum", () => {
  for (const [offset, sum] of [[1, HI_END.checksum], [2, 5]] as const) {
    const { connect } = new Pair();
    connect.outgoing.accept(HI);
    connect.outgoing.end();
    while (connect.nextToSend(0));
    const payload = encodeSummary({ checksum: sum, digest: undefined });
    const confirm = encodeControl(FRAME.confirm, { offset, payload });
    assertThrows(() => receive(connect, confirm), DamagedError, "confirms");
    assert(!connect.isDelivered);
  }
});

Deno.test("Session refuses an end whose digest does not match", () => {
  const { listen } = new Pair({ digest: true });
  receive(listen, dataFrame(HI, 0));
  const payload = encodeSummary({ ...HI_END, digest: new Uint8Array(32) });
  const end = encodeControl(FRAME.end, { offset: 2, payload });
  assertThrows(() => receive(listen, end), DamagedError, "digest");
});

Deno.test("Session knows the SHA-256 of both streams", () => {
  const pair = new Pair({ digest: true });
  pair.connect.outgoing.accept(HI);
  pair.connect.outgoing.end();
  pair.move("connect");
  const expected =
    "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4";
  for (
    const summary of [
      pair.connect.outgoing.summary,
      pair.listen.incoming.summary,
    ]
  ) {
    const hex = [...summary?.digest ?? []]
      .map((byte) => byte.toString(16).padStart(2, "0")).join("");
    assertEquals(hex, expected);
  }
});

Deno.test("Session refuses a peer that sends more than the window allows", () => {
  const { listen } = new Pair({ window: 10 });
  receive(listen, dataFrame(new Uint8Array(8), 0));
  const more = dataFrame(new Uint8Array(3), 8, crc32(new Uint8Array(8)));
  assertThrows(() => receive(listen, more), DamagedError, "window");
});

Deno.test("Session turns the peer's abort into the error it stands for", () => {
  const cases = [
    [ABORT_CODE.protocol, DamagedError],
    [ABORT_CODE.refused, RefusedError],
    [ABORT_CODE.localIo, BrokenError],
    [ABORT_CODE.interrupted, BrokenError],
    [4711, BrokenError],
  ] as const;
  for (const [code, error] of cases) {
    const { listen } = new Pair();
    const payload = encodeAbort({ code, text: "a\x1b[31mreason" });
    const abort = encodeControl(FRAME.abort, { payload });
    assertThrows(
      () => receive(listen, abort),
      error,
      '"a\ufffd[31mreason"',
    );
    assertEquals(listen.abort(ABORT_CODE.protocol, ""), undefined);
  }
});

Deno.test("Session that is done takes damage for a lost connection, and an abort for a goodbye", () => {
  for (const damaged of [true, false]) {
    const { connect, listen } = donePair();
    const bytes = damaged
      ? new Uint8Array(HEADER_BYTES)
      : listen.abort(1, "no");
    assert(bytes !== undefined && connect.isDelivered && !connect.isClosed);
    if (damaged) assertThrows(() => receive(connect, bytes), BrokenError);
    else receive(connect, bytes);
    while (connect.nextToSend(0));
    connect.lost(0);
    assertEquals(connect.isClosed, !damaged);
    connect.giveUp();
  }
});

/** A pair whose connecting side is done; the other one waits for its CONFIRM. */
function donePair(): Pair {
  const pair = new Pair();
  pair.listen.outgoing.end();
  pair.connect.outgoing.end();
  pair.move("connect");
  pair.move("listen");
  return pair;
}

Deno.test("Session keeps the reasons of an abort that is too long to what fits", () => {
  const { connect, listen } = new Pair();
  const abort = connect.abort(ABORT_CODE.localIo, "é".repeat(1000));
  assert(abort !== undefined);
  assertThrows(() => receive(listen, abort), BrokenError, "é".repeat(256));
});

Deno.test("Session gives intruders a refusal and is not disturbed by them", () => {
  const pair = new Pair();
  pair.connect.outgoing.accept(HI);
  pair.move("connect");
  const { first } = pair;
  const id = new Uint8Array(16).fill(9);
  const resume = FLAG.resume;
  const cases: readonly [Partial<Preface>, number][] = [
    [{ id }, ABORT_CODE.busy],
    [{ id, flags: resume }, ABORT_CODE.session],
    // A recorded first preface, played again.
    [{}, ABORT_CODE.session],
    [{ flags: resume, received: 5 }, ABORT_CODE.protocol],
    [{ flags: resume, checksum: 5 }, ABORT_CODE.protocol],
    [{ flags: resume, window: 999 }, ABORT_CODE.protocol],
    [{ flags: resume | FLAG.digest }, ABORT_CODE.options],
    [{ flags: resume | FLAG.token }, ABORT_CODE.options],
    [{ flags: resume | 0x0800 }, ABORT_CODE.options],
    [{ flags: resume | FLAG.refused }, ABORT_CODE.protocol],
    [{ flags: resume, role: ROLE.listen }, ABORT_CODE.protocol],
    [{ flags: resume, version: 2 }, ABORT_CODE.version],
  ];
  for (const [change, reason] of cases) {
    const refusal = pair.listen.handshake.refusal({ ...first, ...change });
    assert(refusal !== undefined, JSON.stringify(change));
    const { flags, checksum, version } = readPreface(refusal.bytes);
    assertEquals([flags, checksum, version], [FLAG.refused, reason, 1]);
  }
  const future = { ...first, flags: (resume | 0xabcd0000) >>> 0 };
  assertEquals(pair.listen.handshake.refusal(future), undefined);
  assertEquals(deliverAll(pair.listen), HI);
});

Deno.test("Session takes nobody's resume before it has begun", () => {
  const { first } = new Pair();
  const cases: readonly [Partial<Preface>, number][] = [
    [{ flags: FLAG.resume }, ABORT_CODE.session],
    [{ received: 1 }, ABORT_CODE.protocol],
    [{ checksum: 1 }, ABORT_CODE.protocol],
    [{ id: new Uint8Array(16) }, ABORT_CODE.protocol],
    [{ window: 20 }, ABORT_CODE.protocol],
  ];
  for (const [change, reason] of cases) {
    const session = listenSession();
    const refusal = session.handshake.refusal({ ...first, ...change });
    assert(refusal !== undefined, JSON.stringify(change));
    assertEquals(readPreface(refusal.bytes).checksum, reason);
    assert(!session.begun);
    assertEquals(session.handshake.refusal(first), undefined);
  }
});

Deno.test("Session takes its peer again that never got the answer", () => {
  const pair = new Pair();
  assertEquals(pair.listen.handshake.refusal(pair.first), undefined);
  pair.listen.attach(pair.first, 1);
  assertEquals(readPreface(pair.listen.preface()).flags, FLAG.resume);
});

type ErrorClass = new (message: string) => SockpipeError;

Deno.test("Session of the connecting side checks the answer", () => {
  const answer = readPreface(new Pair().listen.preface());
  const refused = (reason: number) => ({
    flags: FLAG.refused,
    checksum: reason,
    id: new Uint8Array(16),
  });
  const cases: readonly [Partial<Preface>, ErrorClass][] = [
    [refused(ABORT_CODE.busy), ConnectError],
    [refused(ABORT_CODE.refused), RefusedError],
    [refused(ABORT_CODE.options), DamagedError],
    [refused(ABORT_CODE.session), DamagedError],
    [{ ...refused(ABORT_CODE.version), version: 2 }, DamagedError],
    [{ role: ROLE.connect }, ConnectError],
    [{ id: new Uint8Array(16).fill(1) }, DamagedError],
    [{ version: 2 }, DamagedError],
    [{ flags: FLAG.digest }, DamagedError],
    [{ received: 1 }, DamagedError],
  ];
  for (const [change, error] of cases) {
    const session = connectSession();
    assertThrows(() => session.attach({ ...answer, ...change }, 0), error);
    assert(!session.begun);
  }
});

Deno.test("Session of the connecting side refuses a listener that has forgotten it", () => {
  const { connect } = new Pair();
  connect.lost(0);
  const answer = readPreface(new Pair().listen.preface());
  assertThrows(() => connect.attach(answer, 0), DamagedError, "not know");
});
