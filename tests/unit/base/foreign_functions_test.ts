import { assertEquals, assertThrows } from "@std/assert";
import { openFunctions } from "../../../lib/base/foreign_functions.ts";
import { SYSTEMS } from "../../../lib/base/libc.ts";

/** Tests with the C library, which stays open. */
function libraryTest(
  name: string,
  fn: (library: string) => void | Promise<void>,
): void {
  const { library } = SYSTEMS[Deno.build.os] ?? {};
  Deno.test({
    name,
    fn: () => fn(library ?? ""),
    ignore: library === undefined,
    sanitizeResources: false,
  });
}

libraryTest(
  "an int is handed over at any place, or is not there",
  (library) => {
    const c = openFunctions(library, {
      abs: { parameters: ["i32"], result: "i32" },
      ldexp: { parameters: ["f64", "i32"], result: "f64" },
      memset: { parameters: ["buffer", "i32", "usize"], result: "pointer" },
      strnlen: { parameters: ["buffer", "usize"], result: "usize" },
      getpid: { parameters: [], result: "i32" },
    });
    assertEquals(c.abs(-7), 7);
    assertEquals(c.abs(2 ** 31 - 1), 2 ** 31 - 1);
    assertEquals(c.ldexp(3, -1), 1.5);
    const bytes = new Uint8Array(4);
    c.memset(bytes, 0x2a, 3n);
    assertEquals([...bytes], [0x2a, 0x2a, 0x2a, 0]);
    assertEquals(c.strnlen(bytes, 4n), 3n);
    assertEquals(c.getpid(), Deno.pid);
  },
);

libraryTest(
  "a call on another thread gets its int as it is",
  async (library) => {
    const c = openFunctions(library, {
      abs: { parameters: ["i32"], result: "i32", nonblocking: true },
    });
    assertEquals(await c.abs(-7), 7);
  },
);

libraryTest("a function that is not there is an error", (library) => {
  assertThrows(() =>
    openFunctions(library, {
      no_such_function: { parameters: [], result: "i32" },
    })
  );
});

libraryTest(
  "the runtime compiles no function but those that are named",
  (library) => {
    const { dlopen } = Deno;
    let asked: unknown;
    try {
      Deno.dlopen = (path, functions) => {
        asked = functions;
        return dlopen(path, functions);
      };
      const c = openFunctions(library, {
        abs: { parameters: ["i32"], result: "i32" },
        toupper: { parameters: ["i32"], result: "i32" },
        getpid: { parameters: [], result: "i32" },
      }, ["toupper"]);
      assertEquals(c.toupper(0x61), 0x41);
    } finally {
      Deno.dlopen = dlopen;
    }
    const parameters = [{ struct: ["i32"] }];
    assertEquals(asked, {
      abs: { parameters, result: "i32" },
      toupper: { parameters: ["i32"], result: "i32" },
      getpid: { parameters, result: "i32" },
    });
  },
);
