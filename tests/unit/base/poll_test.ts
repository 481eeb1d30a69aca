import { assert, assertEquals } from "@std/assert";
import { FIOCLEX, POLLHUP, POLLIN } from "../../../lib/base/libc.ts";
import { AsyncPoll, PollSet } from "../../../lib/base/poll.ts";
import { within } from "../../helpers/deadlines.ts";
import { c, macLike, Pipe, unixTest } from "../../helpers/descriptors.ts";

for (const [system, library] of [["Linux", c], ["macOS", macLike]] as const) {
  unixTest(
    `${system}: a hang-up is told where nothing is asked for`,
    async () => {
      const lib = library();
      using pipe = new Pipe();
      using other = new Pipe();
      const set = new PollSet(lib);
      const place = set.add(pipe.writer, 0);
      const silent = set.add(other.reader, POLLIN);
      assert(!set.wait(10));
      assertEquals(set.happened(place), 0);
      pipe.close(pipe.reader);
      using waits = new AsyncPoll(lib);
      const told = async () => {
        // For no reason, a wait may end as well.
        while (set.happened(place) === 0) await waits.wait(set);
      };
      await within(told(), "the hang-up");
      assertEquals(set.happened(silent), 0);
    },
  );
}

unixTest(
  "macOS is not asked again and again about what asks for nothing",
  () => {
    const limits: number[] = [];
    const set = new PollSet(macLike({
      poll: (_slots, _count, limitMs) => {
        limits.push(limitMs);
        return 0;
      },
    }));
    set.add(7, 0);
    assert(!set.wait(-1));
    assertEquals(limits, [200, 0]);
    assert(!set.wait(10));
    assertEquals(limits.slice(2), [10, 0]);
    set.replace(0, 7, POLLIN);
    assert(!set.wait(-1));
    assertEquals(limits.slice(4), [-1]);
  },
);

unixTest("macOS: an older hang-up is forgotten where there is none", () => {
  const answers = [POLLHUP, 0];
  const set = new PollSet(macLike({
    poll: (slots, _count, limitMs) => {
      if (limitMs > 0 || !(slots instanceof Uint8Array)) return 0;
      const [answer = 0] = answers.splice(0, 1);
      slots[6] = answer;
      return answer === 0 ? 0 : 1;
    },
  }));
  const place = set.add(7, 0);
  assertEquals([set.wait(5), set.happened(place)], [true, POLLHUP]);
  assertEquals([set.wait(5), set.happened(place)], [false, 0]);
});

unixTest(
  "macOS: what a wait is ended by is not for programs that are started",
  () => {
    const asked: bigint[] = [];
    using waits = new AsyncPoll(macLike({
      ioctl: (_fd, request) => asked.push(BigInt(request)) && 0,
    }));
    assert(!waits.isOver);
    assertEquals(asked, [FIOCLEX, FIOCLEX]);
  },
);
