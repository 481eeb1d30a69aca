/** Pipes and socket pairs as numbers, for tests of what works on descriptors. */

import { delay } from "@std/async/delay";
import {
  cString,
  type LibC,
  libc,
  O_WRONLY,
  POLLERR,
  POLLHUP,
} from "../../lib/base/libc.ts";
import { until } from "./deadlines.ts";

// Loaded here, as it stays loaded: within a test that would count as a leak.
libc();

/** The C library, which every system has that these tests run on. */
export function c(): LibC {
  const library = libc();
  if (library === undefined) throw new Error("There is no C library");
  return library;
}

/** Both ends of a pipe, closed with it. */
export class Pipe implements Disposable {
  readonly #pair = new Int32Array(2);
  readonly #open = new Set<number>();

  constructor() {
    // Not for the programs that other tests start meanwhile from this process.
    const bytes = new Uint8Array(this.#pair.buffer);
    const { linux, system } = c();
    if (linux === undefined) c().pipe(bytes);
    else linux.pipe2(bytes, system.O_CLOEXEC);
    for (const fd of this.#pair) this.#open.add(fd);
  }

  get reader(): number {
    return this.#pair[0] ?? -1;
  }

  get writer(): number {
    return this.#pair[1] ?? -1;
  }

  /** Writes bytes that the pipe has room for. */
  write(bytes: Uint8Array): void {
    c().write(this.writer, bytes, BigInt(bytes.length));
  }

  close(fd: number): void {
    if (this.#open.delete(fd)) c().close(fd);
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open) c().close(fd);
    this.#open.clear();
  }
}

/**
 * The C library with what macOS does otherwise: none of the calls of Linux, and a
 * poll(2) that looks only at what is asked for something (poll_nocancel of XNU), and
 * says POLLHUP where Linux says POLLERR.
 *
 * @param more What else is different.
 */
export function macLike(more: Partial<LibC> = {}): LibC {
  const poll: LibC["poll"] = (bytes, count, limitMs) => {
    if (!(bytes instanceof Uint8Array)) return -1;
    const slots = new Int32Array(bytes.buffer, 0, Number(count) * 2);
    const asked = slots.map((word, index) =>
      index % 2 === 0 && ((slots[index + 1] ?? 0) & 0xffff) === 0 ? -1 : word
    );
    const done = c().poll(new Uint8Array(asked.buffer), count, limitMs);
    for (let at = 1; at < slots.length; at += 2) {
      const events = (slots[at] ?? 0) & 0xffff;
      const told = (asked[at] ?? 0) >>> 16;
      const isLost = (told & POLLERR) !== 0;
      slots[at] = events | (isLost ? POLLHUP : told) << 16;
    }
    return done;
  };
  const pollAsync: LibC["pollAsync"] = async (bytes, count, limitMs) => {
    const until = limitMs < 0 ? Infinity : performance.now() + limitMs;
    for (;;) {
      const done = poll(bytes, count, 0);
      if (done !== 0 || performance.now() >= until) return done;
      await delay(5);
    }
  };
  return { ...c(), linux: undefined, poll, pollAsync, ...more };
}

/** Waits until somebody reads a named pipe; disposing lets it end. */
export async function readerOf(path: string): Promise<Disposable> {
  const { O_NONBLOCK, O_CLOEXEC } = c().system;
  const name = cString(path);
  const flags = O_WRONLY | O_NONBLOCK | O_CLOEXEC;
  const fd = await until(() => {
    const fd = c().open(name, flags);
    return fd < 0 ? undefined : fd;
  }, "a reader of the named pipe");
  return { [Symbol.dispose]: () => c().close(fd) };
}

/** A test that needs descriptors, which Windows has not. */
export function unixTest(name: string, fn: () => void | Promise<void>): void {
  Deno.test({ name, fn, ignore: Deno.build.os === "windows" });
}
