// deno-lint-ignore-file no-control-regex -- terminals are steered by them.
/** Unit tests of the meter. */

import { assertEquals, assertLess } from "@std/assert";
import { Meter, RateMeter } from "../../../lib/report/meter.ts";
import { formatClock, renderMeter } from "../../../lib/report/meter_line.ts";
import { Reporter } from "../../../lib/report/reporter.ts";

const HALFWAY = {
  sent: 1_300_000_000,
  received: 0,
  connectedMs: 3456,
  sentRate: 342 * 2 ** 20,
  receivedRate: 0,
  size: 2_600_000_000,
  percent: 50,
  etaMs: 3456,
};

const PLAIN = { color: false, unicode: true };

Deno.test("renderMeter() leaves out what matters less when the window is narrow", () => {
  const lines = [10, 20, 40, 60, 80, 200].map((columns) =>
    renderMeter(HALFWAY, { ...PLAIN, columns })
  );
  assertEquals(lines, [
    "↑ 1.21 Gi",
    "↑ 1.21 GiB   50%",
    "↑ 1.21 GiB   342 MiB/s   50%  0:04 left",
    "↑ 1.21 GiB   342 MiB/s  0:03  ██████░░░░░░   50%  0:04 left",
    "↑ 1.21 GiB   342 MiB/s  avg  359 MiB/s  0:03  ████████░░░░░░░░   50%  0:04 left",
    "↑ 1.21 GiB   342 MiB/s  avg  359 MiB/s  0:03  ████████████████████░░░░░░░░░░░░░░░░░░░░   50%  0:04 left",
  ]);
});

Deno.test("renderMeter() says it in ASCII where nothing else can be shown", () => {
  const look = { columns: 70, color: false, unicode: false };
  assertEquals(
    renderMeter(HALFWAY, look),
    "sent 1.21 GiB   342 MiB/s  0:03  #########----------   50%  0:04 left",
  );
  assertEquals(
    renderMeter({ ...HALFWAY, received: 17, receivedRate: 3 }, {
      ...look,
      columns: 90,
    }),
    "sent 1.21 GiB   342 MiB/s  received     17 B       3 B/s  0:03  ####----   50%  0:04 left",
  );
});

Deno.test("renderMeter() counts the clients of a listener, while there is room", () => {
  const progress = {
    sent: 0,
    received: 3_000_000,
    connectedMs: 61_000,
    sentRate: 0,
    receivedRate: 50_000,
    clients: 7,
    connected: 3,
  };
  const lines = [80, 50, 39, 25].map((columns) =>
    renderMeter(progress, { ...PLAIN, columns })
  );
  assertEquals(lines, [
    "↓ 2.86 MiB  48.8 KiB/s  avg 48.0 KiB/s  1:01  3 clients",
    "↓ 2.86 MiB  48.8 KiB/s  1:01  3 clients",
    "↓ 2.86 MiB  48.8 KiB/s  3 clients",
    "↓ 2.86 MiB  48.8 KiB/s",
  ]);
  const alone = { ...progress, connected: 0 };
  assertEquals(
    renderMeter(alone, { ...PLAIN, columns: 50 }),
    "↓ 2.86 MiB  48.8 KiB/s  1:01  7 clients so far",
  );
});

Deno.test("the line of a meter is erased in as many rows as a narrowed window made of it", () => {
  let columns = 80;
  let drawn = "";
  const report = new Reporter("normal", (text) => drawn += text);
  report.setTotals(() => ({ sent: 5, received: 0, connectedMs: 1000 }));
  {
    using meter = new Meter(report, {
      kind: "live",
      size: { bytes: 10, direction: "sent" },
      sharesTerminal: false,
      look: () => ({ ...PLAIN, columns }),
      draw: report.writeRaw,
    });
    assertEquals(drawn.length, "\r\x1b[K".length + 79);
    columns = 30;
    drawn = "";
    meter.hide();
    assertEquals(drawn, "\r\x1b[K" + "\x1b[A\x1b[K".repeat(2));
    meter.hide();
    assertEquals(drawn, "\r\x1b[K" + "\x1b[A\x1b[K".repeat(2));
    drawn = "";
  }
  assertEquals(drawn, "\r\x1b[K↑      5 B   50%  0:01 left\n");
});

