/** Pipes and socket pairs as numbers, for tests of what works on descriptors. */

import { type LibC, libc } from "../../lib/base/libc.ts";

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
  readonly #ends = new Int32Array(2);
  readonly #open = new Set<number>();

  constructor() {
    // Not for the programs that other tests start meanwhile from this process.
    const bytes = new Uint8Array(this.#ends.buffer);
    const { linux, system } = c();
    if (linux === undefined) c().pipe(bytes);
    else linux.pipe2(bytes, system.O_CLOEXEC);
    for (const fd of this.#ends) this.#open.add(fd);
  }

  get reader(): number {
    return this.#ends[0] ?? -1;
  }

  get writer(): number {
    return this.#ends[1] ?? -1;
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

/** A test that needs descriptors, which Windows has not. */
export function unixTest(name: string, fn: () => void | Promise<void>): void {
  Deno.test({ name, fn, ignore: Deno.build.os === "windows" });
}
