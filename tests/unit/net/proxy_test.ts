import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UsageError } from "../../../lib/base/errors.ts";
import { ProxyError } from "../../../lib/net/proxy_exchange.ts";
import { askProxy } from "../../../lib/net/proxy.ts";
import {
  checkTarget,
  parseProxy,
  type ProxySettings,
  withPassword,
} from "../../../lib/net/proxy_settings.ts";
import type { Socket } from "../../../lib/net/socket.ts";
import { seeded } from "../../helpers/seeded.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NAMED = { hostname: "nas.local", port: 443 };
const NEVER = new AbortController().signal;

/** The far end of a proxy's socket: says what it is told to, keeps what it hears. */
class FakeProxy implements Socket {
  readonly localAddr = { transport: "tcp", hostname: "::", port: 1 } as const;
  readonly remoteAddr = this.localAddr;
  readonly heard: number[] = [];
  closed = 0;
  readonly #answer: Uint8Array;
  #said = 0;
  readonly #cuts: readonly number[];
  readonly #isSilentAfter: boolean;
  #onClose: (error: Error) => void = () => {};

  /**
   * @param options.cuts Where in the answer a read ends.
   * @param options.silentAfter Whether it stays there behind its answer.
   */
  constructor(
    answer: Uint8Array,
    { cuts = [], silentAfter = false }: {
      cuts?: readonly number[];
      silentAfter?: boolean;
    } = {},
  ) {
    this.#answer = answer;
    this.#cuts = cuts;
    this.#isSilentAfter = silentAfter;
  }