Deno.test("a meter draws 10 times a second, writes every 5 s, and is an event each second", () => {
  const waits: unknown[] = [];
  const { setInterval } = globalThis;
  globalThis.setInterval = new Proxy(setInterval, {
    apply: (_, __, [, ms]) => void waits.push(ms),
  });
  try {
    for (const kind of ["live", "plain", "events"] as const) {
      using _meter = new Meter(new Reporter("normal", () => {}), {
        kind,
        size: undefined,
        sharesTerminal: false,
        look: () => ({ ...PLAIN, columns: 80 }),
        draw: () => {},
      });
    }
  } finally {
    globalThis.setInterval = setInterval;
  }
  assertEquals(waits, [100, 5000, 1000]);
});

Deno.test("a meter shows nothing before there is anything to follow", () => {
  let drawn = "";
  const report = new Reporter("normal", (text) => drawn += text);
  for (const kind of ["live", "plain", "events"] as const) {
    using _meter = new Meter(report, {
      kind,
      size: undefined,
      sharesTerminal: false,
      look: () => ({ ...PLAIN, columns: 80 }),
      draw: report.writeRaw,
    });
  }
  assertEquals(drawn, "");
});

Deno.test("renderMeter() is shorter than any window, also in color, both ways", () => {
  for (let columns = 1; columns <= 250; columns++) {
    for (const received of [0, 5, 5e9]) {
      for (const percent of [0, 0.4, 99.9, 100]) {
        const progress = { ...HALFWAY, received, percent };
        const plain = renderMeter(progress, { ...PLAIN, columns });
        assertLess(plain.length, columns);
        const colored = renderMeter(progress, {
          columns,
          color: true,
          unicode: true,
        });
        assertEquals(colored.replaceAll(/\x1b\[\d+m/g, ""), plain);
      }
    }
  }
});

Deno.test("Gauge takes the rate of the last second and the time left of all", () => {
  const meter = new RateMeter({ bytes: 4000, direction: "sent" }, 0);
  const at = (ms: number, sent: number, received = 0) =>
    meter.measure({ sent, received, connectedMs: ms }, ms);
  assertEquals(at(0, 0), {
    sent: 0,
    received: 0,
    connectedMs: 0,
    sentRate: 0,
    receivedRate: 0,
    size: 4000,
    percent: 0,
  });
  assertEquals(at(500, 100).sentRate, 200);
  assertEquals(at(1000, 1000).sentRate, 1000);
  // From 500 ms on, when it was 100.
  const later = at(1500, 2100, 9000);
  assertEquals([later.sentRate, later.receivedRate], [2000, 9000]);
  assertEquals([later.percent, later.etaMs], [52.5, 1900 * 1500 / 2100]);
  const over = at(3000, 5000);
  assertEquals([over.percent, over.etaMs], [100, 0]);
});

Deno.test("Gauge with --size counts the larger direction; 0 bytes are 100 %", () => {
  const totals = { sent: 1, received: 500, connectedMs: 1000 };
  const larger = new RateMeter({ bytes: 1000, direction: "larger" }, 0);
  assertEquals(larger.measure(totals, 1000).percent, 50);
  const empty = new RateMeter({ bytes: 0, direction: "sent" }, 0);
  assertEquals(empty.measure(totals, 1000).percent, 100);
});

Deno.test("formatClock() reads as a clock does", () => {
  assertEquals(
    [0, 5999, 754_000, 3_723_000, 360_000_000].map(formatClock),
    ["0:00", "0:05", "12:34", "1:02:03", "100:00:00"],
  );
});

Deno.test("RateMeter takes the size that the peer announces, if it is the larger one", () => {
  const totals = { sent: 100, received: 250, connectedMs: 1000 };
  const percentOf = (meter: RateMeter, bytes: number) => {
    meter.expect(bytes);
    return meter.measure(totals, 1000).percent;
  };
  assertEquals(percentOf(new RateMeter(undefined, 0), 1000), 25);
  assertEquals(percentOf(new RateMeter(undefined, 0), 200), 100);
  const sending = () => new RateMeter({ bytes: 500, direction: "sent" }, 0);
  assertEquals(percentOf(sending(), 1000), 25);
  assertEquals(percentOf(sending(), 400), 20);
  const given = new RateMeter({ bytes: 500, direction: "larger" }, 0);
  assertEquals(percentOf(given, 1000), 50);
});
