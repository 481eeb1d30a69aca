/**
 * The session against itself over a line that breaks everywhere
 * (`session_link.ts`), and against peers that break the rules.
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  BrokenError,
  ConnectError,
  DamagedError,
  RefusedError,
  SockpipeError,
  TimeLimitError,
} from "../../../lib/base/errors.ts";
import { crc32 } from "../../../lib/reliable/crc32.ts";
import {
  FLAG,
  type Preface,
  PrefaceReader,
  ROLE,
  sealPreface,
} from "../../../lib/reliable/preface.ts";
import {
  encodeAbort,
  encodeControl,
  encodeSummary,
  FRAME,
  HEADER_BYTES,
} from "../../../lib/reliable/wire.ts";
import { ABORT_CODE } from "../../../lib/reliable/abort_codes.ts";
import { Session, type SessionOptions } from "../../../lib/reliable/session.ts";
import {
  type Incident,
  type Outcome,
  type Plan,
  play,
  randomBytes,
  seeded,
  type SideName,
  type SidePlan,
} from "../../helpers/session_link.ts";
import { SOAK } from "../../helpers/conditions.ts";
import { dataFrame, frameStarts } from "../../helpers/frames.ts";

/** In `task soak`, forty times as much of everything random is done. */
const EFFORT = SOAK ? 20 : 0.5;

const SIDES = ["connect", "listen"] as const;

function otherOf(name: SideName): SideName {
  return name === "connect" ? "listen" : "connect";
}

/**
 * What must hold however a run ends: stdout has nothing but the beginning of what
 * the other side sent, and 0 is the truth about both streams.
 */
function assertHonest(plan: Plan, outcome: Outcome): void {
  for (const name of SIDES) {
    const { stdout } = outcome[name];
    const sent = plan[otherOf(name)].stdin;
    assertEquals(stdout, sent.subarray(0, stdout.length));
    if (outcome[name].exit !== 0) continue;
    for (const side of SIDES) {
      const all = plan[otherOf(side)].stdin.length;
      assertEquals(outcome[side].stdout.length, all, `${name} ends with 0`);
    }
  }
}

function assertAllDone(plan: Plan, outcome: Outcome): void {
  const exits = SIDES.map((name) => outcome[name].exit);
  const errors = SIDES.map((name) => String(outcome[name].error)).join(", ");
  assertEquals(exits, [0, 0], errors);
  assertHonest(plan, outcome);
}

/** Plays it, and says which plan it was when something is wrong. */
function check(
  plan: Plan,
  assertion: (plan: Plan, outcome: Outcome) => void,
): Outcome {
  try {
    const outcome = play(plan);
    assertion(plan, outcome);
    return outcome;
  } catch (error) {
    const json = JSON.stringify(
      plan,
      (_key, value) => value instanceof Uint8Array ? value.length : value,
    );
    throw new Error(`With ${json}: ${error}`, { cause: error });
  }
}

function side(
  length: number,
  { window = 1000, dataSize = 100, ...more }: Partial<SidePlan> = {},
): SidePlan {
  const stdin = randomBytes(length, seeded(length));
  return { stdin, window, dataSize, ...more };
}

/** Small sessions of every kind; each is cut at every byte. */
const SHAPES: Record<string, Omit<Plan, "seed">> = {
  "both ways at once": { connect: side(60), listen: side(45) },
  "with a digest": { connect: side(33), listen: side(7), digest: true },
  "one way from the connecting side": {
    connect: side(70),
    listen: side(0, { receiveOnly: true }),
  },
  "one way from the listening side": {
    connect: side(0, { receiveOnly: true }),
    listen: side(70),
  },
  "with a token": {
    connect: side(9),
    listen: side(6),
    token: randomBytes(16, seeded(9)),
  },
  "two empty streams": { connect: side(0), listen: side(0) },
  "a window of 1 byte": {
    connect: side(5, { window: 1 }),
    listen: side(4, { window: 1 }),
  },
  "windows of 7 and 50 bytes, DATA_SIZE 1": {
    connect: side(5, { window: 7, dataSize: 1 }),
    listen: side(6, { window: 50, dataSize: 1 }),
  },
};

