/** `--keepalive`: a peer whose machine or network is gone, on a silent connection. */

import { assertEquals, assertMatch } from "@std/assert";
import { keys } from "../../helpers/certificates.ts";
import { testWith } from "../../helpers/conditions.ts";
import { type Running, shell } from "../../helpers/process.ts";

/**
 * Runs a script in a network of its own, which it takes down with `cut`. Of what it
 * starts, `ends NAME PID` says the exit code.
 */
function inOwnNetwork(script: string, ...args: readonly string[]): Running {
  return shell(
    `ip link set lo up || exit
    cut() { ip link set lo down; }
    ends() { wait "$2"; echo "$1 $?"; }
    listening() { until [ -s "$1" ]; do sleep 0.05; done; read -r _ _ _ address _ < "$1"; }
    connected() { until grep -q 'connected to' "$1"; do sleep 0.05; done; }
    cd "$(mktemp -d)" && mkfifo open && exec 3<> open || exit
    trap 'rm -r "$PWD"' EXIT
    ${script}`,
    args,
    { under: ["unshare", "-rn"] },
  );
}

testWith(
  ["ip", "unshare"],
  "both sides of a silent connection notice that the network is gone",
  async () => {
    await using both = inOwnNetwork(`
      sockpipe --listen 0 --keepalive 1s < open 2> server & server=$!
      listening server
      sockpipe --connect "$address" --keepalive 1s -v < open 2> client & client=$!
      connected client
      cut
      ends client $client
      ends server $server
      cat client server >&2`);
    const { code, stdout, stderr } = await both.result();
    assertEquals([code, stdout], [0, "client 1\nserver 1\n"], stderr);
    const reasons = stderr.match(
      /cannot receive from "127\.0\.0\.1:\d+": the peer does not answer/g,
    );
    assertEquals(reasons?.length, 2, stderr);
  },
);

testWith(
  ["ip", "unshare"],
  "--keep-open and --forward notice it on both legs, TLS and --exec as well",
  async () => {
    using folder = await keys(["server"]);
    await using all = inOwnNetwork(
      `
      sockpipe --listen 0 --keepalive 0 < open 2> target & target=$!
      listening target
      sockpipe --listen 0 -k --connections 1 --keepalive 1s --forward "$address" 2> forward & forward=$!
      listening forward
      sockpipe --connect "$address" --keepalive 0 -v < open 2> client & client=$!
      connected client
      sockpipe --listen 0 -k --connections 1 --keepalive 1s --exec 'sleep 60' 2> exec & exec=$!
      listening exec
      sockpipe --connect "$address" --keepalive 0 -v < open 2> client2 & client2=$!
      connected client2
      sockpipe --listen 0 -k --connections 1 --keepalive 1s --tls --tls-cert "$1.crt" --tls-key "$1.key" -v < open 2> tls & tls=$!
      listening tls
      sockpipe --connect "$address" --keepalive 0 --tls --tls-ca "$1.crt" -v < open 2> client3 & client3=$!
      connected client3
      connected tls
      # TLS sends tickets after the handshake; what is under way is sent again
      # and again, and keepalive is for a line on which nothing is.
      until ss -tnH state established | awk '{ n += $2 } END { exit n > 0 }'
      do sleep 0.05; done
      cut
      ends forward $forward
      ends exec $exec
      ends tls $tls
      kill $target $client $client2 $client3
      cat forward exec tls >&2`,
      `${folder.path}/server`,
    );
    const { code, stdout, stderr } = await all.result();
    assertEquals([code, stdout], [0, "forward 1\nexec 1\ntls 1\n"], stderr);
    const reasons = stderr.match(/: the peer does not answer/g);
    assertEquals(reasons?.length, 3, stderr);
  },
);

