import { assert, assertEquals } from "@std/assert";
import {
  AF_UNIX,
  cString,
  F_GETFL,
  type LibC,
  O_RDONLY,
  POLLNVAL,
  SystemError,
} from "../../../lib/base/libc.ts";
import {
  answersPoll,
  Descriptor,
  WOULD_BLOCK,
} from "../../../lib/io/descriptor.ts";
import { until } from "../../helpers/deadlines.ts";
import { c, macLike, Pipe, unixTest } from "../../helpers/descriptors.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

unixTest(
  "a descriptor reads what is there, and does not wait for more",
  async () => {
    using pipe = new Pipe();
    using reader = Descriptor.ofGiven(c(), pipe.reader, "read");
    const room = new Uint8Array(10);
    assertEquals(reader?.kind, "pipe");
    assertEquals(reader?.read(room), WOULD_BLOCK);
    pipe.write(bytes("abc"));
    assertEquals(reader?.read(room), 3);
    pipe.close(pipe.writer);
    // A program that another test starts has all pipes open for a moment.
    await until(
      () => reader?.read(room) === 0 || undefined,
      "the end of the pipe",
    );
  },
);

unixTest(
  "a descriptor writes what there is room for, and does not wait",
  () => {
    using pipe = new Pipe();
    using writer = Descriptor.ofGiven(c(), pipe.writer, "write");
    assert(writer !== undefined);
    let total = 0;
    for (;;) {
      const count = writer.write(new Uint8Array(100_000));
      if (count === WOULD_BLOCK) break;
      total += count;
    }
    assertEquals(total, 65536);
  },
);

unixTest("the flags of what others have open as well stay as they are", () => {
  using pipe = new Pipe();
  const before = c().fcntl(pipe.reader, F_GETFL);
  using reader = Descriptor.ofGiven(c(), pipe.reader, "read");
  reader?.read(new Uint8Array(1));
  assertEquals(c().fcntl(pipe.reader, F_GETFL), before);
});

unixTest("a pipe whose reader has left says EPIPE", async () => {
  using pipe = new Pipe();
  using writer = Descriptor.ofGiven(c(), pipe.writer, "write");
  pipe.close(pipe.reader);
  const error = await until(() => {
    try {
      writer?.write(new Uint8Array(1));
    } catch (error) {
      return error;
    }
  }, "the failure");
  assert(error instanceof SystemError);
  assertEquals(error.code, "EPIPE");
});

unixTest("what is open for the other direction only is no descriptor", () => {
  using pipe = new Pipe();
  assertEquals(Descriptor.ofGiven(c(), pipe.reader, "write"), undefined);
  assertEquals(Descriptor.ofGiven(c(), pipe.writer, "read"), undefined);
  assertEquals(Descriptor.ofGiven(c(), 100_000, "read"), undefined);
});

unixTest("files and /dev/null are files", () => {
  for (const path of ["/dev/null", "/dev/zero", "/etc/passwd"]) {
    const fd = c().open(cString(path), O_RDONLY);
    try {
      using file = Descriptor.ofGiven(c(), fd, "read");
      assertEquals(file?.kind, "file", path);
    } finally {
      c().close(fd);
    }
  }
});

unixTest("close() closes what was opened anew, once, and nothing else", () => {
  using pipe = new Pipe();
  const reader = Descriptor.ofGiven(c(), pipe.reader, "read");
  assert(reader !== undefined);
  assert(reader.fd !== pipe.reader);
  reader.close();
  reader.close();
  assertEquals(c().fcntl(reader.fd, F_GETFL), -1);
  assert(c().fcntl(pipe.reader, F_GETFL) >= 0);
});

unixTest("on macOS a socket that blocks gets what it has room for", () => {
  const SOCK_STREAM = 1;
  const { O_NONBLOCK } = c().system;
  const fd = c().socket(AF_UNIX, SOCK_STREAM, 0);
  try {
    for (const flags of [0, O_NONBLOCK]) {
      const sent: bigint[] = [];
      const like = macLike({
        fcntl: () => 2 | flags, // O_RDWR
        poll: () => 1,
        send: (_fd, _bytes, length) => Number(sent[sent.push(length) - 1]),
      });
      using socket = Descriptor.ofGiven(like, fd, "write");
      assertEquals(socket?.kind, "socket");
      assertEquals(socket?.isNonBlocking, flags !== 0);
      socket?.write(new Uint8Array(100_000));
      assert(flags !== 0 ? sent[0] === 100_000n : Number(sent[0]) <= 4096);
    }
  } finally {
    c().close(fd);
  }
});

unixTest(
  "answersPoll() knows the devices that macOS cannot be asked about",
  () => {
    const knowsNothing: LibC["poll"] = (slots) => {
      if (slots instanceof Uint8Array) slots[6] = POLLNVAL;
      return 1;
    };
    using pipe = new Pipe();
    const device = macLike({ poll: knowsNothing });
    assert(!answersPoll(device, pipe.reader));
    assert(answersPoll({ ...c(), poll: knowsNothing }, pipe.reader));
    assert(answersPoll(macLike(), pipe.reader));
    const file = c().open(cString("/dev/null"), O_RDONLY);
    assert(answersPoll(device, file));
    c().close(file);
  },
);

unixTest("on macOS a reader that has left is told by POLLHUP", () => {
  using pipe = new Pipe();
  using writer = Descriptor.ofGiven(macLike(), pipe.writer, "write");
  const POLLHUP = 16;
  assert(writer?.tellsReaderLeft(POLLHUP));
});