const CUTS = [
  { flush: false, silent: false },
  { flush: true, silent: false },
  { flush: false, silent: true },
];

/** Every byte of every direction of a plan, as it goes without incidents. */
function* everyByte(
  plan: Plan,
): Generator<{ to: SideName; at: number }> {
  const { passed } = check(plan, assertAllDone);
  for (const to of SIDES) {
    for (let at = 0; at <= passed[to]; at++) yield { to, at };
  }
}

for (const [shape, sides] of Object.entries(SHAPES)) {
  Deno.test(`Session of ${shape} survives a cut at every byte`, () => {
    for (let seed = 1; seed <= Math.ceil(EFFORT / 5); seed++) {
      for (const place of everyByte({ seed, ...sides })) {
        for (const cut of CUTS) {
          const incidents = [{ ...place, ...cut }];
          check({ seed, ...sides, incidents }, assertAllDone);
        }
      }
    }
  });

  Deno.test(`Session of ${shape} tells the truth when a side dies at any byte`, () => {
    let died = 0;
    let ended = 0;
    for (const place of everyByte({ seed: 1, ...sides })) {
      for (const kill of SIDES) {
        const flush = place.at % 2 === 0;
        const incidents = [{ ...place, kill, flush, silent: false }];
        const outcome = check({ seed: 1, ...sides, incidents }, assertHonest);
        outcome[kill].exit === undefined ? died++ : ended++;
      }
    }
    // A side may have ended while its goodbye is still under way.
    const underWay = 2 * (HEADER_BYTES + 1);
    assert(died > 200 && ended <= underWay, `${died} died, ${ended} ended`);
  });
}

/** Sessions of which an earlier run has left something, right or wrong. */
const HELD_SHAPES: Record<string, Omit<Plan, "seed">> = {
  "of which a part is held": holding(60, 40),
  "of which all is held": holding(60, 60),
  "of which something else is held": holding(60, 40, 0),
  "of which more is held than there is": holding(60, 80, 60),
  "of which all is held by a receiver that only receives": {
    connect: side(50, { receiveOnly: false }),
    listen: side(0, { receiveOnly: true, held: side(50).stdin }),
    resumesFiles: true,
    digest: true,
  },
};

/** @param right How much of what is held, `held` bytes, is right. */
function holding(length: number, held: number, right = held): Plan {
  const both = side(length);
  const bytes = randomBytes(held, seeded(99));
  bytes.set(both.stdin.subarray(0, Math.min(right, held)));
  return {
    seed: 1,
    connect: { ...both, held: bytes },
    listen: { ...both, held: bytes },
    resumesFiles: true,
    digest: true,
  };
}

for (const [shape, plan] of Object.entries(HELD_SHAPES)) {
  Deno.test(`Session ${shape} survives a cut at every byte`, () => {
    for (const place of everyByte({ ...plan, seed: 1 })) {
      for (const [seed, cut] of CUTS.entries()) {
        const incidents = [{ ...place, ...cut }];
        check({ ...plan, seed, incidents }, assertAllDone);
      }
    }
  });
}

Deno.test("Session sends nothing of what is held", () => {
  const plan = holding(1000, 1000);
  const { passed } = check(plan, assertAllDone);
  assert(passed.connect < 600 && passed.listen < 600);
});

function randomSide(random: () => number): SidePlan {
  const window = 1 + Math.floor(random() * 2 ** (random() * 12));
  const length = Math.floor(random() * 2 ** (random() * 11)) - 1;
  return side(Math.max(0, Math.min(length, 30 * window)), {
    window,
    dataSize: 1 + Math.floor(random() * 2 ** (random() * 11)),
  });
}

function randomIncident(random: () => number): Incident {
  return {
    to: random() < 0.5 ? "connect" : "listen",
    at: Math.floor(random() * 2 ** (random() * 11)),
    flush: random() < 0.5,
    silent: random() < 0.2,
    outageMs: random() < 0.2 ? random() * 30_000 : 0,
  };
}

