/** The wait for a preface. */

import { assertRejects } from "@std/assert";
import { BrokenError } from "../../../lib/base/errors.ts";
import {
  type PeerConnection,
  readPreface,
} from "../../../lib/reliable/frame_connection.ts";
import { within } from "../../helpers/deadlines.ts";

/** A connection with a silent peer, whose read ends when it is aborted. */
function silentConnection(): PeerConnection {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {});
  const end = () => reject(new BrokenError("closed"));
  return {
    peer: "silent",
    local: "here",
    source: { read: () => promise },
    sink: { write: () => Promise.resolve(), end: () => Promise.resolve() },
    close: end,
    abort: end,
    [Symbol.dispose]: end,
  };
}

Deno.test("readPreface() does not wait when its signal is aborted already", async () => {
  const reading = readPreface(silentConnection(), AbortSignal.abort());
  await assertRejects(() => within(reading, "the end", 5000), BrokenError);
});
