import { assert, assertEquals } from "@std/assert";
import { isBrokenPipe, reasonOf } from "../../../lib/base/errors.ts";

Deno.test("reasonOf() gives a reason without number, period and capital", () => {
  const reasons = {
    "Connection refused (os error 111)": "connection refused",
    "The system cannot find the file specified. (os error 2)":
      "the system cannot find the file specified",
    "Access is denied. (os error 5): open 'C:\\x'": "access is denied",
    "and so on...": "and so on...",
  };
  for (const [message, reason] of Object.entries(reasons)) {
    assertEquals(reasonOf(new Error(message)), reason);
  }
});

Deno.test("reasonOf() says in the words of Unix what Windows says in sentences", () => {
  const message =
    "No connection could be made because the target machine actively refused it. (os error 10061)";
  const error = Object.assign(new Error(message), { code: "ECONNREFUSED" });
  assertEquals(reasonOf(error, "windows"), "connection refused");
  const other = Object.assign(new Error("It is odd. (os error 1)"), {
    code: "EODD",
  });
  assertEquals(reasonOf(other, "windows"), "it is odd");
});

Deno.test("reasonOf() keeps the runtime's advice for who compiles a program to itself", () => {
  const message =
    'Requires all access to "/dev/full", specify the required permissions during compilation using `deno compile --allow-all`';
  const reason = reasonOf(new Deno.errors.NotCapable(message));
  assertEquals(reason, "Deno keeps it from programs, as all special files");
});

Deno.test("isBrokenPipe() knows what Windows says instead", () => {
  for (const number of [109, 232, 233, 10058]) {
    const error = new Error(`The pipe is no more. (os error ${number})`);
    assert(isBrokenPipe(error, "windows"), String(number));
    assert(!isBrokenPipe(error, "linux"), String(number));
  }
  const reset = new Error("It was reset. (os error 10054)");
  assert(!isBrokenPipe(reset, "windows"));
});

Deno.test("isBrokenPipe() goes by the code where the class says nothing", () => {
  const shutDown = Object.assign(new Error("shut down"), { code: "EPIPE" });
  assert(isBrokenPipe(shutDown));
  assert(isBrokenPipe(new Deno.errors.BrokenPipe()));
  assert(!isBrokenPipe(new Error("EPIPE")));
  assert(!isBrokenPipe("EPIPE"));
});