function randomPlan(seed: number): Plan {
  const random = seeded(seed);
  return {
    seed,
    connect: randomSide(random),
    listen: randomSide(random),
    digest: random() < 0.3,
    ...(random() < 0.3 ? { token: randomBytes(20, random) } : {}),
    // Incidents may follow each other for longer than a minute.
    resumeTimeoutMs: 3_600_000,
    strangers: random() < 0.2 ? 20 : 0,
    incidents: Array.from(
      { length: Math.floor(random() * 12) },
      () => randomIncident(random),
    ),
  };
}

Deno.test("Session ends with equal streams whatever cuts, delays and strangers come", () => {
  let connections = 0;
  for (let seed = 1; seed <= 1000 * EFFORT; seed++) {
    connections += check(randomPlan(seed), assertAllDone).connections;
  }
  // Otherwise the incidents do not happen, and nothing was tested.
  assert(connections > 2500 * EFFORT, `${connections} connections`);
});

Deno.test("Session never ends with a wrong 0 when sides die and disks are full", () => {
  const exits = new Set<number | undefined>();
  for (let seed = 1; seed <= 1000 * EFFORT; seed++) {
    const random = seeded(-seed);
    const plan = randomPlan(seed);
    const kill = random() < 0.5 ? "connect" : "listen";
    const fatal = { ...randomIncident(random), kill } as const;
    const fails = random() < 0.3;
    const outcome = check({
      ...plan,
      incidents: [...plan.incidents ?? [], ...fails ? [] : [fatal]],
      connect: fails
        ? { ...plan.connect, stdoutFailsAt: random() * 100 }
        : plan.connect,
    }, assertHonest);
    exits.add(outcome.connect.exit).add(outcome.listen.exit);
  }
  assertEquals(exits, new Set([undefined, 0, 1, 5, 8]));
});

Deno.test("Session ends with 5 when the outage is longer than the resume timeout", () => {
  const outage = { flush: false, silent: false, outageMs: 70_000 };
  const outcome = check({
    seed: 1,
    connect: side(500),
    listen: side(500),
    incidents: [{ to: "listen", at: 300, ...outage }],
  }, assertHonest);
  assertEquals([outcome.connect.exit, outcome.listen.exit], [5, 5]);
  const { error } = outcome.listen;
  assert(error instanceof TimeLimitError);
  assertEquals(
    error.message.replaceAll(/\d+ /g, "N "),
    "Cannot resume the session: no connection for 1m (--resume-timeout); " +
      "N of N bytes sent are confirmed, N bytes received",
  );
});

Deno.test("Session lets one direction go on while the other one's stdout stalls", () => {
  for (const stalled of SIDES) {
    const plan = {
      seed: 3,
      connect: side(50_000, { window: 500 }),
      listen: side(50_000, { window: 700 }),
    };
    const stalls = { ...plan[stalled], stalls: true };
    check({ ...plan, [stalled]: stalls }, assertAllDone);
  }
});

Deno.test("Session needs no waiting where nothing breaks", () => {
  for (const sides of Object.values(SHAPES)) {
    const outcome = check({ seed: 5, ...sides }, assertAllDone);
    assertEquals([outcome.connections, outcome.elapsedMs], [1, 0]);
  }
});

/** Two sessions that are connected, with the bytes in the test's hands. */
class Pair {
  readonly connect: Session;
  readonly listen: Session;
  readonly first: Preface;

  constructor(options: Partial<SessionOptions> = {}) {
    this.connect = connectSession(options);
    this.listen = listenSession(options);
    this.first = readPreface(this.connect.preface());
    this.listen.attach(this.first, 0);
    this.connect.attach(readPreface(this.listen.preface()), 0);
  }

  /** Moves everything that one side has to send, and returns it. */
  move(from: SideName, now = 0): Uint8Array {
    const sent: Uint8Array[] = [];
    for (;;) {
      const bytes = this[from].nextToSend(now);
      if (bytes === undefined) return concat(sent);
      sent.push(bytes.slice());
      receive(this[otherOf(from)], bytes, now);
    }
  }

  reconnect(now = 0): void {
    this.connect.lost(now);
    this.listen.attach(readPreface(this.connect.preface()), now);
    this.connect.attach(readPreface(this.listen.preface()), now);
  }
}

