"""What each tool must have seen of the workload: `workload.sh` says what it did, /proc what is so, and the tool must say the same."""

LOOPBACK = 0x7F000001
TICKS = 100  # of /proc/PID/stat, in a second


def record(what, wanted):
    """That there is a record which begins like `wanted`; None stands for anything."""
    def ask(seen, facts):
        row = [part(facts) if callable(part) else part for part in wanted]
        for values in seen.records:
            if len(values) >= len(row) and all(w is None or w == v for w, v in zip(row, values)):
                return None
        return f"no record of {what}: {row}; there are {len(seen.records)}, such as {seen.records[-3:]}"
    return ask


def entry(name, key, least=1, most=None):
    """That a map has an entry with this key, and at least (at most) so much there."""
    def ask(seen, facts):
        row = tuple(part(facts) if callable(part) else part for part in key)
        found = [n for have, n in seen.maps[name].items() if all(w is None or w == h for w, h in zip(row, have))]
        if not found:
            return f"nothing at @{name}{list(row)}; there is {dict(list(seen.maps[name].items())[:4])}"
        if sum(found) < least or most is not None and sum(found) > most:
            return f"{sum(found)} at @{name}{list(row)}, not {least} to {most}"
        return None
    return ask


def fact(name):
    return lambda facts: int(facts[name])


def mark(seen, facts):
    """The shell and the file, as /proc and stat have them."""
    wanted = {
        "pid": int(facts["shell"]), "tid": int(facts["shell"]), "ppid": int(facts["ppid"]), "comm": "sh", "name": "vm-mark",
        "inode": int(facts["inode"]), "size": int(facts["size"]), "mnt_ns": int(facts["mnt_ns"]), "pid_ns": int(facts["pid_ns"]), "uid": 0,
    }
    rows = [row for row in seen.records if row["pid"] == wanted["pid"]]
    if len(rows) != 1:
        return f"{len(rows)} records of the shell that opened the mark, not 1: {seen.records}"
    wrong = [f"{name} is {rows[0][name]}, not {value}" for name, value in wanted.items() if rows[0][name] != value]
    if rows[0]["mode"] & 0xF000 != 0x8000:
        wrong.append(f"mode {rows[0]['mode']:o} is no regular file's")
    if rows[0]["start_time"] * TICKS // 10**9 != int(facts["start_ticks"]):
        wrong.append(f"start_time is {rows[0]['start_time']} ns, not {facts['start_ticks']} ticks")
    return "; ".join(wrong) or None


EXPECTED = {
    "values": [mark],
    "bindsnoop": [record("the server", [fact("server"), "nc", 6])],
    "biosnoop": [record("the block", [None, None, None, "nvme0n1", 1, 8000, 4096])],
    "cachestat": [entry("used", []), entry("added", []), entry("dirty", [])],
    "capable": [entry("asked", ["chroot", 0, 18]), entry("there", ["chroot", 18])],
    "execsnoop": [record("chroot's program", [None, None, fact("shell"), "chroot"])],
    "exitsnoop": [
        record("status 3", ["sh", fact("exits"), fact("shell"), None, 3, 0]),
        record("the killed one", ["sleep", fact("killed"), fact("shell"), None, 0, 15]),
    ],
    "filetop": [entry("read", [fact("reader"), "dd", "vm-mark"], 3000, 3000), entry("written", [None, "head", "vm-mark"], 3000, 3000)],
    "killsnoop": [record("SIGTERM", ["sh", fact("shell"), "sleep", fact("killed"), 15, 0])],
    "mountsnoop": [
        record("the mount", ["mount", None, fact("mnt_ns"), "vm-source", "/tmp/vm-mount", 0]),
        record("its end", ["umount", None, fact("mnt_ns"), "/tmp/vm-mount", 0]),
    ],
    "newtasks": [entry("processes", ["sh", fact("pid_ns")])],
    "oomkill": [record("the eater", ["tail", fact("eater"), "tail", fact("eater"), 2048])],
    "opensnoop": [record("what is not there", [fact("opens"), "cat", -2, "/vm-missing"])],
    "statsnoop": [record("what is not there", [None, "stat", -2, "/vm-missing"])],
    "syscount": [entry("calls", [fact("reader"), "dd"], 8)],
    "tcpaccept": [record("the connection", [fact("server"), "nc", LOOPBACK, None, 7777])],
    "tcpconnect": [record("the connection", [None, "nc", LOOPBACK, 7777]), record("the closed port", [None, "nc", LOOPBACK, 7778])],
    "tcplife": [record("the client", [None, "nc", LOOPBACK, None, LOOPBACK, 7777]), record("its six bytes", [None, 0])],
    "tcpstates": [record("the server's", [LOOPBACK, 7777, LOOPBACK, None])],
    "vfsstat": [entry("calls", [name]) for name in ("read", "write", "open", "create", "fsync")],
}
# What this workload does not bring about: modules, memory that is short everywhere, and packets that are lost.
NOTHING = {"drsnoop", "modsnoop", "tcpretrans"}


def problems(name, seen, facts):
    """What is not as it must be."""
    if name in EXPECTED:
        return [wrong for wrong in (ask(seen, facts) for ask in EXPECTED[name]) if wrong]
    return [] if seen or name in NOTHING else ["it saw nothing"]
