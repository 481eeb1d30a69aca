/** A connected socket in memory, whose peer is the test. */

import type { Socket } from "../../lib/net/socket.ts";
import { MemoryEnd } from "./memory_end.ts";

export class MemorySocket implements Socket {
  /** The peer: what it says is read from the socket, and it sees what is written. */
  readonly peer = new MemoryEnd();
  readonly peerName: string;
  readonly localAddr: Deno.Addr = { transport: "unix", path: "here" };
  readonly remoteAddr: Deno.Addr;
  isClosed = false;
  #hasEnded = false;
  #stall: Promise<void> | undefined;

  constructor(name: string) {
    this.peerName = name;
    this.remoteAddr = { transport: "unix", path: name };
  }

  /** Takes nothing until the returned function is called. */
  stall(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stall = promise;
    return resolve;
  }

  /** @param into Has room for whatever the peer says at once. */
  async read(into: Uint8Array): Promise<number | null> {
    if (this.#hasEnded) return null;
    const bytes = await this.peer.source.read();
    if (bytes === null) {
      this.#hasEnded = true;
      return null;
    }
    into.set(bytes);
    return bytes.length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    await this.#stall;
    await this.peer.sink.write(bytes);
    return bytes.length;
  }

  closeWrite(): Promise<void> {
    return this.peer.sink.end();
  }

  /** Ends whatever is under way. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.peer.break();
    this.peer.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