  /** What nobody has read yet. */
  get rest(): string {
    return decoder.decode(this.#answer.subarray(this.#said));
  }

  read(into: Uint8Array): Promise<number | null> {
    const next = this.#cuts.find((cut) => cut > this.#said) ??
      this.#answer.length;
    const bytes = this.#answer.subarray(this.#said, next)
      .subarray(0, into.length);
    if (bytes.length === 0 && this.#isSilentAfter) {
      return new Promise((_, reject) => this.#onClose = reject);
    }
    into.set(bytes);
    this.#said += bytes.length;
    return Promise.resolve(bytes.length === 0 ? null : bytes.length);
  }

  write(bytes: Uint8Array): Promise<number> {
    // Sockets take a part at a time.
    const part = bytes.subarray(0, 7);
    this.heard.push(...part);
    return Promise.resolve(part.length);
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.closed++;
    this.#onClose(new Deno.errors.Interrupted("closed"));
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function settings(url: string, password?: string): ProxySettings {
  const proxy = parseProxy(url);
  return password === undefined ? proxy : withPassword(proxy, password, "FILE");
}

const NO_PASSWORD_CHOSEN = [5, 0];
const PASSWORD_CHOSEN = [5, 2];
const CONNECTED = [5, 0, 0, 1, 10, 0, 0, 1, 4, 56];

/** Each protocol, what is said to it and what it answers when all is well. */
const GOOD: readonly {
  url: string;
  password?: string;
  target?: { hostname: string; port: number };
  said: readonly (number | string)[];
  answers: readonly (number | string)[];
}[] = [
  {
    url: "socks5h://proxy",
    said: [5, 1, 0, 5, 1, 0, 3, 9, "nas.local", 1, 187],
    answers: [...NO_PASSWORD_CHOSEN, ...CONNECTED],
  },
  {
    url: "socks5://proxy",
    target: { hostname: "192.0.2.7", port: 80 },
    said: [5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 7, 0, 80],
    answers: [...NO_PASSWORD_CHOSEN, 5, 0, 0, 3, 4, "name", 0, 0],
  },
  {
    url: "socks5h://proxy",
    target: { hostname: "2001:db8::1", port: 80 },
    said: [5, 1, 0, 5, 1, 0, 4, 32, 1, 13, 184, ...Array(11).fill(0), 1, 0, 80],
    answers: [...NO_PASSWORD_CHOSEN, 5, 0, 0, 4, ...Array(18).fill(0)],
  },
  {
    url: "socks5h://j%C3%B6rg@proxy",
    password: "pass:word",
    said: [5, 2, 0, 2]
      .concat([1, 5]).concat([...encoder.encode("jörg")])
      .concat([9]).concat([...encoder.encode("pass:word")])
      .concat([5, 1, 0, 3, 9]).concat([...encoder.encode("nas.local")])
      .concat([1, 187]),
    answers: [...PASSWORD_CHOSEN, 1, 0, ...CONNECTED],
  },
  {
    url: "socks4a://me@proxy",
    said: [4, 1, 1, 187, 0, 0, 0, 1, "me", 0, "nas.local", 0],
    answers: [0, 90, 0, 0, 0, 0, 0, 0],
  },
  {
    url: "socks4a://proxy",
    target: { hostname: "192.0.2.7", port: 443 },
    said: [4, 1, 1, 187, 192, 0, 2, 7, 0],
    answers: [0, 90, 1, 187, 192, 0, 2, 7],
  },
  {
    url: "http://proxy",
    said: ["CONNECT nas.local:443 HTTP/1.1\r\nHost: nas.local:443\r\n\r\n"],
    answers: ["HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n"],
  },
  {
    url: "http://me@proxy",
    password: "secret",
    target: { hostname: "2001:db8::1", port: 80 },
    said: [
      "CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n" +
      "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n",
    ],
    answers: ["HTTP/1.1 204\n\n"],
  },
];

function bytesOf(parts: readonly (number | string)[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === "number" ? [part] : [...encoder.encode(part)]
    ),
  );
}

for (const { url, password, target = NAMED, said, answers } of GOOD) {
  Deno.test(`askProxy() has ${url} connect to ${target.hostname}, however its answer is cut`, async () => {
    const answer = bytesOf([...answers, "SSH-2.0-peer"]);
    const length = answer.length - "SSH-2.0-peer".length;
    const every = Array.from({ length: answer.length }, (_, index) => index);
    for (const cuts of [[], every, ...every.map((cut) => [cut])]) {
      const socket = new FakeProxy(answer, { cuts });
      await askProxy(socket, settings(url, password), target, NEVER);
      assertEquals(socket.heard, [...bytesOf(said)]);
      assertEquals(socket.rest, "SSH-2.0-peer");
      assertEquals(socket.closed, 0);
    }
    for (let cut = 0; cut < length; cut++) {
      const socket = new FakeProxy(answer.subarray(0, cut));
      const error = await assertRejects(
        () => askProxy(socket, settings(url, password), target, NEVER),
        ProxyError,
        "closed the connection",
      );
      assertEquals([error.isTemporary, socket.closed], [true, 1]);
    }
  });
}

Deno.test("askProxy() tells the proxy's refusal in words, and whether it may pass", async () => {
  const socks = (reply: number) => [...NO_PASSWORD_CHOSEN, 5, reply, 0, 1];
  const refusals: [string, readonly (number | string)[], string, boolean][] = [
    ["socks5h://p", socks(1), "does not say why", true],
    ["socks5h://p", socks(2), "does not allow", false],
    ["socks5h://p", socks(3), "network unreachable", true],
    ["socks5h://p", socks(4), "host unreachable", true],
    ["socks5h://p", socks(5), "connection refused", true],
    ["socks5h://p", socks(6), "time to live", true],
    ["socks5h://p", socks(7), "does not know CONNECT", false],
    ["socks5h://p", socks(8), "type of address", false],
    ["socks5h://p", socks(77), "answered 77", false],
    ["socks5h://p", [5, 255], "wants a user", false],
    ["socks5h://p", [5, 2], "wants a user", false],
    ["socks5h://me@p", [5, 255], "neither a user", false],
    ["socks5h://me@p", [5, 2, 1, 1], "wants a password", false],
    ["socks4a://p", [0, 91, 0, 0, 0, 0, 0, 0], "does not say why", true],
    ["socks4a://p", [0, 92, 0, 0, 0, 0, 0, 0], "identd", false],
    ["socks4a://p", [0, 93, 0, 0, 0, 0, 0, 0], "identd", false],
    ["socks4a://p", [0, 94, 0, 0, 0, 0, 0, 0], "answered 94", false],
    ["http://p", ["HTTP/1.1 403 Filtered\r\n\r\n"], "403 Filtered", false],
    ["http://p", ["HTTP/1.1 407 Who\r\n\r\n"], "wants a user", false],
    ["http://me@p", ["HTTP/1.1 407 X\r\n\r\n"], "does not take this", false],
    ["http://p", ["HTTP/1.0 502 Bad\r\n\r\n"], "502 Bad", true],
    ["http://p", ["HTTP/1.0 503\r\n\r\n"], "503", true],
    [
      "http://p",
      ["HTTP/1.1 500 \x1b[31m\x07\r\n\r\n"],
      "answered 500 [31m",
      true,
    ],
    ["http://p", ["HTTP/1.1 2000\r\n\r\n"], "no HTTP proxy", false],
    ["http://p", ["HTTP/1.1 200 ", "x".repeat(17_000)], "more than", false],
  ];
  for (const [url, answer, reason, isTemporary] of refusals) {
    const socket = new FakeProxy(bytesOf(answer), { silentAfter: true });
    const error = await assertRejects(
      () => askProxy(socket, settings(url), NAMED, NEVER),
      ProxyError,
      reason,
    );
    assertEquals([error.isTemporary, socket.closed], [isTemporary, 1], reason);
    assertEquals(error.message.match(/[^ -~]/), null);
  }
});

Deno.test("askProxy() tells a peer that is no proxy, and what it may be", async () => {
  const others: [string, readonly (number | string)[], string][] = [
    ["socks5h://p", ["SSH-2.0-OpenSSH\r\n"], "is no SOCKS5 proxy"],
    ["socks5h://p", ["HTTP/1.1 400 Bad\r\n\r\n"], "try http://"],
    ["socks4a://p", ["HTTP/1.1 400 Bad\r\n\r\n"], "try http://"],
    ["socks4a://p", [5, 255, 0, 0, 0, 0, 0, 0], "try socks5h://"],
    ["http://p", [5, 255], "try socks5h://"],
    ["http://p", ["SSH-2.0-OpenSSH\r\n"], "is no HTTP proxy"],
    ["socks5h://p", [...NO_PASSWORD_CHOSEN, 4, 0, 0, 1], "no SOCKS5 proxy"],
    ["socks5h://p", [...NO_PASSWORD_CHOSEN, 5, 0, 0, 9], "no SOCKS5 proxy"],
  ];
  for (const [url, answer, reason] of others) {
    const socket = new FakeProxy(bytesOf(answer), { silentAfter: true });
    const error = await assertRejects(
      () => askProxy(socket, settings(url), NAMED, NEVER),
      ProxyError,
      reason,
    );
    assertEquals([error.isTemporary, socket.closed], [false, 1]);
  }
});

Deno.test("askProxy() ends with the signal's reason, whatever it waits for", async () => {
  const why = new Error("enough");
  const already = new FakeProxy(bytesOf([]), { silentAfter: true });
  const ask = (socket: Socket, signal: AbortSignal) =>
    askProxy(socket, settings("socks5h://p"), NAMED, signal);
  await assertRejects(
    () => ask(already, AbortSignal.abort(why)),
    Error,
    "enough",
  );
  assertEquals(already.closed, 1);
  for (const answer of [[], [5], [5, 0], [5, 0, 5, 0, 0, 3, 200, 1]]) {
    const socket = new FakeProxy(bytesOf(answer), { silentAfter: true });
    const controller = new AbortController();
    const asked = ask(socket, controller.signal);
    queueMicrotask(() => setTimeout(() => controller.abort(why)));
    await assertRejects(() => asked, Error, "enough");
    assertEquals(socket.closed, 1);
  }
});

Deno.test("askProxy() either connects or says why not, whatever the proxy sends", async () => {
  const random = seeded(4);
  const urls = ["socks5h://p", "socks5h://me@p", "socks4a://p", "http://p"];
  for (let round = 0; round < 4000; round++) {
    const length = Math.floor(random() * 40);
    const likely = [0, 1, 2, 3, 5, 90, 10, 13, 72, 84, 80, 47, 49, 46, 50, 32];
    const answer = Uint8Array.from(
      { length },
      () =>
        random() < 0.8
          ? likely[Math.floor(random() * likely.length)] ?? 0
          : Math.floor(random() * 256),
    );
    const socket = new FakeProxy(answer);
    const url = urls[round % urls.length] ?? "";
    try {
      await askProxy(socket, settings(url), NAMED, NEVER);
      assertEquals(socket.closed, 0);
    } catch (error) {
      assert(error instanceof ProxyError, `${error}`);
      assertEquals(socket.closed, 1);
    }
  }
});

Deno.test("parseProxy() reads the URL", () => {
  const read = (text: string) => {
    const { protocol, address, user } = parseProxy(text);
    return [protocol, address.hostname, address.port, user];
  };
  assertEquals(read("socks5h://p"), ["socks5h", "p", 1080, undefined]);
  assertEquals(read("socks5://p:9050/"), ["socks5", "p", 9050, undefined]);
  assertEquals(read("http://[::1]:8080"), ["http", "::1", 8080, undefined]);
  assertEquals(read("http://[::1]"), ["http", "::1", 80, undefined]);
  assertEquals(read("socks4a://a%40b@p"), ["socks4a", "p", 1080, "a@b"]);
});

Deno.test("parseProxy() says what is wrong, and repeats no password", () => {
  const refused: [string, string][] = [
    ["", "is not a proxy"],
    ["p:1080", "is not a proxy"],
    ["https://p", "is not a proxy"],
    ["socks5h://", "is not a proxy"],
    ["socks5h://p/path", "is not a proxy"],
    ["socks5h://p:x", 'no service "x"'],
    ["socks5h://p:0", "cannot be reached"],
    ["socks5h://%@p", 'the user "%"'],
    ["socks5h://%00@p", "the user"],
    [`socks5h://${"u".repeat(256)}@p`, "at most 255 bytes"],
    ["http://a%3Ab@p", "colons"],
  ];
  for (const [text, reason] of refused) {
    assertThrows(() => parseProxy(text), UsageError, reason);
  }
  for (const text of ["socks5h://me:hunter2@p", "ftp://me:hunter2@p"]) {
    const { message } = assertThrows(() => parseProxy(text), UsageError);
    assert(!message.includes("hunter2"), message);
  }
});

Deno.test("withPassword() refuses what cannot be sent", () => {
  const add = (url: string, password: string) => () =>
    withPassword(parseProxy(url), password, "FILE");
  assertThrows(add("socks4a://me@p", "x"), UsageError, "has no passwords");
  assertThrows(add("http://p", "x"), UsageError, "needs a user");
  assertThrows(add("http://me@p", ""), UsageError, "has 0 bytes");
  assertThrows(
    add("socks5://me@p", "x".repeat(256)),
    UsageError,
    "has 256 bytes",
  );
  assertEquals(add("http://me@p", "x".repeat(256))().password?.length, 256);
});

Deno.test("checkTarget() refuses what the protocol has no words for", () => {
  const check = (url: string, hostname: string) => () =>
    checkTarget(parseProxy(url), { hostname, port: 1 });
  assertThrows(check("socks4a://p", "::1"), UsageError, "no IPv6");
  assertThrows(check("http://p", "a".repeat(256)), UsageError, "255 bytes");
  check("socks5h://p", "::1")();
});