testWith(
  ["ip", "unshare"],
  "bytes that are under way when the network goes wait no longer, by the relay, TLS and --forward",
  async () => {
    using folder = await keys(["server"]);
    await using all = inOwnNetwork(
      `
      sockpipe --listen 0 -k --receive-only --keepalive 0 > got 2> target & target=$!
      listening target
      plain=$address
      sockpipe --listen 0 -k --receive-only --keepalive 0 --tls --tls-cert "$1.crt" --tls-key "$1.key" > got2 2> tls & tls=$!
      listening tls
      sockpipe --listen unix:relay -k --connections 1 --keepalive 1s --forward "$plain" 2> forward & forward=$!
      until [ -S relay ]; do sleep 0.05; done
      slow() { while printf x; do sleep 0.1; done; }
      slow | sockpipe --connect "$plain" --keepalive 1s -v 2> one & one=$!
      slow | sockpipe --connect "$address" --keepalive 1s -v --tls --tls-ca "$1.crt" 2> two & two=$!
      slow | sockpipe --connect unix:relay 2> three & three=$!
      until [ -s got ] && [ -s got2 ]; do sleep 0.05; done
      until [ "$(wc -c < got)" -gt 20 ]; do sleep 0.05; done
      cut
      ends plain $one
      ends tls $two
      ends forward $forward
      kill $target $tls $three 2> /dev/null
      cat one two forward >&2`,
      `${folder.path}/server`,
    );
    const { code, stdout, stderr } = await all.result();
    assertEquals([code, stdout], [0, "plain 1\ntls 1\nforward 1\n"], stderr);
    const reasons = stderr.match(/: the peer does not answer/g);
    assertEquals(reasons?.length, 3, stderr);
  },
);

testWith(
  ["/proc"],
  "a reader that is stopped for longer than that is waited for",
  async () => {
    await using both = shell(`
      cd "$(mktemp -d)" || exit
      trap 'rm -r "$PWD"' EXIT
      sockpipe --listen 0 --receive-only > got 2> server & server=$!
      until [ -s server ]; do sleep 0.05; done; read -r _ _ _ address _ < server
      head -c 30000000 /dev/zero | sockpipe --connect "$address" --keepalive 1s 2> client & client=$!
      until [ -s got ]; do :; done
      kill -STOP $server
      sleep 6
      kill -0 $client && kill -CONT $server
      wait $client; echo "client $?"
      wait $server; echo "server $?"
      wc -c < got`);
    const { stdout, stderr } = await both.result();
    assertEquals(stdout, "client 0\nserver 0\n30000000\n", stderr);
  },
);

testWith(
  ["ip", "unshare"],
  "--keepalive 0 waits, and an answering peer is left alone",
  async () => {
    await using both = inOwnNetwork(`
      sockpipe --listen 0 --keepalive 1s < open 2> server & server=$!
      listening server
      sockpipe --connect "$address" --keepalive 0 -v < open > got 2> client & client=$!
      connected client
      sleep 4
      kill -0 $server $client && echo both
      cut
      ends server $server
      kill -0 $client && echo client
      kill $client`);
    const { code, stdout, stderr } = await both.result();
    assertEquals([code, stdout], [0, "both\nserver 1\nclient\n"], stderr);
  },
);

testWith(
  ["/proc"],
  "a silent connection with keepalive takes no CPU",
  async () => {
    await using both = shell(`
    cd "$(mktemp -d)" && mkfifo open && exec 3<> open || exit
    trap 'rm -r "$PWD"' EXIT
    sockpipe --listen 0 -k --keepalive 2s < open > got 2> server & server=$!
    until [ -s server ]; do sleep 0.05; done; read -r _ _ _ address _ < server
    sockpipe --connect "$address" --keepalive 2s -v < open 2> client & client=$!
    until grep -q 'connected to' client; do sleep 0.05; done
    sleep 1
    ticks() { awk '{ print $14 + $15 }' /proc/$1/stat; }
    # The runtime tidies up once after its start; a busy loop never ends.
    for _ in 1 2 3; do
      before=$(($(ticks $server) + $(ticks $client)))
      sleep 3
      used=$(($(ticks $server) + $(ticks $client) - before))
      if [ $used -le 3 ]; then break; fi
    done
    echo $used
    kill $server $client`);
    const { stdout, stderr } = await both.result();
    assertMatch(stdout, /^[0-3]\n$/, stderr);
  },
);
