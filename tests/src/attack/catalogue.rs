//! Every attack variant, by class: fast and slow, IPv4 and IPv6, several tools for each class.

use std::net::IpAddr;

use anyhow::Result;
use smartfw_core::Class::{self, BruteForce, HttpFlood, NetFlood, PortScan, SlowDos};

use super::{Attack, From, How, own};
use crate::process::Stop;

/// Every attack variant.
pub const ALL: &[Attack] = &[
    tool("nmap-syn", PortScan, 10, "nmap -n -sS {v4}"),
    tool("nmap-connect", PortScan, 10, "nmap -n -sT {v4}"),
    tool("nmap-fin", PortScan, 12, "nmap -n -sF {v4}"),
    tool("nmap-null", PortScan, 12, "nmap -n -sN {v4}"),
    tool("nmap-xmas", PortScan, 12, "nmap -n -sX {v4}"),
    tool("nmap-ack", PortScan, 12, "nmap -n -sA {v4}"),
    tool("nmap-window", PortScan, 12, "nmap -n -sW {v4}"),
    tool("nmap-udp", PortScan, 25, "nmap -n -sU --top-ports 1000 {v4}"),
    tool("nmap-version", PortScan, 20, "nmap -n -sV -p 1-200 {v4}"),
    tool("nmap-few", PortScan, 10, "nmap -n -sS --top-ports 20 {v4}"),
    tool("nmap-hundred", PortScan, 20, "nmap -n -sT --top-ports 100 --max-rate 10 {v4}"),
    tool("nmap-protocols", PortScan, 20, "nmap -n -sO {v4}"),
    tool(
        "nmap-decoys",
        PortScan,
        20,
        "nmap -n -sS -D 203.0.113.251,203.0.113.252,ME --top-ports 300 --max-rate 100 {v4}",
    ),
    tool("nmap-fragments", PortScan, 15, "nmap -n -sS -f --top-ports 300 {v4}"),
    tool("nmap-all", PortScan, 15, "nmap -n -sS -p- --max-rate 5000 {v4}"),
    tool("nmap-rate-200", PortScan, 15, "nmap -n -Pn -sS --max-rate 200 {v4}"),
    tool("nmap-connect-50", PortScan, 25, "nmap -n -Pn -sT --max-rate 50 {v4}"),
    tool("nmap-fin-100", PortScan, 20, "nmap -n -Pn -sF --max-rate 100 {v4}"),
    tool("nmap-xmas-30", PortScan, 25, "nmap -n -Pn -sX --max-rate 30 --top-ports 500 {v4}"),
    tool("nmap-ack-60", PortScan, 20, "nmap -n -Pn -sA --max-rate 60 {v4}"),
    tool("nmap-rate-20", PortScan, 30, "nmap -n -Pn -sS --max-rate 20 --top-ports 500 {v4}"),
    v6(tool("nmap-syn-v6", PortScan, 10, "nmap -6 -n -Pn -sS {v6}")),
    v6(tool("nmap-connect-v6", PortScan, 10, "nmap -6 -n -Pn -sT {v6}")),
    v6(tool("nmap-connect-100-v6", PortScan, 15, "nmap -6 -n -Pn -sT --max-rate 100 {v6}")),
    v6(tool("nmap-udp-v6", PortScan, 25, "nmap -6 -n -Pn -sU --top-ports 300 {v6}")),
    v6(tool("nmap-rate-10-v6", PortScan, 30, "nmap -6 -n -Pn -sS --max-rate 10 --top-ports 300 {v6}")),
    own("own-scan", PortScan, 20, "own-scan", own::scan_fast),
    own("own-scan-slow", PortScan, 40, "own-scan", own::scan_slowly),
    v6(own("own-scan-v6", PortScan, 20, "own-scan", own::scan_fast)),
    tool("nc-scan", PortScan, 15, "nc -n -v -z -w 1 {v4} 1-1024"),
    v6(tool("nc-scan-v6", PortScan, 15, "nc -n -v -z -w 1 {v6} 1-1024")),
    own("nc-scan-slow", PortScan, 30, "nc", own::scan_with_netcat),
    v6(own("nc-scan-slow-v6", PortScan, 30, "nc", own::scan_with_netcat)),
    tool("hydra-ssh", BruteForce, 40, "hydra -I -t 4 -l root -P {words} ssh://{v4}"),
    tool("hydra-ssh-one", BruteForce, 40, "hydra -I -t 1 -l root -P {words} ssh://{v4}"),
    tool("hydra-ssh-many", BruteForce, 40, "hydra -I -t 16 -l root -P {words} ssh://{v4}"),
    v6(tool("hydra-ssh-v6", BruteForce, 40, "hydra -I -6 -t 4 -l root -P {words} ssh://[{v6}]")),
    tool("hydra-ftp", BruteForce, 40, "hydra -I -t 4 -l root -P {words} ftp://{v4}"),
    tool("hydra-ftp-many", BruteForce, 40, "hydra -I -t 16 -l root -P {words} ftp://{v4}"),
    v6(tool("hydra-ftp-v6", BruteForce, 40, "hydra -I -6 -t 4 -l root -P {words} ftp://[{v6}]")),
    tool("ncrack-ssh", BruteForce, 40, "ncrack -v --user root -P {words} ssh://{v4}"),
    tool("ncrack-ssh-two", BruteForce, 40, "ncrack -v --user root -P {words} ssh://{v4},CL=2"),
    tool("ncrack-ftp", BruteForce, 40, "ncrack -v --user root -P {words} ftp://{v4}"),
    own("own-guess-ssh", BruteForce, 60, "own-guess", own::guess_ssh),
    v6(own("own-guess-ssh-v6", BruteForce, 60, "own-guess", own::guess_ssh)),
    own("own-guess-ftp", BruteForce, 60, "own-guess", own::guess_ftp),
    v6(own("own-guess-ftp-v6", BruteForce, 60, "own-guess", own::guess_ftp)),
    tool(
        "slowhttp-headers",
        SlowDos,
        40,
        "slowhttptest -c 500 -H -i 5 -r 100 -l 38 -t GET -u http://{v4}/index.html",
    ),
    tool(
        "slowhttp-headers-few",
        SlowDos,
        40,
        "slowhttptest -c 60 -H -i 8 -r 10 -l 38 -t GET -u http://{v4}/index.html",
    ),
    tool(
        "slowhttp-body",
        SlowDos,
        40,
        "slowhttptest -c 500 -B -i 5 -r 100 -l 38 -s 8192 -u http://{v4}/app/form",
    ),
    tool(
        "slowhttp-read",
        SlowDos,
        40,
        "slowhttptest -c 500 -X -r 100 -w 10 -y 20 -n 5 -z 32 -l 38 -u http://{v4}/asset1.css",
    ),
    v6(tool(
        "slowhttp-body-v6",
        SlowDos,
        40,
        "slowhttptest -c 200 -B -i 5 -r 50 -l 38 -s 8192 -u http://[{v6}]/app/form",
    )),
    own("slowloris", SlowDos, 40, "own-slowloris", own::slowloris),
    own("slowloris-few", SlowDos, 40, "own-slowloris", own::slowloris_few),
    v6(own("slowloris-v6", SlowDos, 40, "own-slowloris", own::slowloris)),
    own("slow-body", SlowDos, 40, "own-slow-body", own::slow_body),
    v6(own("slow-body-v6", SlowDos, 40, "own-slow-body", own::slow_body)),
    own("idle-hoard", SlowDos, 30, "own-hoard", own::idle_hoard),
    tool("hping-syn", NetFlood, 10, "hping3 -q -S -p 80 --faster -c 100000 {v4}"),
    tool("hping-syn-1000", NetFlood, 10, "hping3 -q -S -p 80 -i u1000 -c 10000 {v4}"),
    tool("hping-syn-200", NetFlood, 15, "hping3 -q -S -p 80 -i u5000 -c 3000 {v4}"),
    tool("hping-syn-closed", NetFlood, 10, "hping3 -q -S -p 81 --faster -c 100000 {v4}"),
    tool("hping-udp", NetFlood, 10, "hping3 -q --udp -p 9999 -d 200 --faster -c 100000 {v4}"),
    tool("hping-udp-500", NetFlood, 12, "hping3 -q --udp -p 9999 -d 600 -i u2000 -c 6000 {v4}"),
    tool("hping-udp-dns", NetFlood, 10, "hping3 -q --udp -p 53 -d 200 --faster -c 100000 {v4}"),
    tool("hping-icmp", NetFlood, 10, "hping3 -q --icmp -d 56 --faster -c 100000 {v4}"),
    tool("hping-ack", NetFlood, 10, "hping3 -q -A -p 80 --faster -c 100000 {v4}"),
    tool("hping-fin", NetFlood, 10, "hping3 -q -F -p 80 -i u500 -c 20000 {v4}"),
    random(tool("random-syn", NetFlood, 15, "hping3 -q -S -p 80 --faster --rand-source -c 100000 {v4}")),
    random(tool("random-syn-1000", NetFlood, 15, "hping3 -q -S -p 80 -i u1000 --rand-source -c 15000 {v4}")),
    random(tool("random-udp", NetFlood, 12, "hping3 -q --udp -p 53 --faster --rand-source -c 100000 {v4}")),
    tool("nping-syn", NetFlood, 12, "nping -q --tcp --flags syn -p 80 --rate 2000 -c 100000 -H {v4}"),
    tool("nping-udp", NetFlood, 12, "nping -q --udp -p 5000 --data-length 400 --rate 2000 -c 100000 -H {v4}"),
    tool("nping-icmp", NetFlood, 12, "nping -q --icmp --rate 1000 -c 50000 -H {v4}"),
    v6(tool(
        "nping-syn-v6",
        NetFlood,
        12,
        "nping -6 -q --tcp --flags syn -p 80 --rate 1000 -c 50000 -H {v6}",
    )),
    v6(tool(
        "nping-udp-v6",
        NetFlood,
        12,
        "nping -6 -q --udp -p 5000 --data-length 400 --rate 2000 -c 100000 -H {v6}",
    )),
    tool("ping-flood", NetFlood, 12, "ping -n -q -f -w 10 -c 300000 {v4}"),
    tool("ping-flood-large", NetFlood, 12, "ping -n -q -f -s 1200 -w 10 -c 300000 {v4}"),
    v6(tool("ping-flood-v6", NetFlood, 12, "ping -6 -n -q -f -w 10 -c 300000 {v6}")),
    tool("ab-flood", HttpFlood, 12, "ab -q -t 10 -n 1000000 -c 100 http://{v4}/index.html"),
    tool("ab-flood-kept", HttpFlood, 12, "ab -q -k -t 10 -n 1000000 -c 100 http://{v4}/index.html"),
    v6(tool("ab-flood-v6", HttpFlood, 12, "ab -q -t 10 -n 1000000 -c 50 http://[{v6}]/index.html")),
    tool("wrk-flood", HttpFlood, 12, "wrk -t 2 -c 100 -d 10s http://{v4}/index.html"),
    tool("wrk-flood-app", HttpFlood, 12, "wrk -t 1 -c 30 -d 10s http://{v4}/app/items"),
    v6(tool("wrk-flood-v6", HttpFlood, 12, "wrk -t 2 -c 100 -d 10s http://[{v6}]/index.html")),
    tool("hey-flood", HttpFlood, 15, "hey -z 10s -c 60 -disable-keepalive http://{v4}/index.html"),
    tool("hey-flood-rate", HttpFlood, 20, "hey -z 15s -c 20 -q 10 -disable-keepalive http://{v4}/asset1.css"),
    own("own-flood", HttpFlood, 15, "own-flood", own::flood_fast),
    own("own-flood-slow", HttpFlood, 30, "own-flood", own::flood_slowly),
    v6(own("own-flood-v6", HttpFlood, 15, "own-flood", own::flood_fast)),
    held_out(tool(
        "masscan",
        PortScan,
        15,
        "masscan {v4} -p1-1000 --rate 200 --wait 1 --interface eth0 --adapter-ip {me} --router-mac {router}",
    )),
    held_out(tool(
        "masscan-slow",
        PortScan,
        30,
        "masscan {v4} -p1-300 --rate 15 --wait 1 --interface eth0 --adapter-ip {me} --router-mac {router}",
    )),
    held_out(tool("medusa-ssh", BruteForce, 40, "medusa -h {v4} -u root -P {words} -M ssh -t 4")),
    held_out(tool("medusa-ftp", BruteForce, 40, "medusa -h {v4} -u root -P {words} -M ftp -t 4")),
    held_out(tool(
        "patator-ssh",
        BruteForce,
        40,
        "patator ssh_login host={v4} user=root password=FILE0 0={words} -t 4",
    )),
    held_out(tool(
        "patator-ftp",
        BruteForce,
        40,
        "patator ftp_login host={v4} user=root password=FILE0 0={words} -t 4",
    )),
    held_out(tool("pyslowloris", SlowDos, 40, "slowloris -v -s 150 --sleeptime 5 {v4}")),
    held_out(own("apart-slow-read", SlowDos, 40, "apart-slow-read", own::slow_read)),
    held_out(tool("siege", HttpFlood, 15, "siege -b -q -c 40 -t 10S http://{v4}/index.html")),
    held_out(v6(tool("siege-v6", HttpFlood, 15, "siege -b -q -c 40 -t 10S http://[{v6}]/index.html"))),
    held_out(tool(
        "httperf",
        HttpFlood,
        15,
        "httperf --server {v4} --uri /index.html --rate 500 --num-conns 5000 --timeout 2",
    )),
    held_out(tool(
        "mausezahn-syn",
        NetFlood,
        12,
        "mausezahn eth0 -q -c 20000 -d 500 -B {v4} -t tcp sp=1024-65535,dp=80,flags=syn",
    )),
    held_out(tool(
        "mausezahn-syn-one",
        NetFlood,
        12,
        "mausezahn eth0 -q -c 20000 -d 500 -B {v4} -t tcp sp=5555,dp=80,flags=syn",
    )),
    held_out(tool(
        "mausezahn-udp",
        NetFlood,
        12,
        "mausezahn eth0 -q -c 20000 -d 500 -p 300 -B {v4} -t udp dp=7777",
    )),
    held_out(tool("t50-icmp", NetFlood, 10, "t50 {v4} --protocol ICMP --saddr {me} --threshold 400000")),
    tool("nmap-slow", PortScan, 180, "nmap -n -Pn -sS -T2 --top-ports 300 {v4}"),
    tool("nmap-slower", PortScan, 180, "nmap -n -Pn -sS -T1 --top-ports 300 {v4}"),
];

const fn tool(name: &'static str, class: Class, seconds: u64, line: &'static str) -> Attack {
    Attack { name, class, from: From::V4, seconds, held_out: false, how: How::Tool(line) }
}

const fn own(
    name: &'static str,
    class: Class,
    seconds: u64,
    tool: &'static str,
    run: fn(IpAddr, &Stop) -> Result<()>,
) -> Attack {
    Attack { name, class, from: From::V4, seconds, held_out: false, how: How::Own(tool, run) }
}

const fn v6(attack: Attack) -> Attack {
    Attack { from: From::V6, ..attack }
}

const fn random(attack: Attack) -> Attack {
    Attack { from: From::Random, ..attack }
}

const fn held_out(attack: Attack) -> Attack {
    Attack { held_out: true, ..attack }
}