const COMMON = {
  window: 1000,
  patienceMs: 15_000,
  resumeTimeoutMs: 60_000,
  digest: false,
};

function connectSession(options: Partial<SessionOptions> = {}): Session {
  const id = new Uint8Array(16).fill(7);
  return new Session({ role: "connect", id, ...COMMON, ...options });
}

function listenSession(options: Partial<SessionOptions> = {}): Session {
  return new Session({ role: "listen", ...COMMON, ...options });
}

function readPreface(bytes: Uint8Array): Preface {
  const reader = new PrefaceReader();
  reader.room().set(bytes);
  const preface = reader.filled(bytes.length);
  assert(preface !== undefined);
  return preface;
}

function receive(session: Session, bytes: Uint8Array, now = 0): void {
  let taken = 0;
  while (taken < bytes.length) {
    const room = session.incoming.room();
    const n = Math.min(room.length, bytes.length - taken);
    room.set(bytes.subarray(taken, taken + n));
    session.received(n, now);
    taken += n;
  }
  if (session.incoming.allDelivered) session.incoming.end();
}

function deliverAll(session: Session, now = 0): Uint8Array {
  const delivered: Uint8Array[] = [];
  for (;;) {
    const bytes = session.incoming.toDeliver();
    if (session.incoming.allDelivered) session.incoming.end();
    if (bytes === undefined) return concat(delivered);
    delivered.push(bytes.slice());
    session.incoming.delivered(bytes.length, now);
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

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
  assert(pair.connect.done && !pair.connect.finished && !pair.listen.done);
  pair.move("connect");
  assert(pair.listen.done && !pair.listen.finished);
  pair.move("listen");
  assert(pair.connect.finished && pair.listen.finished);
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
    assert(!connect.done);
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
    assert(bytes !== undefined && connect.done && !connect.finished);
    if (damaged) assertThrows(() => receive(connect, bytes), BrokenError);
    else receive(connect, bytes);
    while (connect.nextToSend(0));
    connect.lost(0);
    assertEquals(connect.finished, !damaged);
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

Deno.test("Session gives strangers a refusal and is not disturbed by them", () => {
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

Deno.test("Session acknowledges after a quarter of the window, or a while", () => {
  const pair = new Pair({ window: 400_000 });
  pair.connect.outgoing.accept(new Uint8Array(300_000));
  pair.move("connect");
  const quarter = Math.floor(400_024 / 4);
  pair.listen.incoming.delivered(quarter - 1, 50);
  assertEquals(pair.listen.nextToSend(50), undefined);
  assertEquals(pair.listen.wakeAt, 150);
  pair.listen.incoming.delivered(1, 60);
  assertEquals(pair.listen.wakeAt, 60);
  pair.move("listen", 60);
  assertEquals(pair.connect.outgoing.confirmedBytes, quarter);
  pair.listen.incoming.delivered(1, 70);
  assertEquals(pair.listen.nextToSend(169), undefined);
  pair.move("listen", 170);
  assertEquals(pair.connect.outgoing.confirmedBytes, quarter + 1);
});

Deno.test("Session repeats the acknowledgement that was lost with its connection", () => {
  const pair = new Pair();
  pair.connect.outgoing.accept(HI);
  pair.move("connect");
  deliverAll(pair.listen);
  pair.listen.nextToSend(0);
  assertEquals(pair.connect.outgoing.confirmedBytes, 0);
  pair.reconnect();
  pair.move("listen");
  assertEquals(pair.connect.outgoing.confirmedBytes, 2);
});

Deno.test("Session sends a heartbeat in a third of the peer's patience", () => {
  const pair = new Pair();
  assertEquals(pair.connect.wakeAt, 5000);
  assertEquals(pair.connect.nextToSend(4999), undefined);
  assertEquals(pair.move("connect", 5000).length, HEADER_BYTES);
  assertEquals(pair.connect.wakeAt, 10_000);
  assert(!pair.listen.isSilent(19_999));
  assert(pair.listen.isSilent(20_000));
  assert(pair.connect.isSilent(15_000));
});

Deno.test("Session waits for ever when it is told to be patient", () => {
  const pair = new Pair({ patienceMs: 0 });
  assertEquals(pair.connect.wakeAt, Infinity);
  assert(!pair.connect.isSilent(1e12));
});

Deno.test("Session takes nothing from stdin before it has begun or while the window is full", () => {
  const session = connectSession();
  assertEquals([session.outgoing.reserve(), session.outgoing.accept(HI)], [
    undefined,
    0,
  ]);
  const pair = new Pair({ window: 100 });
  assertEquals(pair.connect.outgoing.accept(new Uint8Array(1000)), 100);
  assertEquals(pair.connect.outgoing.reserve(), undefined);
  pair.move("connect");
  assertEquals(pair.connect.outgoing.reserve(), undefined);
  deliverAll(pair.listen);
  pair.move("listen");
  assertEquals(pair.connect.outgoing.reserve()?.length, 100);
});

Deno.test("Session sends again from where the peer is, in the same frames", () => {
  const pair = new Pair();
  pair.connect.outgoing.accept(new Uint8Array(30));
  pair.connect.outgoing.accept(new Uint8Array(40));
  pair.connect.outgoing.accept(new Uint8Array(50));
  const all = pair.connect.nextToSend(0)?.slice() ?? new Uint8Array();
  receive(pair.listen, all.subarray(0, 74));
  pair.reconnect();
  assertEquals(pair.move("connect"), all.subarray(HEADER_BYTES + 30));
  assertEquals(deliverAll(pair.listen), new Uint8Array(120));
});

Deno.test("Session hands out many small frames as one piece, and joins them for stdout", () => {
  const pair = new Pair();
  const lines = ["one\n", "two\n", "three\n"].map((line) =>
    new TextEncoder().encode(line)
  );
  for (const line of lines) pair.connect.outgoing.accept(line);
  const bytes = pair.connect.nextToSend(0);
  assertEquals(bytes?.length, 3 * HEADER_BYTES + 14);
  receive(pair.listen, bytes ?? new Uint8Array());
  assertEquals(pair.listen.incoming.toDeliver(), concat(lines));
});

/** The bytes of a real session, of each direction, after the prefaces. */
function recordTraffic(): Record<SideName, Uint8Array> {
  const pair = new Pair({ digest: true });
  const random = seeded(1);
  const sent: Record<SideName, Uint8Array[]> = { connect: [], listen: [] };
  for (let round = 0; round < 6; round++) {
    for (const name of SIDES) {
      pair[name].outgoing.accept(randomBytes(1 + round * 20, random));
      if (round === 5) pair[name].outgoing.end();
      sent[name].push(pair.move(name, round * 200));
      deliverAll(pair[otherOf(name)], round * 200);
    }
  }
  for (const name of [...SIDES, ...SIDES]) sent[name].push(pair.move(name));
  assert(pair.connect.finished && pair.listen.finished);
  return { connect: concat(sent.connect), listen: concat(sent.listen) };
}

/** One thing that can go wrong with bytes on their way. */
function mutate(bytes: Uint8Array, random: () => number): Uint8Array {
  const at = Math.floor(random() * bytes.length);
  const length = 1 + Math.floor(random() * 40);
  const before = bytes.subarray(0, at);
  const after = bytes.subarray(at);
  const changed = bytes.slice();
  changed[at] = (changed[at] ?? 0) ^ (1 + Math.floor(random() * 255));
  const mutants = [
    () => changed,
    () => concat([before, bytes.subarray(at + length)]),
    () => concat([before, randomBytes(length, random), after]),
    () => concat([before, bytes.subarray(at, at + length), after]),
  ];
  return mutants[Math.floor(random() * mutants.length)]?.() ?? bytes;
}

/** Changes one header, and makes its checksum match again. */
function forge(bytes: Uint8Array, random: () => number): Uint8Array {
  const starts = [...frameStarts(bytes)];
  const at = starts[Math.floor(random() * starts.length)] ?? 0;
  const changed = bytes.slice();
  changed[at + Math.floor(random() * 16)] = random() * 256;
  const sum = crc32(changed.subarray(at, at + 16));
  new DataView(changed.buffer).setUint32(at + 16, sum);
  return changed;
}

/** A side that has sent all it has, to which the recorded traffic makes sense. */
function replayTarget(): Session {
  const { listen } = new Pair({ digest: true });
  const random = seeded(1);
  for (let round = 0; round < 6; round++) {
    randomBytes(1 + round * 20, random);
    listen.outgoing.accept(randomBytes(1 + round * 20, random));
  }
  listen.outgoing.end();
  while (listen.nextToSend(0));
  return listen;
}

/** Feeds it in random portions, and returns what came out. */
function feed(
  session: Session,
  bytes: Uint8Array,
  random: () => number,
): { stdout: Uint8Array; error: unknown } {
  const stdout: Uint8Array[] = [];
  let error: unknown;
  try {
    // A real peer says goodbye, its last frame, only after an answer.
    const last = Math.max(0, bytes.length - HEADER_BYTES);
    for (let taken = 0; taken < bytes.length;) {
      const most = taken < last ? last - taken : HEADER_BYTES;
      const n = Math.min(1 + Math.floor(random() * 300), most);
      receive(session, bytes.subarray(taken, taken + n));
      taken += n;
      stdout.push(deliverAll(session));
      while (session.nextToSend(0));
    }
  } catch (thrown) {
    error = thrown;
  }
  stdout.push(deliverAll(session));
  return { stdout: concat(stdout), error };
}

Deno.test("Session takes recorded traffic, and nothing else: mutated and forged traffic is damage", () => {
  const traffic = recordTraffic().connect;
  const truth = feed(replayTarget(), traffic, seeded(0));
  assertEquals([truth.stdout.length, truth.error], [306, undefined]);
  // 8000 take a second; in `task soak`, it is a minute.
  const last = SOAK ? 500_000 : 8000;
  let damage = 0;
  for (let seed = 1; seed <= last; seed++) {
    const random = seeded(seed);
    const forged = random() < 0.5;
    const bytes = forged ? forge(traffic, random) : mutate(traffic, random);
    const session = replayTarget();
    const { stdout, error } = feed(session, bytes, random);
    assertEquals(stdout, truth.stdout.subarray(0, stdout.length));
    if (error !== undefined && !(error instanceof DamagedError)) {
      // A forged frame may be an ABORT; what is done is only disconnected.
      assert(forged || session.done, `${error}`);
      assert(error instanceof SockpipeError, `${error}`);
    }
    if (session.done) assertEquals(stdout.length, truth.stdout.length);
    if (error !== undefined) damage++;
  }
  assert(damage > 50, `${damage} were found to be damaged`);
});

Deno.test("Session takes a mutated preface for damage, a stranger's or its peer's", () => {
  const outcomes: Record<string, number> = {};
  for (let seed = 1; seed <= 3000 * EFFORT; seed++) {
    const random = seeded(seed);
    const { connect, listen } = new Pair();
    connect.lost(0);
    const session = random() < 0.5 ? connect : listen;
    const other = session === connect ? listen : connect;
    const bytes = mutate(other.preface(), random);
    if (random() < 0.5 && bytes.length >= 4) sealPreface(bytes);
    const outcome = meet(session, bytes);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }
  assertEquals(Object.keys(outcomes).sort(), [
    "damage",
    "refused",
    "taken",
    "waits",
  ]);
});

/** What a side does with a preface. @throws What it must not throw. */
function meet(session: Session, bytes: Uint8Array): string {
  const reader = new PrefaceReader();
  try {
    for (let at = 0; at < bytes.length;) {
      const room = reader.room();
      const part = bytes.subarray(at, at + room.length);
      room.set(part);
      at += part.length;
      const preface = reader.filled(part.length);
      if (preface === undefined) continue;
      if (session.handshake.refusal(preface) !== undefined) return "refused";
      session.attach(preface, 0);
      return "taken";
    }
    return "waits";
  } catch (error) {
    if (error instanceof SockpipeError) return "damage";
    throw error;
  }
}
